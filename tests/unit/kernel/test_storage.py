"""What the kernel role makes of the disks of a host."""

import os
import subprocess
from pathlib import Path

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
        ("ext4\n", "part\ndisk\n", ("ext4", ["disk", "part"])),
        ("ext4\n", "lvm\npart\ndisk\n", ("ext4", ["disk", "lvm", "part"])),
        ("ext4\n", "raid1\npart\ndisk\npart\ndisk\n", ("ext4", ["disk", "part", "raid1"])),
        ("btrfs\n", "", ("btrfs", [])),
        ("tmpfs\next4\n", "part\ndisk\n", ("ext4", ["disk", "part"])),  # one mounted over the other
        ("", "", ("", [])),
    ],
)
def test_the_devices_under_a_folder_are_named_down_to_the_disk(filesystem, types, found):
    def run(command):
        return 0, {"findmnt": filesystem, "lsblk": types}[command[0]], ""

    assert storage.place("/", run) == found


@pytest.mark.parametrize(("known", "device"), [("vda2", "/dev/vda2"), ("cciss!c0d0p1", "/dev/cciss/c0d0p1")])
def test_the_device_is_asked_for_by_the_name_that_the_kernel_gives_it(monkeypatch, known, device):
    asked = []
    number = Path("/").stat().st_dev
    sysfs = {f"/sys/dev/block/{os.major(number)}:{os.minor(number)}": f"/sys/devices/x/{known}"}
    monkeypatch.setattr(os.path, "realpath", sysfs.get)
    storage.place("/", lambda command: asked.append(command) or (0, "", ""))
    assert asked[1][-1] == device


def test_a_file_system_in_memory_has_no_disk_under_it():
    def run(command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert storage.place("/proc", run) == ("proc", [])
