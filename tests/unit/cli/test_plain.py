"""Hostile text from a host."""

import pytest

from cli.plain import plain
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
