"""Measure the samples against coreutils, nginx and upstream's samples, side by side.

Usage: python -m bench.samples [--rounds 5] [--seconds 2] [--filter REGEX] [--upstream FOLDER]
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import files, network, nginx, programs, rounds, servers, table
from bench.errors import BenchError
from bench.output import Progress, clear, computer, say, write
from bench.programs import ROOT

REPORTS = ROOT / "reports" / "bench-samples"

#: Where the files are made: on a disk, while /tmp may be in memory.
SCRATCH = "/var/tmp"  # noqa: S108  # the directory made there has an unpredictable name


def main() -> int:
    """Measure, print the tables, write the reports, and return an exit status."""
    arguments = parse()
    # SIGTERM takes the same clean-up path as Ctrl-C, so that no server is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="uring-lab-bench-", dir=SCRATCH) as scratch:
            directory = Path(scratch)
            directory.chmod(0o755)  # for nobody
            return compare(arguments, directory)
    except BenchError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Measure the samples against coreutils, nginx and upstream's samples."
    )
    parser.add_argument("--rounds", type=count, default=5, help="rounds per case (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=count, default=2, help="load on a server per round (default: %(default)s)"
    )
    parser.add_argument(
        "--filter",
        type=pattern,
        default=re.compile(""),
        metavar="REGEX",
        help="only contenders whose 'CASE: CONTENDER' matches",
    )
    parser.add_argument(
        "--upstream", metavar="FOLDER", help="a clone of upstream's samples; default: from GitHub"
    )
    return parser.parse_args()


def count(text: str) -> int:
    """Return a number from 1 on, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def pattern(text: str) -> re.Pattern:
    """Return a regular expression, for argparse."""
    try:
        return re.compile(text)
    except re.error as problem:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {problem}") from problem


def compare(arguments: argparse.Namespace, directory: Path) -> int:
    """Build, measure, print and write the results; return an exit status."""
    say("building the samples")
    built, left_out = programs.build_all(directory, arguments.upstream or None)
    server = nginx.find()
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    about = describe(arguments, server)
    network.leave()
    every = [*files.cases(built, directory), *servers.cases(built, server, directory, arguments.seconds)]
    cases = [kept for case in every if (kept := chosen(case, arguments.filter))]
    if not cases:
        raise BenchError(f"nothing has {arguments.filter.pattern!r} in its name")
    results: list[rounds.Result] = []
    try:
        for number, case in enumerate(cases, 1):
            result = rounds.measure(case, arguments.rounds, Progress(f"[{number}/{len(cases)}] {case.name}"))
            results.append(result)
            clear()
            print(table.terminal(result) + "\n", flush=True)
    finally:
        if results:
            write(REPORTS, results, about, left_out)
    return 0


def chosen(case: rounds.Case, pattern: re.Pattern) -> rounds.Case | None:
    """Return the case with only the contenders that match, and the reference; None if none matches."""
    kept = [name for name in case.contenders if pattern.search(f"{case.name}: {name}")]
    if not kept:
        return None
    return replace(
        case,
        contenders={
            name: run for name, run in case.contenders.items() if name in kept or name == case.reference
        },
    )


def describe(arguments: argparse.Namespace, server: Path) -> dict:
    """Return the versions, the parameters and the computer of a measurement."""

    def first_line(*command: str) -> str:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return (answer.stdout.strip() or answer.stderr.strip()).partition("\n")[0]

    return {
        **computer(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "file_system": first_line("stat", "--file-system", "--format=%T", SCRATCH),
        "liburing": first_line("pkg-config", "--modversion", "liburing"),
        "nginx": nginx.version(server),
        "wrk": first_line("wrk", "-v"),
        "coreutils": first_line("cat", "--version"),
    }


if __name__ == "__main__":
    sys.exit(main())
