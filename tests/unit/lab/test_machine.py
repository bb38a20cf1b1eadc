"""Machines: their files, their state, and what is left of them when something fails."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from lab import accelerator, access, console, identity, machine, paths, qemu, state, timeouts
from lab.errors import LabError, UsageError
from lab.process import Process


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "uring-lab/machines"


@pytest.fixture
def kind(monkeypatch):
    """Replace virtual machines by sleeping processes, and record what is done with them."""

    class Sleeper:
        done: ClassVar[list[str]] = []
        fault = None

        @classmethod
        def create(cls, of, suite):
            cls.done.append("create")

        @classmethod
        def start(cls, of):
            cls.done.append("start")
            of.process = Process.of(subprocess.Popen(["sleep", "60"]).pid)
            of.save()
            (of.directory / "console.log").write_text("a last word\n")
            if cls.fault:
                raise cls.fault

        @classmethod
        def stop(cls, of):
            if of.process:
                of.process.end()

        @classmethod
        def remove(cls, of):
            subprocess.run(["rm", "-r", of.directory], check=True)

    Sleeper.done, Sleeper.fault = [], None
    monkeypatch.setitem(machine.KINDS, "vm", Sleeper)
    monkeypatch.setattr(access, "answers", lambda directory, name, port: True)
    yield Sleeper
    for found in machine.all_machines():
        machine.down(found.name)


def test_up_makes_a_machine_and_its_inventory(home, kind):
    made = machine.up("one", suite="bookworm")
    assert made.running
    assert made.directory == home / "one"
    host = yaml.safe_load(made.inventory.read_text())["all"]["hosts"]["one"]
    assert host["ansible_user"] == "lab"
    assert "StrictHostKeyChecking=yes" in host["ansible_ssh_common_args"]
    assert f"[127.0.0.1]:{host['ansible_port']} ssh-ed25519 " in (home / "one/known_hosts").read_text()
    assert oct((home / "one").stat().st_mode & 0o777) == "0o700"


def test_up_again_changes_nothing(home, kind, capsys):
    machine.up("one", suite="bookworm")
    machine.up("one")
    assert kind.done == ["create", "start"]
    assert "is up already" in capsys.readouterr().err


def test_a_machine_whose_process_is_gone_is_started_again(home, kind):
    machine.up("one", suite="bookworm")
    state.load(home / "one").process.end()
    assert not machine.get("one").running
    assert machine.up("one").running
    assert kind.done == ["create", "start", "start"]


def test_a_machine_of_another_kind_is_not_touched(home, kind):
    machine.up("one", suite="bookworm")
    for wish in ({"suite": "trixie"}, {"kind": "container"}):
        with pytest.raises(UsageError, match="exists and is a vm with bookworm"):
            machine.up("one", **wish)
    assert machine.get("one").running


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), LabError("no")])
def test_a_new_machine_that_does_not_come_up_is_removed(home, kind, fault):
    kind.fault = fault
    with pytest.raises(type(fault)):
        machine.up("one", suite="bookworm")
    assert list(home.iterdir()) == []
    kept = home.parent / "one.console.log"
    assert kept.exists() == isinstance(fault, LabError)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), LabError("no")])
def test_an_older_machine_that_does_not_come_up_keeps_its_disk(home, kind, fault):
    machine.up("one", suite="bookworm")
    state.load(home / "one").process.end()
    kind.fault = fault
    with pytest.raises(type(fault)):
        machine.up("one")
    assert not machine.get("one").running


def test_down_removes_everything_and_says_when_there_was_nothing(home, kind):
    machine.up("one", suite="bookworm")
    process = state.load(home / "one").process
    assert machine.down("one")
    assert not process.alive()
    assert list(home.iterdir()) == []
    assert not machine.down("one")


@pytest.mark.parametrize("name", ["", "One", "a/b", "../x", "-x", "a" * 32])
def test_an_invalid_name_is_refused(home, name):
    with pytest.raises(UsageError, match="cannot be a machine's name"):
        machine.up(name)


def test_the_error_for_a_missing_machine_names_the_existing_ones(home, kind):
    machine.up("one", suite="bookworm")
    with pytest.raises(UsageError, match="there is: one"):
        machine.get("two")


def test_a_damaged_record_is_an_error_with_a_remedy(home):
    (home / "one").mkdir(parents=True)
    (home / "one/machine.json").write_text("{")
    with pytest.raises(LabError, match=r"remove .*one"):
        machine.get("one")


def test_a_process_is_not_mistaken_for_another_with_its_pid():
    child = subprocess.Popen(["sleep", "60"])
    process = Process.of(child.pid)
    assert process.alive()
    assert not Process(process.pid, process.start + 1, process.boot).alive()
    assert not Process(process.pid, process.start, "another boot").alive()
    process.end()
    # A zombie now: its pid is still taken.
    assert not process.alive()
    child.wait()


def test_qemus_command_line_is_what_the_machine_needs(monkeypatch):
    monkeypatch.setattr(qemu, "firmware", lambda: (Path("/code"), Path("/vars")))
    monkeypatch.setattr(qemu, "need", lambda program: program)
    line = shlex.join(qemu.command("one", 2222, accelerator.Accelerator("tcg", "")))
    assert "-machine q35 -accel tcg,thread=multi,tb-size=256 -cpu qemu64,-cx16" in line
    assert "hostfwd=tcp:127.0.0.1:2222-:22" in line
    assert "-no-reboot" not in line
    # Sockets by relative paths: their length is limited to 108 characters.
    assert "path=qmp.sock" in line
    assert "path=console.sock" in line


def test_ssh_accepts_only_the_machines_own_key(tmp_path):
    (tmp_path / "host_key.pub").write_text("ssh-ed25519 AAAA one\n")
    access.write(tmp_path, "one", 2222)
    config = (tmp_path / "ssh_config").read_text()
    assert "StrictHostKeyChecking yes" in config
    assert "GlobalKnownHostsFile /dev/null" in config
    assert (tmp_path / "known_hosts").read_text() == "[127.0.0.1]:2222 ssh-ed25519 AAAA\n"
    shown = subprocess.run(access.ssh(tmp_path, "one", "-G"), capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_an_identity_has_the_right_owners_and_ends_with_the_host_key(tmp_path):
    identity.create(tmp_path, "one")
    listing = subprocess.run(
        ["tar", "-tvf", tmp_path / "identity.tar", "--numeric-owner"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    owners = {line.split()[-1]: (line.split()[0], line.split()[1]) for line in listing}
    assert owners["etc/ssh/ssh_host_ed25519_key"] == ("-rw-------", "0/0")
    assert owners["home/lab/.ssh/authorized_keys"] == ("-rw-------", "1000/1000")
    # The guest takes this file to mean that the others are there.
    assert listing[-1].endswith("etc/ssh/ssh_host_ed25519_key")
    assert (tmp_path / "identity.tar").stat().st_mode & 0o077 == 0


def test_timeouts_are_longer_under_emulation_and_set_by_the_environment(monkeypatch):
    assert timeouts.seconds("SSH_ANSWER", emulated=True) == timeouts.SSH_ANSWER * timeouts.EMULATION_FACTOR
    monkeypatch.setenv("URING_LAB_TIMEOUT_SSH_ANSWER", "7")
    monkeypatch.setenv("URING_LAB_TIMEOUT_EMULATION_FACTOR", "2")
    assert timeouts.seconds("SSH_ANSWER") == 7
    assert timeouts.seconds("SSH_ANSWER", emulated=True) == 14


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan"])
def test_a_timeout_that_is_no_positive_number_is_refused(monkeypatch, value):
    monkeypatch.setenv("URING_LAB_TIMEOUT_SSH_ANSWER", value)
    with pytest.raises(UsageError, match="URING_LAB_TIMEOUT_SSH_ANSWER"):
        timeouts.seconds("SSH_ANSWER")


def test_a_consoles_tail_is_plain_text(tmp_path):
    log = tmp_path / "console.log"
    assert "said nothing" in console.tail(log)
    log.write_bytes(b"\x1b[2J\x1b[01;01Hfirst\x1b[10;1Hsecond\r\n\r\n\xff[\x1b[0;32m  OK  \x1b[0m] third\r\n")
    assert console.tail(log, 2).splitlines()[1:] == ["  | second", "  | [  OK  ] third"]


@pytest.mark.parametrize(
    "line",
    [
        b"Failed to boot both default and fallback entries.",
        b"grub rescue> ",
        b"[  4.2] Kernel panic - not syncing: x",
    ],
)
def test_a_failed_boot_is_recognised_in_the_console(line):
    assert console.STUCK.search(b"noise\r\n" + line)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["ssh", "--name", "none"], 2), (["up", "--suite", "hoary"], 2), (["up", "--kind", "x"], 2)],
)
def test_wrong_usage_is_one_line_and_status_2(home, tmp_path, arguments, status):
    result = subprocess.run(
        [sys.executable, "-m", "lab", *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == status
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_paths_follow_the_xdg_specification(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.cache() == tmp_path / ".cache/uring-lab"
