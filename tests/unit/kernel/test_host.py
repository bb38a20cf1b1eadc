"""What the kernel role makes of the programs of a host."""

import shutil
import subprocess

import host
import pytest

RELEASE = "6.1.0-49-amd64"


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed on this computer")
def test_a_dpkg_that_knows_zstd_unpacks_the_deb():
    known = "zstd" in run(["dpkg-deb", "--help"])[1]
    assert host.reads_zstd(run) == known


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed on this computer")
def test_a_damaged_deb_is_not_taken_for_one_that_was_read(monkeypatch):
    monkeypatch.setattr(host, "_EMPTY_TAR", host._EMPTY_TAR[:-2])
    assert not host.reads_zstd(run)


def test_a_dpkg_that_gives_up_on_the_member_does_not_know_zstd():
    says = (
        "dpkg-deb: error: archive 'x.deb' uses unknown compression for member 'control.tar.zst', giving up\n"
    )
    assert not host.reads_zstd(lambda command: (2, "", says))


def test_the_deb_is_an_archive_of_three_members():
    deb = host.zstd_deb()
    assert deb.startswith(b"!<arch>\n")
    assert len(deb) % 2 == 0
    assert deb.count(b"`\n") == 3


@pytest.fixture
def root(tmp_path):
    def module(name, version, release, file):
        folder = tmp_path / "var/lib/dkms" / name / version / release / "x86_64/module"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
        link = tmp_path / "var/lib/dkms" / name / f"kernel-{release}-x86_64"  # as dkms makes it
        if not link.is_symlink():
            link.symlink_to(f"{version}/{release}/x86_64")

    module("zfs", "2.1.11", RELEASE, "zfs.ko.xz")
    module("zfs", "2.1.11", RELEASE, "spl.ko.xz")
    module("zfs", "2.1.11", "6.12.9-amd64", "zfs.ko")
    module("my-net", "1", RELEASE, "my-net.ko")
    (tmp_path / "var/lib/dkms/dkms_dbversion").write_text("2.0.0\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/modules").write_text(
        "zfs 5000 3 - Live 0x0\nspl 1 1 zfs, Live 0x0\next4 1 1 - Live 0x0\n"
    )
    return tmp_path


def test_what_dkms_has_built_for_a_kernel_is_told_apart_by_what_is_loaded(root):
    assert host.dkms(RELEASE, str(root)) == [
        {"name": "my-net", "version": "1", "loaded": []},
        {"name": "zfs", "version": "2.1.11", "loaded": ["spl", "zfs"]},
    ]


def test_a_module_is_loaded_under_underscores(root):
    (root / "proc/modules").write_text("my_net 5000 0 - Live 0x0\n")
    assert [found["loaded"] for found in host.dkms(RELEASE, str(root))] == [["my_net"], []]


def test_dkms_has_nothing_for_a_kernel_it_never_saw(root):
    assert host.dkms("5.6.0-050600-generic", str(root)) == []


def test_headers_count_where_the_link_to_them_leads_somewhere(tmp_path):
    for release in ("5.6.0-050600-generic", "6.1.0-49-amd64"):
        (tmp_path / "lib/modules" / release).mkdir(parents=True)
        (tmp_path / "lib/modules" / release / "build").symlink_to(f"../../../usr/src/{release}")
    (tmp_path / "usr/src/6.1.0-49-amd64").mkdir(parents=True)
    assert host.headers(str(tmp_path)) == ["6.1.0-49-amd64"]


def systemctl(**properties):
    return lambda command: (0, "".join(f"{name}={value}\n" for name, value in properties.items()), "")


@pytest.mark.parametrize(
    ("version", "number"), [("252.39-1~deb12u2", 252), ("237", 237), ("v259-rc1", 259), ("", 0)]
)
def test_the_version_of_systemd_is_its_first_number(version, number):
    assert host.manager(systemctl(Version=version))[0] == number


def test_a_boot_is_counted_from_power_on_where_the_firmware_tells():
    run = systemctl(
        Version="252",
        FinishTimestampMonotonic="12750309",
        FirmwareTimestampMonotonic="9000000",
        LoaderTimestampMonotonic="4000000",
    )
    assert host.manager(run) == (252, 21.8)


def test_a_boot_is_counted_from_the_kernel_on_where_nobody_tells_more():
    run = systemctl(FinishTimestampMonotonic="12750309", FirmwareTimestampMonotonic="0")
    assert host.manager(run)[1] == 12.8


@pytest.mark.parametrize("answer", [systemctl(FinishTimestampMonotonic="0"), lambda command: (127, "", "")])
def test_a_boot_that_has_not_ended_took_no_known_time(answer):
    assert host.manager(answer)[1] == 0
