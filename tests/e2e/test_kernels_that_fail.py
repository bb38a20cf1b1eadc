"""Kernels that fail their trial in a virtual machine: each time the host is back on the old one by itself.

The archive is a mirror on the loopback, its kernels are Debian's under mainline names, spoilt on purpose
(tests/mirror). The one that stands still is played by a service with the highest priority. Those that
cannot succeed are given less time than one that can.
"""

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.kernels]

VERSION = "6.10-rc3"


def is_as_before(vm, release):
    """Hold the host to what it was before the trial."""
    assert vm.run("uname -r").strip() == release
    grubenv = vm.run("sudo grub-editenv /boot/grub/grubenv list")
    assert f"gnulinux-{release}-advanced" in grubenv
    assert "next_entry=gnulinux" not in grubenv
    assert vm.run("ls /boot/*generic* /var/lib/uring-lab/kernel* 2>/dev/null || true") == ""
    assert vm.run("find /etc/systemd -name '*uring-lab-trial*'") == ""
    assert vm.run("sudo dpkg --audit") == ""
    assert "uring_lab_trial" not in grubenv


@pytest.mark.parametrize(
    ("variant", "stamp", "less", "says"),
    [
        ("no-disk", "202402010000", {}, "does not exist"),
        (
            "no-network",
            "202403010000",
            {"kernel_confirm_timeout": 60},
            "It came up, but was not confirmed within 60 s",
        ),
        (
            "hangs",
            "202404010000",
            {"__kernel_watchdog_seconds": 30},
            "It did not run its services for as long as 120 s",
        ),
    ],
)
def test_a_kernel_that_fails_gives_way_to_the_old_one_by_itself(
    vm, release, archive, variant, stamp, less, says
):
    failing = archive.add(VERSION, stamp, variant)
    console = f"kernel_console_log={vm.directory}/console.log"
    code, output = archive.step(vm, VERSION, "-e", console, **less)
    assert code != 0
    assert f"the trial boot of {failing} failed, {release} came up" in output
    assert says in output, output
    is_as_before(vm, release)
