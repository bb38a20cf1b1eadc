"""The last screen of a run: what each step did and how long it took, what the checks found."""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cli.plain import plain

#: Narrower than this, the last column would hold a word a line.
LEAST_WIDTH = 60

_GAP = "  "
_COLOURS = {"ok": 32, "passed": 32, "changed": 33, "would change": 33, "failed": 31, "unreachable": 31}


@dataclass(frozen=True)
class Checks:
    """What pytest found; `failures` are pairs of a check's name and the first line of why it failed."""

    passed: int
    skipped: int
    seconds: float
    failures: list[tuple[str, str]]

    def sentence(self) -> str:
        """Count them in words."""
        counts = ((self.passed, "passed"), (len(self.failures), "failed"), (self.skipped, "skipped"))
        return ", ".join(f"{count} {word}" for count, word in counts if count) or "no check ran"


def read_checks(junit: Path) -> Checks | None:
    """Read pytest's JUnit XML; None when it was not written."""
    if not junit.exists():
        return None
    # Written by our own pytest a moment ago: not the hostile XML that the rule has in mind.
    tree = ElementTree.parse(junit)  # noqa: S314 - a report of our own
    cases = list(tree.iter("testcase"))
    failures = []
    skipped = 0
    for case in cases:
        skipped += case.find("skipped") is not None
        for kind in ("failure", "error"):
            if (found := case.find(kind)) is not None:
                lines = (found.get("message") or found.text or "").strip().splitlines()
                failures.append((case.get("name", "?"), lines[0] if lines else ""))
                break
    seconds = sum(float(suite.get("time", 0)) for suite in tree.iter("testsuite"))
    return Checks(len(cases) - skipped - len(failures), skipped, seconds, failures)


def render(directory: Path, width: int, colours: bool) -> str:
    """Draw the last screen of the run that is recorded in a run directory.

    width is the number of characters in a line; colours says whether escape sequences may be used.
    """
    run = json.loads((directory / "run.json").read_text())
    steps_file = directory / "steps.json"
    steps = json.loads(steps_file.read_text()) if steps_file.exists() else []
    checks = read_checks(directory / "junit.xml")
    several = len(run["hosts"]) > 1

    rows = [["step", "result", "time", "what it did"]]
    for step in steps:
        name = f"{step['step']} {step['host']}" if several else step["step"]
        rows.append([name, _result(step, run), duration(step["seconds"]), plain(step["message"])])
    if checks:
        result = "failed" if checks.failures else "passed"
        result = "interrupted" if run["interrupted"] == "verify" else result
        rows.append(["verify", result, duration(checks.seconds), checks.sentence()])
    elif run["verify"]:
        rows.append(["verify", "not run", "", run["verify"]])

    lines = [
        f"{run['command']} {', '.join(run['hosts'])}: {run['outcome']} in {duration(run['seconds'])}",
        "",
    ]
    lines += _table(rows, max(width, LEAST_WIDTH), colours)
    if checks and checks.failures:
        lines += ["", "failed checks"]
        for name, reason in checks.failures:
            lines += textwrap.wrap(
                plain(f"{name}: {reason}"), width, initial_indent=_GAP, subsequent_indent=_GAP * 2
            )
    report = directory / "report.html"
    lines += ["", f"report: {report if report.exists() else directory}"]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Write a number of seconds as minutes and seconds, `12:34`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _result(step: dict, run: dict) -> str:
    if step["step"] == run["interrupted"]:
        return "interrupted"
    return "would change" if run["check"] and step["status"] == "changed" else step["status"]


def _table(rows: list[list[str]], width: int, colours: bool) -> list[str]:
    """Lay the rows out; the last column takes what is left of the width and continues on lines of its own."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    left = max(width - sum(widths) - 3 * len(_GAP), 20)
    lines = []
    for name, result, time, text in rows:
        cells = [name.ljust(widths[0]), result.ljust(widths[1]), time.rjust(widths[2])]
        if colours and result in _COLOURS:
            cells[1] = f"\033[{_COLOURS[result]}m{cells[1]}\033[0m"
        first, *more = textwrap.wrap(text, left, break_on_hyphens=False) or [""]
        lines.append(_GAP.join([*cells, first]).rstrip())
        lines += [" " * (sum(widths) + 3 * len(_GAP)) + line for line in more]
    return lines
