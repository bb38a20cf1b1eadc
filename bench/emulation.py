"""Compare settings for the emulation of a lab machine's processor, by typical work of a provisioning.

Usage: python -m bench.emulation [--suite bookworm] [--rounds 3]
"""

import argparse
import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from bench import table
from bench.errors import BenchError
from bench.processes import cpu_time
from bench.rounds import Case, Figures, Result, measure
from lab import accelerator, access, machine, state
from lab.errors import LabError

NAME = "bench-emulation"
REFERENCE = "max, 512 MiB"
#: By the name in the table: the processor, and the MiB for translated code.
CONTENDERS = {
    REFERENCE: ("max,-cx16", 512),
    "max, 256 MiB": ("max,-cx16", 256),
    "qemu64, 256 MiB": ("qemu64,-cx16", 256),
}
#: Shell commands, in this order.
JOBS = {
    "apt-get update": "sudo apt-get update -q",
    "apt-get install gcc": "sudo apt-get install -y -q --no-install-recommends gcc libc6-dev",
    "compile": "printf '#include <stdio.h>\\nint main(void) { return puts(\"\") < 0; }\\n' >a.c; "
    "for i in 1 2 3 4 5 6 7 8; do cc -O2 a.c; done",
}
START, REBOOT = "power-on to ssh", "three reboots"
#: Seconds for one reboot.
PATIENCE = 300


def main() -> int:
    """Measure, print a table per job, and return an exit status."""
    parser = argparse.ArgumentParser(description="Compare settings for the emulation of a lab machine.")
    parser.add_argument("--suite", help="the machine's release (default: this computer's)")
    parser.add_argument("--rounds", type=int, default=3, help="after the warm-up (default: %(default)s)")
    arguments = parser.parse_args()
    turns = {name: functools.partial(turn, name, arguments.suite) for name in CONTENDERS}
    case = Case("emulation", "all jobs", REFERENCE, "time", turns)
    result = measure(case, arguments.rounds, lambda detail: print(detail, file=sys.stderr))
    for job in (START, *JOBS, REBOOT):
        print(table.terminal(part(result, job)))
    return 0


def turn(name: str, suite: str | None) -> Figures:
    """Run every job once in a new machine.

    Returns:
        By the job's name the elapsed seconds, and by the name with ` cpu` QEMU's processor time in seconds.

    """
    processor, translations = CONTENDERS[name]
    settings = {"EMULATED_PROCESSOR": processor, "TRANSLATIONS": translations, "processors": lambda: 1}
    figures: Figures = {}
    with (
        mock.patch.multiple(accelerator, **settings),
        mock.patch.dict(os.environ, URING_LAB_ACCELERATOR="tcg"),
    ):
        machine.down(NAME)
        try:
            start = time.perf_counter()
            found = machine.up(NAME, "vm", suite)
            figures[START] = time.perf_counter() - start
            figures[f"{START} cpu"] = used()
            for job, line in JOBS.items():
                with timed(figures, job):
                    run(found, line)
            with timed(figures, REBOOT):
                for _ in range(3):
                    reboot(found)
        except LabError as problem:
            raise BenchError(str(problem)) from problem
        finally:
            machine.down(NAME)
    return figures


@contextlib.contextmanager
def timed(figures: Figures, job: str) -> Iterator[None]:
    """Measure a job and add its figures."""
    before, start = used(), time.perf_counter()
    yield
    figures[job], figures[f"{job} cpu"] = time.perf_counter() - start, used() - before


def used() -> float:
    """Return the processor time that the machine's QEMU has used, in seconds."""
    return cpu_time(Path("/proc", str(state.load(machine.get(NAME).directory).process.pid)))


def run(found: machine.Machine, line: str) -> str:
    """Run a shell command in the machine and return its output. Raises BenchError when it fails."""
    command = access.ssh(found.directory, NAME, line)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{line}: {done.stderr.strip()[-200:]}")
    return done.stdout


def reboot(found: machine.Machine) -> None:
    """Reboot the machine and wait until it is up. Raises BenchError when it does not come back."""
    ask = "cat /proc/sys/kernel/random/boot_id"
    before, until = run(found, ask), time.monotonic() + PATIENCE
    run(found, "sudo systemctl --no-block reboot")
    while time.monotonic() < until:
        with contextlib.suppress(BenchError):
            if run(found, ask) != before:
                return
        time.sleep(0.5)
    raise BenchError(f"no answer within {PATIENCE} s of a reboot")


def part(result: Result, job: str) -> Result:
    """Return the figures of one job as a separate result."""
    turns: dict[str, Callable[[], Figures]] = result.case.contenders
    rounds = {
        name: [{"time": one[job], "cpu": one[f"{job} cpu"]} for one in found]
        for name, found in result.rounds.items()
    }
    return Result(Case("emulation", job, REFERENCE, "time", turns), rounds, result.failed)


if __name__ == "__main__":
    sys.exit(main())
