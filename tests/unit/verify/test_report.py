"""The HTML above the results of a verification."""

import ast
from pathlib import Path

import pytest

from tests.verify import report

STEPS = [
    {
        "step": "kernel",
        "host": "box",
        "status": "changed",
        "changed": 7,
        "tasks": 31,
        "seconds": 75.4,
        "message": "6.12",
    },
    {"step": "liburing", "host": "box", "status": "failed", "message": "<script>alert(1)</script>"},
]
SAMPLE = {"source": "upstream", "name": "02_cat_uring", "known_faults": {"size 1": "cuts & pastes"}}


def test_the_steps_are_a_table():
    page = report.summary({}, STEPS, [])
    assert "<td>kernel</td><td>box</td>" in page
    assert '<td class="changed">changed</td><td>7 of 31 tasks</td><td>1 min 15 s</td><td>6.12</td>' in page


def test_everything_is_escaped():
    page = report.summary({"box": {"<i>": "<u>"}}, STEPS, [SAMPLE])
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;i&gt;" in page
    assert "&lt;u&gt;" in page


def test_a_status_cannot_leave_its_attribute():
    page = report.step_row({"status": '" onclick="x'})
    assert 'class="&quot; onclick=&quot;x"' in page


def test_what_was_asked_for_and_known_faults_are_listed():
    page = report.summary({"box": {"kernel_source": "apt", "kernel_apt_suite": ""}}, [], [SAMPLE])
    assert "<td>kernel_source</td><td>apt</td><td>box</td>" in page
    assert "<td>kernel_apt_suite</td><td>(none)</td><td>box</td>" in page
    assert "<td>upstream/02_cat_uring</td><td>size 1</td><td>cuts &amp; pastes</td>" in page


def test_what_hosts_were_asked_for_is_listed_with_the_hosts():
    asked = {"a": {"kernel_source": "apt"}, "b": {"kernel_source": "apt"}}
    assert report.request(asked) == [("kernel_source", "apt", "all")]
    asked["c"] = {"kernel_source": "mainline", "kernel_version": "5.6"}
    assert report.request(asked) == [
        ("kernel_source", "apt", "a, b"),
        ("kernel_source", "mainline", "c"),
        ("kernel_version", "5.6", "c"),
    ]


def test_empty_sections_are_left_out():
    page = report.summary({"box": {}}, [], [])
    assert "<table" not in page
    assert "<details" not in page


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (9.96, "10.0 s"), (59.4, "59.4 s"), (61, "1 min 01 s")]
)
def test_durations_are_formatted_for_people(seconds, text):
    assert report.duration(seconds) == text


def test_a_failure_is_shown_as_a_sentence_and_its_reason():
    message = "box: expected a, found b: do c\nassert 'b' == 'a'"
    assert report.failure(message, "One.\n\n    Two.\n    ") == (
        "box: expected a, found b: do c\n\nWhy it matters: One.\n\nTwo."
    )


@pytest.mark.parametrize(
    "path", sorted(Path(report.__file__).parent.glob("test_*.py")), ids=lambda path: path.stem
)
def test_every_check_says_why_it_matters(path):
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    checks = [function for function in functions if function.name.startswith("test_")]
    assert checks
    assert [check.name for check in checks if not ast.get_docstring(check)] == []
