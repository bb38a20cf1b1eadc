"""Hostile text from a host."""

import re
import subprocess
import sys

import pytest

from cli.plain import plain
from cli.run import ROOT
from tests.verify import report


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b]0;owned\x07ok", "ok"),
        ("\x1b[2Jok", "ok"),
        ("\x9b31mok", "ok"),
        ("a\tb\nc\r\x7f\x00", "a\tb\nc"),
        ("a\u202eb\u2066", "ab"),
        ("\x1b]never ended\nok", "\nok"),
    ],
)
def test_nothing_steers_the_terminal_or_the_report(text, left):
    assert plain(text) == left
    assert report.cells(text) == f"<td>{left}</td>"
    assert "\x1b" not in report.failure(f"x{text}", "Why.")


CHECKS = """
import pytest

HOSTILE = "a" + chr(27) + "]0;owned" + chr(7) + "b" + chr(0x9B) + "2Jc" + chr(0x202E) + "d"

@pytest.fixture
def broken():
    raise OSError(HOSTILE)

def test_error(broken): pass
def test_exception():
    print(HOSTILE)
    said = HOSTILE
    raise RuntimeError(said)
def test_chain():
    try:
        test_exception()
    except RuntimeError:
        raise ValueError(HOSTILE)
def test_assertion():
    "Why."
    assert HOSTILE == "x", HOSTILE
def test_bare():
    "Why."
    assert [HOSTILE] == ["x"]
def test_failed(): pytest.fail(HOSTILE, pytrace=False)
def test_skipped(): pytest.skip(HOSTILE)
"""


@pytest.mark.parametrize("verbosity", ["-q", "-vv"])
def test_nothing_that_a_check_has_from_a_host_steers_the_terminal_or_the_report(tmp_path, verbosity):
    (tmp_path / "test_hostile.py").write_text(CHECKS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.verify.conftest", "--lab-hosts=box", tmp_path]
    command += ["-ra", verbosity, f"--junit-xml={tmp_path}/junit.xml", f"--html={tmp_path}/report.html"]
    done = subprocess.run(
        [*command, "--self-contained-html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5 failed, 1 skipped, 1 error" in done.stdout, done.stdout + done.stderr
    assert "RuntimeError: abcd" in done.stdout
    page = (tmp_path / "report.html").read_text()
    for text in (done.stdout, (tmp_path / "junit.xml").read_text(), page):
        assert "abcd" in text
        # As they are, and as JUnit's XML shows them.
        assert [sign for sign in ("\x1b", "\x07", "\x9b", "\u202e", "#x1B", "#x07") if sign in text] == []
    # The page holds JSON; in a value that Python has written out, each backslash is doubled there.
    assert not re.search(r"\\u(001b|0007|009b|202e)", page.replace(r"\\", ""))
