"""Additions to pytest-html's report: the request, the steps, and the text of a failure."""

from collections.abc import Iterable
from html import escape
from inspect import cleandoc

from cli.plain import plain
from tests.verify.expectation import known_faults, label

STYLE = """<style>
.lab { border-collapse: collapse; margin: 0.5em 0 1.5em }
.lab th, .lab td { border: 1px solid #ccc; padding: 0.3em 0.7em; text-align: left; vertical-align: top }
.lab th { background: #eee }
.lab .failed, .lab .unreachable { color: #b00; font-weight: bold }
.lab .changed { color: #960 }
.lab .ok { color: #070 }
</style>"""


def summary(expected: dict[str, dict], steps: list[dict], samples: list[dict]) -> str:
    """Return the HTML above the results.

    Args:
        expected: the role variables of each host's provisioning, by its name; they may be empty.
        steps: what each step did to each host, as the callback plugin wrote it; may be empty.
        samples: the catalog's entries that were verified.

    """
    parts = [STYLE]
    if steps:
        parts.append("<h2>What each step did</h2>")
        parts.append(
            table(("step", "host", "result", "changed", "time", "what it did"), map(step_row, steps))
        )
    if rows := request(expected):
        parts.append(
            "<details><summary>What was asked for</summary>"
            f"{table(('variable', 'value', 'host'), (cells(*row) for row in rows))}</details>"
        )
    faults = [cells(label(sample), *fault) for sample in samples for fault in known_faults(sample).items()]
    if faults:
        parts.append(
            "<details><summary>Known faults of the samples, which is why they run in a sandbox</summary>"
            f"{table(('sample', 'case', 'fault'), faults)}</details>"
        )
    return "\n".join(parts)


def request(expected: dict[str, dict]) -> list[tuple[str, str, str]]:
    """Return each variable with each value that it was given, and the hosts that it was given to."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, variables in expected.items():
        for name, value in variables.items():
            hosts.setdefault((name, show(value)), []).append(host)
    return [
        (name, value, "all" if len(given) == len(expected) > 1 else ", ".join(given))
        for (name, value), given in sorted(hosts.items())
    ]


def failure(message: str, reason: str) -> str:
    """Return the text of a failed test.

    Args:
        message: the assertion's. Only its first line is used: pytest adds the compared values, which that
            line already names.
        reason: the test's docstring, which says why it matters.

    """
    return f"{plain(message.splitlines()[0])}\n\nWhy it matters: {cleandoc(reason)}"


def cleaned(content: object) -> object:
    """Return a serialized report with all of its texts cleaned by `plain`."""
    if isinstance(content, str):
        return plain(content)
    if isinstance(content, dict):
        return {key: cleaned(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(map(cleaned, content))
    return content


def table(heads: Iterable[str], rows: Iterable[str]) -> str:
    """Return an HTML table; the rows are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<table class="lab"><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'


def cells(*values: object) -> str:
    """Return table cells with their text escaped."""
    return "".join(f"<td>{escape(plain(str(value)))}</td>" for value in values)


def step_row(step: dict) -> str:
    """Return the cells of one step on one host; missing fields are empty."""
    status = str(step.get("status", ""))
    changed = f"{step.get('changed', 0)} of {step.get('tasks', 0)} tasks"
    return (
        cells(step.get("step", ""), step.get("host", ""))
        + f'<td class="{escape(status)}">{escape(status)}</td>'
        + cells(changed, duration(step.get("seconds", 0)), step.get("message", ""))
    )


def duration(seconds: float) -> str:
    """Format seconds for people."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def show(value: object) -> str:
    """Format a variable's value; an empty one as (none)."""
    return "(none)" if value in ("", None) else str(value)
