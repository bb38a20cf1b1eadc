"""Kernels that fail their trial in a virtual machine: each time the host is back on the old one by itself.

The archive is a mirror on the loopback, its kernels are Debian's under mainline names, spoilt on purpose
(tests/mirror). The one that stands still is played by a service with the highest priority.
"""

import json
import os
import signal
import subprocess
import time

import mainline
import pytest
from support import ROOT, playbook_command

pytestmark = pytest.mark.vm

VERSION = "6.10-rc3"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with mainline.archive(tmp_path_factory.mktemp("archive"), headers=False) as served:
        yield served


@pytest.fixture(scope="module")
def release(vm):
    """Read which kernel the machine is made with."""
    return vm.run("uname -r").strip()


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
    ("variant", "stamp", "says"),
    [
        ("no-disk", "202402010000", "does not exist"),
        ("no-network", "202403010000", "It came up, but was not confirmed within 180 s"),
        ("hangs", "202404010000", "It did not run its services for as long as 180 s"),
    ],
)
def test_a_kernel_that_fails_gives_way_to_the_old_one_by_itself(vm, release, archive, variant, stamp, says):
    failing = archive.add(VERSION, stamp, variant)
    console = f"kernel_console_log={vm.directory}/console.log"
    code, output = archive.step(vm, VERSION, "-e", console)
    assert code != 0
    assert f"the trial boot of {failing} failed, {release} came up" in output
    assert says in output, output
    is_as_before(vm, release)


def killed_while_it_boots(vm, archive, version):
    """Run the kernel step and kill the controller at the moment in which the host goes down for the trial."""
    command = playbook_command(vm, "kernel", "-e", archive.variables(version))
    before = vm.run("cat /proc/sys/kernel/random/boot_id")
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **archive.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = ""
    for line in run.stdout:
        said += line
        if "Choose the new kernel for the next boot alone" in line and "changed" in line:
            break
    else:
        pytest.fail(said)
    # The next task is the reboot: its command is on the way when the connection ends.
    until = time.monotonic() + 120
    while time.monotonic() < until and "shutdown" not in processes_of(run):
        time.sleep(0.2)
    time.sleep(2)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return before


def processes_of(run):
    """Return the command lines of a run's session, ssh's included."""
    command = ["ps", "-s", str(run.pid), "-o", "args="]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


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
    before = killed_while_it_boots(vm, archive, VERSION)
    wait_for(vm, good, before)
    trial = vm.run("cat /proc/sys/kernel/random/boot_id")
    wait_for(vm, release, trial)
    code, output = archive.step(vm, VERSION)
    assert code == 0, output
    assert f"An earlier run has booted {good} on trial and did not see the end of it" in output
    assert "It came up, but was not confirmed within 180 s" in output
    assert vm.run("uname -r").strip() == good


def test_a_trial_whose_controller_died_is_confirmed_by_the_next_run_in_time(vm, archive):
    """The other end of the same accident: the kernel is up, its time is not over, no other boot is needed."""
    assert json.loads(vm.run("cat /var/lib/uring-lab/kernel.json"))["promoted"]
    later = archive.add("6.10", "202407150000")
    before = killed_while_it_boots(vm, archive, "6.10")
    wait_for(vm, later, before)
    boot = vm.run("cat /proc/sys/kernel/random/boot_id")
    code, output = archive.step(vm, "6.10")
    assert code == 0, output
    assert f"{later}: booted on trial, proved" in output
    assert vm.run("cat /proc/sys/kernel/random/boot_id") == boot
    assert "rc3" not in vm.run("ls /boot")


def test_a_kernel_that_panics_at_once_leaves_the_one_of_an_earlier_run_in_its_place(vm, archive):
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
    code, output = archive.step(vm, "6.10")
    assert code == 0, output
    assert "proved and default already" in output
    assert "changed=0" in output
