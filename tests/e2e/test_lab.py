"""Lab hosts: in parallel, through a reboot, back to a snapshot, interrupted at any moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import machine, paths
from tests.e2e.support import ROOT, Host

NAMES = ("e2e-one", "e2e-two")


def processes(word):
    """Return the command lines of this computer's processes that contain a word, except pytest's."""
    listing = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if word in line and "pytest" not in line]


def leftovers(name):
    """Return the remains of a machine: processes, mounts, its directory."""
    directory = paths.machine(name)
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found = processes(str(directory)) + [line for line in mounts if str(directory) in line]
    return found + ([str(directory)] if directory.exists() else [])


@pytest.fixture
def no_machine():
    for name in NAMES:
        machine.down(name)
    yield
    for name in NAMES:
        machine.down(name)


@pytest.mark.container
def test_two_containers_run_side_by_side_reboot_and_go_back_to_a_snapshot(no_machine, suite):
    one, two = (Host(machine.up(name, "container", suite)) for name in NAMES)
    assert one.run("hostname").strip() == "e2e-one"
    assert two.run("hostname").strip() == "e2e-two"
    machine.snapshot("e2e-one", "clean")
    one.run("sudo touch /etc/mark; cat /proc/sys/kernel/random/boot_id")
    boot = one.run("cat /proc/sys/kernel/random/boot_id")
    one.reboot()
    assert one.run("cat /proc/sys/kernel/random/boot_id") != boot
    assert one.run("ls /etc/mark")
    machine.revert("e2e-one", "clean")
    assert one.run("ls /etc/mark || true") == ""
    assert two.run("sudo apt-get update && echo good").splitlines()[-1] == "good"
    for name in NAMES:
        machine.down(name)
        assert leftovers(name) == []


def interrupted_up(suite, kind, phrase, environment=None):
    """Start a machine, interrupt it like Ctrl-C when it has printed the phrase; return its output."""
    command = [sys.executable, "-m", "lab", "up", "--name", NAMES[0], "--kind", kind, "--suite", suite]
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = ""
    for line in run.stderr:
        said += line
        if phrase in line:
            break
    time.sleep(0.2)  # a container boots in a second
    os.killpg(run.pid, signal.SIGINT)
    said += run.stderr.read()
    assert run.wait(timeout=60) != 0
    assert phrase in said
    assert "Traceback" not in said
    return said


@pytest.mark.container
@pytest.mark.parametrize(
    ("kind", "phrase"),
    [("container", "unpacking the root"), ("container", "booting"), ("vm", "booting")],
)
def test_ctrl_c_while_a_machine_comes_up_leaves_nothing(no_machine, suite, kind, phrase):
    interrupted_up(suite, kind, phrase)
    assert leftovers(NAMES[0]) == []


@pytest.mark.container
def test_ctrl_c_while_an_image_is_built_leaves_nothing(no_machine, suite, tmp_path):
    interrupted_up(suite, "container", "building", {"XDG_CACHE_HOME": str(tmp_path)})
    assert leftovers(NAMES[0]) == []
    # Searching for mmdebstrap would not do: other tests may be building an image in parallel.
    assert processes(str(tmp_path)) == []
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".tar" or "debstrap" in path.name] == []
