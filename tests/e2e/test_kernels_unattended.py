"""A trial whose controller dies, in a virtual machine: the host minds itself, and the next run carries on.

The archive is a mirror on the loopback, its kernels are Debian's under mainline names (tests/mirror). They
build on one another: two switches in a row, and a kernel that fails on top of them.
"""

import json
import time

import pytest

from tests.e2e import bootable
from tests.e2e.support import playbook

pytestmark = pytest.mark.vm

VERSION = "6.10-rc3"


def killed_while_it_boots(vm, variables, environment=None):
    """Run the kernel step and kill the controller at the moment in which the host goes down for the trial.

    Returns the id of the boot before it.
    """
    console = vm.directory / "console.log"
    before, start = vm.run("cat /proc/sys/kernel/random/boot_id"), console.stat().st_size

    def goes_down():
        return b"reboot: Restarting system" in console.read_bytes()[start:]

    bootable.killed(vm, variables, goes_down, environment)
    return before


def wait_for(vm, release, before, limit=900):
    """Wait until a kernel runs under another boot than the one before."""
    until = time.monotonic() + limit
    now = ""
    while time.monotonic() < until:
        now = vm.run("uname -r; cat /proc/sys/kernel/random/boot_id", check=False)
        if release in now and before.strip() not in now:
            return
        time.sleep(3)
    pytest.fail(f"{release} did not come up, but {now or 'nothing'}")


def test_a_kernel_that_nobody_confirms_gives_way_and_the_next_run_says_so_and_goes_on(vm, release, archive):
    """A controller that dies in the middle leaves no unproved kernel behind, and no work to begin anew."""
    good = archive.add(VERSION, "202405010000")
    before = killed_while_it_boots(vm, archive.variables(VERSION), archive.environment)
    wait_for(vm, good, before)
    trial = vm.run("cat /proc/sys/kernel/random/boot_id")
    wait_for(vm, release, trial)
    # The host has cleared the trial away alone, and its kernel runs without the trial's parameters.
    vm.run("systemctl is-system-running --wait || true")
    assert vm.run("find /etc/systemd -name '*uring-lab-trial*'") == ""
    assert "uring_lab_trial" not in vm.run("sudo grub-editenv /boot/grub/grubenv list")
    assert "panic=15" not in vm.run("cat /proc/cmdline")
    code, output = archive.step(vm, VERSION)
    assert code == 0, output
    assert f"An earlier run has booted {good} on trial and did not see the end of it" in output
    assert "It came up, but was not confirmed within 120 s" in output
    assert vm.run("uname -r").strip() == good


@pytest.mark.kernels
def test_a_trial_whose_controller_died_is_confirmed_by_the_next_run_in_time(vm, release, own):
    """The other end of the same accident: the kernel is up, its time is not over, no other boot is needed."""
    before = killed_while_it_boots(vm, json.dumps(own))
    wait_for(vm, "6.10.0-061000-generic", before)
    boot = vm.run("cat /proc/sys/kernel/random/boot_id")
    code, output = playbook(vm, "kernel", "-e", json.dumps(own))
    assert code == 0, output
    assert "6.10.0-061000-generic: booted on trial, proved" in " ".join(output.split())
    assert vm.run("cat /proc/sys/kernel/random/boot_id") == boot
    assert "rc3" not in vm.run("ls /boot")
    assert json.loads(vm.run("cat /var/lib/uring-lab/kernel.json"))["previous"] == release


@pytest.mark.kernels
def test_a_kernel_that_panics_at_once_leaves_the_one_of_an_earlier_run_in_its_place(vm, archive, own):
    """What there is to go back to may be a kernel of ours: as proved as it was, and remembered as before."""
    proved = vm.run("uname -r").strip()
    manifest = vm.run("cat /var/lib/uring-lab/kernel.json")
    failing = archive.add("6.10.1", "202407270000", "panic")
    code, output = archive.step(vm, "6.10.1", "-e", f"kernel_console_log={vm.directory}/console.log")
    assert code != 0
    assert f"the trial boot of {failing} failed, {proved} came up" in output
    assert "Kernel panic" in output, output
    assert vm.run("uname -r").strip() == proved
    assert json.loads(vm.run("cat /var/lib/uring-lab/kernel.json")) == json.loads(manifest)
    assert vm.run(f"ls /boot/*{failing} 2>/dev/null || true") == ""
    code, output = playbook(vm, "kernel", "-e", json.dumps(own))
    assert code == 0, output
    assert "proved and default already" in output
    assert "changed=0" in output
