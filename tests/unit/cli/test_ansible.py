"""Which ansible serves the hosts of a run: the newest, or the older one for hosts whose Python is too old."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli import ansible
from cli.errors import InfrastructureError
from cli.probe import probe


@pytest.fixture
def installed(monkeypatch):
    """Let modules need Python 3.9, and count the installations of the older ansible."""
    count = []
    monkeypatch.setattr(ansible, "oldest_python", lambda: "3.9")
    monkeypatch.setattr(ansible, "_install", lambda: count.append(1))
    monkeypatch.setattr(ansible, "_version", lambda: "2.16.19")
    return count


@pytest.mark.parametrize("python", ["3.9.2", "3.10.0", "3.14.0", ""])
def test_the_newest_serves_every_python_that_its_modules_run_on(installed, capfd, python):
    assert ansible.directory_for({"box": python}) == Path(sys.executable).parent
    assert not installed
    assert capfd.readouterr().out == ""


def test_one_host_with_an_older_python_gets_the_older_ansible_for_the_run_and_a_line_says_so(
    installed, capfd
):
    found = ansible.directory_for({"new": "3.13.1", "focal": "3.8.10", "bionic": "3.6.9"})
    assert found == ansible.OLDER
    assert installed
    assert capfd.readouterr().out == (
        f"ansible: bionic (and 1 more) has Python 3.6.9, and ansible-core {ansible.newest} needs 3.9 there: "
        "ansible-core 2.16.19 serves this run\n"
    )


def test_an_older_ansible_that_cannot_be_installed_ends_the_run_in_a_line(monkeypatch):
    monkeypatch.setattr(ansible, "OLDER_TARGET", "no-such-target")
    with pytest.raises(InfrastructureError, match="`make no-such-target` failed"):
        ansible._install()


@pytest.mark.parametrize(
    ("printed", "python"),
    [("Python 3.8.10\n", "3.8.10"), ("Welcome to Python 2\nPython 3.6.9\n", "3.6.9"), ("", "")],
)
def test_the_probe_tells_the_python_of_the_host(monkeypatch, printed, python):
    answer = subprocess.CompletedProcess([], 0, stdout=printed, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_command, **_options: answer)
    assert probe("box", Path("ssh_config"), ["box"]) == python
