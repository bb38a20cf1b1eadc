"""KVM is used only if a boot sector ran under it, not because a device file exists."""

import os
import stat

import pytest

from lab import accelerator
from lab.errors import UsageError


@pytest.fixture
def kvm(tmp_path, monkeypatch):
    """Simulate a computer with KVM; return a function that installs a QEMU which runs a shell line."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("URING_LAB_ACCELERATOR", raising=False)
    monkeypatch.setattr(accelerator.Path, "exists", lambda path: True)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    monkeypatch.setattr(accelerator, "need", lambda program: str(tmp_path / "qemu"))

    def qemu(line):
        program = tmp_path / "qemu"
        counter = f'echo "$*" >> {tmp_path}/calls'
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo QEMU 0 && exit\n{counter}\n{line}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "calls"

    return qemu


def test_kvm_is_chosen_when_the_boot_sector_ran(kvm):
    kvm("exit 33")
    chosen = accelerator.choose()
    assert (chosen.name, chosen.emulated) == ("kvm", False)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("echo 'error: failed to set MSR 0x10a to 0x69' >&2; kill -ABRT $$", "failed to set MSR"),
        ("exit 1", "ended with status 1"),
        ("exec sleep 10", "nothing happened within"),
    ],
)
def test_emulation_is_chosen_and_explained_when_it_did_not(kvm, monkeypatch, line, reason):
    monkeypatch.setenv("URING_LAB_TIMEOUT_ACCELERATOR_PROOF", "0.3")
    kvm(line)
    chosen = accelerator.choose()
    assert chosen.emulated
    assert reason in chosen.reason
    assert "\n" not in chosen.reason


def test_the_choice_is_cached(kvm):
    calls = kvm("exit 33")
    assert accelerator.choose() == accelerator.choose()
    assert len(calls.read_text().splitlines()) == 1


def test_kvm_is_tested_again_after_a_reboot(kvm, monkeypatch):
    calls = kvm("exit 33")
    accelerator.choose()
    monkeypatch.setattr(accelerator, "boot_id", lambda: "another")
    accelerator.choose()
    assert len(calls.read_text().splitlines()) == 2


def test_a_damaged_cache_file_is_ignored(kvm, tmp_path):
    kvm("exit 33")
    (tmp_path / "cache/uring-lab").mkdir(parents=True)
    (tmp_path / "cache/uring-lab/accelerator.json").write_text("[]")
    assert accelerator.choose().name == "kvm"


def test_distrust_is_remembered_by_later_commands(kvm):
    kvm("exit 33")
    accelerator.choose()
    accelerator.distrust("the kernel was silent")
    assert accelerator.choose() == accelerator.Accelerator("tcg", "the kernel was silent")


def test_the_test_boot_uses_the_machine_type_and_processor_of_a_lab_host(kvm):
    calls = kvm("exit 33")
    accelerator.choose()
    assert "-machine q35 -accel kvm -cpu max" in calls.read_text()
    assert f"-smp {accelerator.processors()} " in calls.read_text()


def test_the_environment_overrides_the_test_boot(monkeypatch):
    monkeypatch.setenv("URING_LAB_ACCELERATOR", "tcg")
    assert accelerator.choose().emulated
    monkeypatch.setenv("URING_LAB_ACCELERATOR", "hvf")
    with pytest.raises(UsageError, match="hvf"):
        accelerator.choose()


def test_the_sector_is_one_that_a_bios_boots():
    assert len(accelerator.SECTOR) == 512
    assert accelerator.SECTOR.endswith(b"\x55\xaa")
