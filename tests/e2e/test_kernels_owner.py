"""The kernel step on a machine whose owner has told GRUB something: refused, or given back as it was.

Its kernel is Debian's under a mainline name, from a folder of one's own (tests/mirror).
"""

import contextlib
import json

import pytest

from tests.e2e import bootable
from tests.e2e.support import playbook

pytestmark = [pytest.mark.vm, pytest.mark.kernels]

RELEASE = "6.10.0-061000-generic"
OWNERS = "an-entry-of-the-owners"


def step(vm, variables, **others):
    code, output = playbook(vm, "kernel", "-e", json.dumps(variables | others))
    return code, " ".join(output.split())


GRUB_CFG = "/boot/grub/grub.cfg"


def looks(vm):
    """Return how the machine looks; of grubenv and grub.cfg only what chooses a kernel."""
    lines = {line for line in vm.looks() if not line.endswith(("/boot/grub/grubenv", GRUB_CFG))}
    asked = "sudo grub-editenv /boot/grub/grubenv list; apt-mark showauto"
    return lines | set(vm.run(f"{asked}; sudo grep 'set default\\|uring_lab' {GRUB_CFG}").splitlines())


@pytest.fixture(scope="module")
def before(vm, release):
    """Give the machine a saved entry of its owner's and a kernel that apt may remove; keep how it looks."""
    vm.run(f"sudo grub-editenv /boot/grub/grubenv set saved_entry={OWNERS}")
    vm.run(f"sudo apt-mark auto linux-image-{release}")
    vm.run("sudo update-grub 2>&1")  # the image's grub.cfg was not written by it
    return looks(vm)


def nothing_is_left_of_a_trial(vm):
    assert vm.run("find /etc/systemd /var/lib/uring-lab -name '*trial*' -o -name 'kernel-disarm'") == ""
    assert "uring_lab_trial" not in vm.run("sudo grub-editenv /boot/grub/grubenv list")
    assert "next_entry=g" not in vm.run("sudo grub-editenv /boot/grub/grubenv list")


@contextlib.contextmanager
def appended(vm, path, line):
    """Append a line to a file of GRUB's configuration; restore it and grub.cfg after the test."""
    vm.run(f"sudo touch {path}; sudo cp -a {path} /root/kept; sudo cp -a {GRUB_CFG} /root/kept.cfg")
    vm.run(f"echo '{line}' | sudo tee -a {path}")
    try:
        yield
    finally:
        vm.run(f"sudo cp -a /root/kept {path}; sudo test -s /root/kept || sudo rm {path}")
        vm.run(f"sudo cp -a /root/kept.cfg {GRUB_CFG}")


def test_a_default_over_the_saved_entry_is_refused_before_anything_is_changed(vm, before, own):
    with appended(vm, "/etc/grub.d/40_custom", "set default=0"):
        # What update-grub, which takes an emulated machine a minute, would make of it.
        vm.run(f"sudo sed -i '/BEGIN .etc.grub.d.40_custom/a set default=0' {GRUB_CFG}")
        seen = looks(vm)
        code, output = step(vm, own)
        assert code != 0
        assert "/etc/grub.d/40_custom chooses what GRUB boots, over the saved entry" in output
        assert looks(vm) == seen
    assert looks(vm) == before


def test_a_setting_that_sorts_after_ours_is_refused(vm, before, own):
    with appended(vm, "/etc/default/grub.d/zzz.cfg", "GRUB_DEFAULT=0"):
        code, output = step(vm, own)
    assert code != 0
    assert "/etc/default/grub.d/zzz.cfg chooses what GRUB boots" in output
    assert looks(vm) == before


def test_a_full_environment_block_is_refused(vm, before, own):
    vm.run(f"sudo grub-editenv /boot/grub/grubenv set filler={'x' * 700}")
    try:
        code, output = step(vm, own)
    finally:
        vm.run("sudo grub-editenv /boot/grub/grubenv unset filler")
    assert code != 0
    assert "bytes left, and a trial takes 270" in output
    assert looks(vm) == before


def test_a_default_that_grub_cfg_does_not_show_yet_is_taken_back(vm, before, own):
    """The owner has not run update-grub since; our own run of it brings the line to light."""
    with appended(vm, "/etc/grub.d/40_custom", "set default=0"):
        seen = looks(vm)
        code, output = step(vm, own)
        assert code != 0
        assert "/etc/grub.d/40_custom has the last word" in output
        assert looks(vm) ^ seen == {"set default=0"}
    assert looks(vm) == before


def test_a_trial_that_cannot_be_armed_leaves_nothing(vm, before, own):
    """What a trial sets up is written down first, and goes whatever has become of it."""
    given = {"__kernel_trial_parameters": ["x" * 1100], "kernel_keep_failed": True}
    code, output = step(vm, own, **given)
    assert code != 0
    assert f"the trial boot of {RELEASE} could not be prepared" in output
    assert "environment block too small" in output
    assert "The packages are left, to look into why" in output
    nothing_is_left_of_a_trial(vm)


def test_a_run_that_asks_for_something_else_calls_off_a_trial_first(vm, release, before, own):
    """Otherwise its timer would reboot the host in the middle of dpkg."""
    armed = "sudo grub-editenv /boot/grub/grubenv list | grep next_entry=g || true"
    bootable.killed(vm, json.dumps(own), lambda: vm.run(armed, check=False))
    code, output = playbook(vm, "release_upgrade")
    assert code == 0, output
    nothing_is_left_of_a_trial(vm)
    assert vm.run("ls /boot/*6.10* 2>/dev/null || true") == ""
    vm.reboot()
    assert vm.run("uname -r").strip() == release


def test_the_earlier_kernel_is_kept_from_autoremove_by_the_package_that_owns_it(vm, release, before, own):
    code, output = step(vm, own)
    assert code == 0, output
    assert f"{RELEASE}: booted on trial, proved" in output
    assert f"linux-image-{release}" not in vm.run("apt-mark showauto")
    nothing_is_left_of_a_trial(vm)


def test_the_owners_saved_entry_and_marks_come_back_with_rollback(vm, release, before):
    code, output = playbook(vm, "rollback", "--tags", "kernel")
    assert code == 0, output
    assert vm.run("uname -r").strip() == release
    assert looks(vm) == before
