"""The directory of a run."""

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
