"""The lock of a host, with an ssh that runs its command here."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from cli import lock, process
from cli.errors import InfrastructureError, Interrupted, LockLostError
from cli.lock import HostLock
from cli.run import ROOT


@pytest.fixture(autouse=True)
def local_ssh(tmp_path, monkeypatch):
    """Put an ssh in the way that runs its last argument on this computer, like sshd with the user's shell."""
    fake = tmp_path / "ssh"
    fake.write_text('#!/bin/bash\nexec bash -c "${!#}"\n')
    fake.chmod(0o755)
    # Where the tests do not run as root; what it runs is not worth root.
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/bash\nshift\nexec "$@"\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(lock, "BEAT", 0.1)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "run" / "lock"


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
    with host_lock(file) as first:
        with pytest.raises(InfrastructureError) as refusal, host_lock(file):
            pass
        assert str(refusal.value) == (
            f"box: is being provisioned already, held by {first._holder}; wait for that to end"
        )
        assert f"@{socket.gethostname()}, process {os.getpid()}, since 2" in first._holder
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


@pytest.fixture
def signals():
    """Interrupt this process by SIGTERM as the command line does."""

    def interrupt(number, _frame):
        raise Interrupted(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def held_by_another(file, name):
    """Put another run's lock in the way, as on a host that has rebooted, and wait until it is held."""
    file.unlink()
    file.write_text(f"{name}\n")
    holder = subprocess.Popen(["flock", file, "sleep", "60"], start_new_session=True)
    assert until(lambda: not is_free(file))
    return holder


@pytest.mark.usefixtures("signals")
def test_a_run_whose_lock_another_run_took_is_stopped(file, capfd):
    began = time.monotonic()
    with pytest.raises(LockLostError) as loss, host_lock(file) as held:
        other = held_by_another(file, "them@there, process 7")
        held._connection.kill()
        process.run(["sleep", "30"], os.environ, ROOT)
    os.killpg(other.pid, signal.SIGKILL)
    other.wait()
    assert time.monotonic() - began < 20
    assert loss.value.exit_status == 69
    assert "box: while it was out of reach another run took its lock, held by them@there" in str(loss.value)
    assert "wait for the other to end" in str(loss.value)
    assert str(loss.value) in capfd.readouterr().err


@pytest.mark.usefixtures("signals")
def test_our_own_lost_connection_does_not_stop_the_run(file):
    with host_lock(file) as held:
        ours = held_by_another(file, f"{held._holder}, which the host has not missed yet")
        lost = held._connection
        lost.kill()
        assert until(lambda: held._connection is not lost)
        time.sleep(1)
        os.killpg(ours.pid, signal.SIGKILL)
        ours.wait()
        assert until(lambda: file.read_text() == f"{held._holder}\n")
        assert until(lambda: held._connection.poll() is None)
        assert not is_free(file)
    assert is_free(file)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nobody_else_may_write_or_open_the_lock(file, umask):
    before = os.umask(umask)
    try:
        with host_lock(file):
            assert file.parent.stat().st_mode & 0o777 == 0o755
            assert file.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert not lock.LOCK_FILE.startswith(("/run/lock/", "/tmp/", "/var/tmp/"))  # noqa: S108


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_user_without_sudo_gets_no_lock_and_a_line_that_says_so(tmp_path, file, capfd, monkeypatch):
    ssh = tmp_path / "ssh"
    ssh.write_text(ssh.read_text().replace("exec", "exec setpriv --reuid=65534 --regid=65534 --clear-groups"))
    # A function, since the user may not look for a program in our private directory.
    monkeypatch.setenv("BASH_FUNC_sudo%%", "() { return 1; }")
    with host_lock(file):
        assert not file.exists()
    assert "box: is not locked, for sudo there wants a password" in capfd.readouterr().err


def test_a_host_that_cannot_be_locked_says_why(tmp_path):
    with pytest.raises(InfrastructureError, match=r"cannot be locked for this run: .*No such file"):
        host_lock(tmp_path / "nowhere" / "either" / "file").__enter__()


def test_what_the_lock_file_says_cannot_steer_the_terminal(file):
    with host_lock(file):
        file.write_text("\033[31mme\n")
        with pytest.raises(InfrastructureError) as refusal, host_lock(file):
            pass
    assert "\033" not in str(refusal.value)
