"""The directory of a run."""

import os

import pytest

from cli import commands, run
from cli.errors import UsageError


def test_nobody_else_may_read_what_a_run_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "REPORTS", tmp_path / "reports")
    assert run.new_directory(["box"]).stat().st_mode & 0o777 == 0o700


def test_a_run_of_another_version_is_told_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "REPORTS", tmp_path)
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest/run.json").write_text('{"verb": "provision", "hosts": []}')
    with pytest.raises(UsageError, match="recorded by another version"):
        commands.report({})


def test_nobody_else_may_read_a_file_of_a_run(tmp_path, monkeypatch):
    """Neither what we write nor what the programs do that we run: the directory may be copied elsewhere."""
    program = tmp_path / "program"
    program.write_text(
        '#!/bin/sh\necho "$ANSIBLE_LOG_PATH" | xargs -r sh -c \'echo log >>"$0"\'\n'
        'for argument; do case $argument in --junit-xml=* | --html=*) echo >"${argument#*=}";; esac; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(run, "tool", lambda _name: str(program))
    monkeypatch.setattr(run.sys, "executable", str(program))
    monkeypatch.setattr(run, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(commands, "_reach", lambda _run: None)
    before = os.umask(0o022)
    try:
        with commands._opened("provision", run.Options(), {"HOST": "localhost"}) as current:
            commands._play(current, "any.yml")
            commands._checks(current)
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in current.directory.iterdir()}
    names = (
        "inventory.yml",
        "ssh_config",
        "expect.json",
        "run.json",
        "ansible.log",
        "junit.xml",
        "report.html",
    )
    assert modes == dict.fromkeys(names, "0o600")
