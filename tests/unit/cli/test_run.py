"""The directory of a run."""

from cli import run


def test_nobody_else_may_read_what_a_run_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "REPORTS", tmp_path / "reports")
    assert run.new_directory(["box"]).stat().st_mode & 0o777 == 0o700
