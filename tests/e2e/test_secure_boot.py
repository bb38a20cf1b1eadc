"""A host with Secure Boot: an unsigned mainline kernel is refused in time.

The machine really has Secure Boot: firmware with Microsoft's keys, and Debian's signed shim, GRUB and kernel.
"""

import subprocess
import time

import pytest

from lab import machine, qemu
from tests.e2e import bootable
from tests.e2e.support import playbook
from tests.mirror import debian

pytestmark = pytest.mark.vm

#: The configuration on the EFI system partition that Debian's signed GRUB reads first.
EARLY = r"search.fs_uuid %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
#: Seconds for an emulated machine to power off.
POWER_OFF = 120


@pytest.fixture(scope="module")
def guarded(vm):
    """Install the signed boot programs, and then enroll Microsoft's keys in the firmware."""
    give_signed_programs(vm)
    vm.run("sudo systemctl poweroff", check=False)
    until = time.monotonic() + POWER_OFF
    while machine.get(vm.name).running:
        assert time.monotonic() < until, f"{vm.name} does not power off"
        time.sleep(0.5)
    _, variables = qemu.firmware()
    enrolled = variables.with_suffix(".ms.fd")
    store = ["qemu-img", "convert", "-O", "qcow2", enrolled, vm.directory / "vars.qcow2"]
    subprocess.run(store, check=True)
    machine.up(vm.name)
    return vm


def give_signed_programs(vm):
    with debian.release(machine.get(vm.name).suite) as packages:
        shim = packages.unpacked("shim-signed") / "usr/lib/shim/shimx64.efi.signed"
        grub = (
            packages.unpacked("grub-efi-amd64-signed") / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
        )
        subprocess.run(["scp", "-q", "-F", vm.ssh_config, shim, grub, f"{vm.name}:"], check=True)
    vm.run(
        f"""
        set -e
        sudo cp {shim.name} /boot/efi/EFI/BOOT/BOOTX64.EFI
        sudo cp {grub.name} /boot/efi/EFI/BOOT/grubx64.efi
        printf '{EARLY}' "$(findmnt --noheadings --output UUID /)" | sudo tee /boot/efi/EFI/debian/grub.cfg
        """
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with bootable.archive(tmp_path_factory.mktemp("archive")) as served:
        served.mirror.add("5.6")
        yield served


def test_secure_boot_is_enabled(guarded):
    """Otherwise the test below would prove nothing."""
    said = guarded.run("sudo dmesg")
    assert "secureboot: Secure boot enabled" in said
    assert "Kernel is locked down" in said


def test_preflight_refuses_a_mainline_kernel_before_the_download(guarded, archive):
    """GRUB would print "bad shim signature" and wait for a key on the console."""
    code, output = playbook(
        guarded, "preflight", "-e", archive.variables("5.6"), environment=archive.environment
    )
    assert code != 0
    assert "Secure Boot is on" in " ".join(output.split())
    assert [path for path in archive.server.requests if path.endswith(".deb")] == []
