"""What the kernel role makes of the disks of a host."""

import os

import pytest
import storage


def test_free_space_is_what_users_without_rights_may_take(monkeypatch):
    def statvfs(path):
        blocks = {"/boot": 100, "/": 1000}[path]
        sizes = {"f_bavail": blocks, "f_bfree": blocks + 50, "f_frsize": 1 << 20}
        return type("State", (), sizes)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert storage.free() == {"boot": 100, "root": 1000}


def test_a_folder_is_no_file_system_of_its_own(tmp_path):
    (tmp_path / "boot").mkdir()
    assert not storage.has_own_boot(str(tmp_path / "boot"), str(tmp_path))


def test_a_mount_is_a_file_system_of_its_own():
    assert storage.has_own_boot("/proc", "/")


def test_the_largest_initramfs_is_found_and_rounded_up(tmp_path):
    assert storage.initramfs_mib(str(tmp_path)) == 0
    for name, size in (
        ("initrd.img-5.6", 3 << 20),
        ("initrd.img-6.1", (7 << 20) + 1),
        ("vmlinuz-6.1", 9 << 20),
    ):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert storage.initramfs_mib(str(tmp_path)) == 8


@pytest.mark.parametrize(
    ("filesystem", "types", "found"),
    [
        ("ext4", "part\ndisk\n", ("ext4", ["disk", "part"])),
        ("ext4", "lvm\npart\ndisk\n", ("ext4", ["disk", "lvm", "part"])),
        ("ext4", "raid1\npart\ndisk\npart\ndisk\n", ("ext4", ["disk", "part", "raid1"])),
        ("btrfs", "", ("btrfs", [])),
    ],
)
def test_the_devices_under_a_folder_are_named_down_to_the_disk(tmp_path, filesystem, types, found):
    asked = []

    def run(command):
        asked.append(command)
        return 0, {"findmnt": f"{filesystem}\n", "lsblk": types}[command[0]], ""

    assert storage.place(str(tmp_path), run) == found
    number = tmp_path.stat().st_dev
    assert asked[1][-1] == f"/dev/block/{os.major(number)}:{os.minor(number)}"
