"""The last screen of a run."""

import json

import pytest

from cli.screen import duration, render

STEPS = [
    {
        "step": "preflight",
        "host": "lab",
        "status": "ok",
        "changed": 0,
        "tasks": 9,
        "seconds": 3.2,
        "message": "Debian 12",
    },
    {
        "step": "kernel",
        "host": "lab",
        "status": "changed",
        "changed": 4,
        "tasks": 30,
        "seconds": 245.0,
        "message": "6.12.57+deb12-cloud-amd64 booted on trial, proved, made the default; 6.1.0-49 stays",
    },
]
JUNIT = """<testsuites><testsuite time="35.4">
<testcase name="test_a" time="1"/><testcase name="test_b" time="1"/>
<testcase name="test_c" time="1"><skipped message="no kernel was asked for"/></testcase>
<testcase name="test_the_boot_default[lab]" time="1">
<failure message="expected 6.12, found 6.1&#10;more">x</failure></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def run(tmp_path):
    """Write the record of a run."""

    def write(steps=STEPS, junit=None, **changes):
        record = {"command": "provision", "hosts": ["lab"], "check": False, "seconds": 290, "outcome": "done"}
        record |= {"verify": "", "interrupted": "", **changes}
        (tmp_path / "run.json").write_text(json.dumps(record))
        (tmp_path / "steps.json").write_text(json.dumps(steps))
        if junit:
            (tmp_path / "junit.xml").write_text(junit)
            (tmp_path / "report.html").touch()
        return tmp_path

    return write


def test_a_row_tells_step_result_time_and_deed(run):
    lines = render(run(), 200, colours=False).splitlines()
    assert lines[0] == "provision lab: done in 4:50"
    assert lines[2].split() == ["step", "result", "time", "what", "it", "did"]
    assert lines[3].split() == ["preflight", "ok", "0:03", "Debian", "12"]
    assert lines[4].startswith("kernel     changed  4:05  6.12.57")
    assert lines[-1] == f"report: {run()}"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal(run, width):
    lines = render(run(junit=JUNIT), width, colours=False).splitlines()
    assert max(map(len, lines[:-1])) <= width
    assert "made the default" in " ".join(" ".join(lines).split())


def test_checks_are_counted_and_failed_ones_named_with_their_reason(run):
    screen = render(run(junit=JUNIT, outcome="failed"), 200, colours=False)
    assert "2 passed, 1 failed, 1 skipped" in screen
    assert "test_the_boot_default[lab]: expected 6.12, found 6.1\n" in screen
    assert screen.endswith("report.html")


def test_why_there_were_no_checks_is_said(run):
    screen = render(run(verify="CHECK=1 changes nothing"), 200, colours=False)
    assert "verify     not run        CHECK=1 changes nothing" in screen


def test_a_dry_run_says_would_change(run):
    assert "kernel     would change  4:05" in render(run(check=True), 200, colours=False)


def test_an_interrupted_step_is_said_to_be_so(run):
    assert "kernel     interrupted  4:05" in render(
        run(outcome="interrupted", interrupted="kernel"), 200, colours=False
    )


def test_interrupted_checks_have_not_passed(run):
    screen = render(run(junit=JUNIT, outcome="interrupted", interrupted="verify"), 200, colours=False)
    assert "verify     interrupted" in screen
    assert "kernel     changed" in screen


def test_several_hosts_are_told_apart(run):
    steps = [{**STEPS[0], "host": host} for host in ("web1", "web2")]
    screen = render(run(steps, hosts=["web1", "web2"]), 200, colours=False)
    assert "preflight web1  ok" in screen
    assert "preflight web2  ok" in screen


def test_colours_are_only_where_they_are_wanted(run):
    plain = render(run(), 200, colours=False)
    coloured = render(run(), 200, colours=True)
    assert "\033" not in plain
    assert "\033[33mchanged\033[0m" in coloured
    assert coloured.replace("\033[33m", "").replace("\033[32m", "").replace("\033[0m", "") == plain


def test_a_run_that_was_killed_before_its_first_step_has_a_screen_too(run):
    directory = run(outcome="running")
    (directory / "steps.json").unlink()
    assert render(directory, 80, colours=False).startswith("provision lab: running")


def test_a_duration_is_minutes_and_seconds():
    assert [duration(seconds) for seconds in (0, 59.6, 61, 3725)] == ["0:00", "1:00", "1:01", "62:05"]


def test_a_message_from_a_host_cannot_steer_the_terminal(run):
    screen = render(run([{**STEPS[0], "message": "\x1b]0;owned\x07\x1b[2Jfine\x9b31m"}]), 200, colours=False)
    assert "fine" in screen
    assert not any(one in screen for one in ("\x1b", "\x9b", "owned"))
