"""What a measurement shows while it runs, and the files that it leaves."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench import chart, processes, rounds, table
from bench.programs import ROOT


def write(directory: Path, results: list[rounds.Result], about: dict, left_out: dict[str, str]) -> None:
    """Write the JSON, the ratios in Markdown, and the chart into a directory; print the ratios."""
    directory.mkdir(parents=True, exist_ok=True)
    entries = [
        {
            "title": result.case.title,
            "label": result.case.label,
            "reference": result.case.reference,
            "compared": result.case.figure,
            "summary": rounds.summary(result),
            "rounds": result.rounds,
            "failed": result.failed,
        }
        for result in results
    ]
    (directory / "results.json").write_text(
        json.dumps({"about": about, "left_out": left_out, "cases": entries}, indent=1) + "\n"
    )
    ratios = table.markdown(results)
    (directory / "ratios.md").write_text(ratios)
    print(ratios)
    chart.draw(results, directory / "chart.svg")
    say(f"{directory.relative_to(ROOT)}: results.json, ratios.md, chart.svg")


def computer() -> dict:
    """Return this computer, and the commit that is measured on it."""
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    model = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "commit": subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip(),
        "kernel": platform.release(),
        "processors": processes.processors(),
        "processor": model[1] if model else platform.machine(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    }


def say(message: str) -> None:
    """Print a line on stderr; stdout is for results."""
    clear()
    print(f"bench: {message}", file=sys.stderr, flush=True)


def clear() -> None:
    """Clear the progress line of a terminal."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


class Progress:
    """Shows the progress of a case: on a terminal in place, elsewhere one line per case."""

    def __init__(self, what: str):
        self._what = what
        if not sys.stderr.isatty():
            say(what)

    def __call__(self, detail: str) -> None:
        """Show the latest detail."""
        if sys.stderr.isatty():
            clear()
            print(
                f"{self._what}: {detail}"[: shutil.get_terminal_size().columns - 1],
                end="",
                file=sys.stderr,
                flush=True,
            )
