"""Whether GRUB was upgraded along with its package, on made-up roots."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/release_upgrade/files/grub.sh"


def outdated(root):
    run = subprocess.run(["sh", SCRIPT, root], check=True, capture_output=True, text=True)
    return [line.removeprefix(f"{root}/") for line in run.stdout.splitlines()]


@pytest.fixture
def module(tmp_path):
    def write(folder, text):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "normal.mod").write_text(text)

    return write


@pytest.fixture
def efi(tmp_path):
    (tmp_path / "sys/firmware/efi").mkdir(parents=True)


@pytest.mark.usefixtures("efi")
def test_modules_of_another_grub_are_found(tmp_path, module):
    module("boot/grub/x86_64-efi", "2.06")
    module("usr/lib/grub/x86_64-efi", "2.12")
    assert outdated(tmp_path) == ["boot/grub/x86_64-efi"]


@pytest.mark.usefixtures("efi")
def test_modules_of_the_installed_grub_are_none(tmp_path, module):
    module("boot/grub/x86_64-efi", "2.12")
    module("usr/lib/grub/x86_64-efi", "2.12")
    assert outdated(tmp_path) == []


@pytest.mark.usefixtures("efi")
def test_what_the_firmware_does_not_boot_does_not_matter(tmp_path, module):
    module("boot/grub/i386-pc", "2.06")
    module("usr/lib/grub/i386-pc", "2.12")
    assert outdated(tmp_path) == []


def test_without_efi_it_is_the_one_for_a_bios(tmp_path, module):
    for folder in ("i386-pc", "x86_64-efi"):
        module(f"boot/grub/{folder}", "2.06")
        module(f"usr/lib/grub/{folder}", "2.12")
    assert outdated(tmp_path) == ["boot/grub/i386-pc"]


def test_a_host_without_grub_has_none(tmp_path):
    assert outdated(tmp_path) == []
