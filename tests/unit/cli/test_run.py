"""The directory of a run."""

import json
import os
import signal

import pytest

from cli import ansible, commands, run
from cli.errors import Interrupted, LockLostError, UsageError


def test_nobody_else_may_read_what_a_run_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "REPORTS", tmp_path / "reports")
    assert run.new_directory(["box"]).stat().st_mode & 0o777 == 0o700


def test_a_run_of_another_version_is_told_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "REPORTS", tmp_path)
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest/run.json").write_text('{"verb": "provision", "hosts": []}')
    with pytest.raises(UsageError, match="recorded by another version"):
        commands.report({})


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Begin a run on a host that is taken to be reached."""
    monkeypatch.setattr(run, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(commands, "_reach", lambda _run: {})
    monkeypatch.setattr(run.Run, "_expected", lambda _run: {"localhost": {}})
    return lambda: commands._opened("provision", run.Options(), {"HOST": "localhost"})


def test_nobody_else_may_read_a_file_of_a_run(opened, tmp_path, monkeypatch):
    """Neither what we write nor what the programs do that we run: the directory may be copied elsewhere."""
    program = tmp_path / "program"
    program.write_text(
        '#!/bin/sh\necho "$ANSIBLE_LOG_PATH" | xargs -r sh -c \'echo log >>"$0"\'\n'
        'for argument; do case $argument in --junit-xml=* | --html=*) echo >"${argument#*=}";; esac; done\n'
    )
    program.chmod(0o755)
    program.with_name("ansible-playbook").symlink_to(program)
    monkeypatch.setattr(ansible, "directory_for", lambda _pythons: tmp_path)
    monkeypatch.setattr(run.sys, "executable", str(program))
    before = os.umask(0o022)
    try:
        with opened() as current:
            commands._play(current, "any.yml")
            commands._checks(current)
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in current.directory.iterdir()}
    names = (
        "inventory.yml",
        "profile.yml",
        "ssh_config",
        "expect.json",
        "run.json",
        "ansible.log",
        "junit.xml",
        "report.html",
    )
    assert modes == dict.fromkeys(names, "0o600")


def stop(current, error, is_checking=False):
    """End a run in the midst of a step."""
    current.record("running")
    current.make_latest()
    steps = [{"step": "kernel", "host": "localhost", "status": "changed", "seconds": 1, "message": "6.12"}]
    run.write_private(current.directory / "steps.json", json.dumps(steps))
    current._checking = is_checking
    raise error


@pytest.mark.parametrize(
    ("error", "is_checking", "step", "reason"),
    [
        (Interrupted(signal.SIGINT), False, "kernel", "the run was interrupted"),
        (Interrupted(signal.SIGHUP), True, "verify", "the run was interrupted"),
        (LockLostError("box: lost"), False, "kernel", "another run took the host's lock"),
    ],
)
def test_a_run_that_is_stopped_is_recorded_with_its_step(opened, capsys, error, is_checking, step, reason):
    with pytest.raises(type(error)) as stopped, opened() as current:
        stop(current, error, is_checking)
    recorded = json.loads((current.directory / "run.json").read_text())
    assert (recorded["outcome"], recorded["interrupted"], recorded["verify"]) == ("interrupted", step, reason)
    assert stopped.value.exit_status == error.exit_status
    commands.report({})
    table = capsys.readouterr().out
    assert table.startswith("provision localhost: interrupted in 0:0")
    assert ("kernel  interrupted" in table) == (step == "kernel")
    assert reason in table


def test_who_interrupts_is_told_how_to_go_on(opened):
    with pytest.raises(Interrupted) as stopped, opened() as current:
        stop(current, Interrupted(signal.SIGTERM))
    assert (
        str(stopped.value) == "interrupted; the same command carries on, `make report` shows how far it came"
    )
    assert stopped.value.exit_status == 143


def test_a_run_that_is_stopped_before_it_began_leaves_nothing(opened):
    with pytest.raises(Interrupted, match=r"^interrupted$"), opened():
        raise Interrupted(signal.SIGINT)
    assert list(run.REPORTS.iterdir()) == []
