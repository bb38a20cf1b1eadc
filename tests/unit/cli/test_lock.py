"""The lock of a host, with an ssh that runs its command here."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cli import lock
from cli.errors import InfrastructureError
from cli.lock import HostLock
from cli.run import ROOT


@pytest.fixture(autouse=True)
def local_ssh(tmp_path, monkeypatch):
    """Put an ssh in the way that runs its last argument on this computer, like sshd with the user's shell."""
    fake = tmp_path / "ssh"
    fake.write_text('#!/bin/bash\nexec bash -c "${!#}"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(lock, "BEAT", 0.1)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "uring-lab"


def host_lock(file):
    return HostLock("box", file.parent / "ssh_config", str(file))


def is_free(file) -> bool:
    return subprocess.run(["flock", "--nonblock", file, "true"], check=False).returncode == 0


def until(condition, seconds=5.0) -> bool:
    """Wait for a condition; return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_second_run_is_refused_and_told_who_holds_the_lock(file):
    with host_lock(file):
        with pytest.raises(InfrastructureError) as refusal, host_lock(file):
            pass
        assert "box: is being provisioned already, held by " in str(refusal.value)
        assert "@" in str(refusal.value)
        assert "process" in str(refusal.value)
    with host_lock(file):
        pass


def test_the_lock_is_free_after_a_run_even_after_one_that_failed(file):
    with pytest.raises(ZeroDivisionError), host_lock(file):
        assert not is_free(file)
        1 / 0  # noqa: B018
    assert is_free(file)


def test_a_controller_that_is_killed_leaves_no_lock(file):
    code = (
        "import sys, time; from pathlib import Path; from cli.lock import HostLock\n"
        "with HostLock('box', Path('x'), sys.argv[1]): print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as controller:
        assert controller.stdout.readline() == "held\n"
        assert not is_free(file)
        controller.kill()
    assert until(lambda: is_free(file))


def test_a_lost_connection_is_made_again_and_the_lock_taken_anew(file):
    with host_lock(file) as held:
        lost = held._connection
        lost.kill()
        assert until(lambda: held._connection is not lost and not is_free(file))
    assert is_free(file)


def test_a_host_that_hears_no_beat_lets_go(file, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 60)
    monkeypatch.setattr(lock, "SILENCE", 1)
    with host_lock(file):
        assert not is_free(file)
        assert until(lambda: is_free(file))


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_lock_file_of_another_user_is_opened_for_reading_alone(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text(ssh.read_text().replace("exec", "exec setpriv --reuid=65534 --regid=65534 --clear-groups"))
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o1777)
        file = Path(open_to_all) / "uring-lab"
        file.touch(mode=0o644)
        with host_lock(file):
            assert not is_free(file)


def test_a_host_that_cannot_be_locked_says_why(tmp_path):
    with pytest.raises(InfrastructureError, match=r"cannot be locked for this run: .*No such file"):
        host_lock(tmp_path / "nowhere" / "file").__enter__()


def test_what_the_lock_file_says_cannot_steer_the_terminal(file):
    with host_lock(file):
        file.write_text("\033[31mme\n")
        with pytest.raises(InfrastructureError) as refusal, host_lock(file):
            pass
    assert "\033" not in str(refusal.value)
