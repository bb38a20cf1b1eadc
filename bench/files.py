"""The cases of cat and cp: one large file or many small ones, cached or not."""

import functools
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.errors import BenchError
from bench.programs import Program
from bench.rounds import Case, Figures

MIB = 1 << 20
LARGE = 512 * MIB
SMALL = MIB
SMALL_COUNT = 256

#: A turn takes the median of so many runs, because a single run is short.
RUNS = 3

#: Seconds after which a run is killed.
RUN_TIME = 60


@dataclass(frozen=True)
class Work:
    """The task of a copier.

    size, count: bytes per file, and number of files
    cold: remove them from the page cache before each run
    output: `null` (/dev/null), `pipe` (to another cat), `file`, or `argument` (a file name, as for cp)
    """

    size: int
    count: int
    cold: bool
    output: str


def cases(programs: list[Program], directory: Path) -> Iterator[Case]:
    """Yield the cases. directory: on a disk, with enough space for the files, which are made on demand."""
    scratch = directory / "files"
    scratch.mkdir()
    processes.give(scratch)
    cats = {"cat": ["cat"]} | _of(programs, "cat", LARGE)
    cats_of_small = {"cat": ["cat"]} | _of(programs, "cat", SMALL)
    # cp lets the kernel copy, or even share the blocks; with --reflink=never it reads and writes.
    cps = {"cp": ["cp"], "cp --reflink=never": ["cp", "--reflink=never"]} | _of(programs, "cp", LARGE)
    for title, label, commands, work in (
        ("cat", "512 MiB, warm", cats, Work(LARGE, 1, False, "null")),
        ("cat", "512 MiB, warm, to a pipe", cats, Work(LARGE, 1, False, "pipe")),
        ("cat", "512 MiB, warm, to a file", cats, Work(LARGE, 1, False, "file")),
        ("cat", "512 MiB, cold", cats, Work(LARGE, 1, True, "null")),
        ("cat", "256 files of 1 MiB, warm", cats_of_small, Work(SMALL, SMALL_COUNT, False, "null")),
        ("cp", "512 MiB, warm", cps, Work(LARGE, 1, False, "argument")),
        ("cp", "512 MiB, cold", cps, Work(LARGE, 1, True, "argument")),
    ):
        turns: dict[str, Callable[[], Figures]] = {
            name: functools.partial(turn, command, work, scratch) for name, command in commands.items()
        }
        yield Case(title, label, next(iter(commands)), "time", turns)


@functools.cache
def inputs(directory: Path, size: int, count: int) -> tuple[Path, ...]:
    """Write files of random bytes once, and return them.

    Raises:
        BenchError: there is not enough space for them and a copy.

    """
    wanted = 3 * size * count
    if shutil.disk_usage(directory).free < wanted:
        raise BenchError(f"less than {wanted // MIB} MiB are free in {directory}")
    paths = tuple(directory / f"{size}-{number:03}" for number in range(count))
    for path in paths:
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
            file.flush()
            os.fsync(file.fileno())  # dirty pages could not be removed from the page cache
        processes.give(path)  # the kernel tells only the owner whether a file is cached
    return paths


def _of(programs: list[Program], contract: str, size: int) -> dict[str, list[str]]:
    """Return the samples of a contract that copy a file of this size correctly."""
    return {
        program.name: [str(program.path)]
        for program in programs
        if program.entry["contract"] == contract and size <= (program.entry.get("identical_up_to") or size)
    }


@functools.cache
def check(command: tuple[str, ...], files: tuple[Path, ...], copies: bool, directory: Path) -> None:
    """Check once that a program's output is correct. Raises BenchError."""
    expected = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while piece := file.read(MIB):
                expected.update(piece)
    seen = hashlib.sha256()
    destination = directory / "copy"
    arguments = [*command, *map(str, files), *([str(destination)] if copies else [])]
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **processes.unprivileged(),
    )
    limit = threading.Timer(RUN_TIME, process.kill)
    limit.start()
    try:
        while piece := process.stdout.read(MIB):
            seen.update(piece)
        errors = process.communicate()[1].decode(errors="replace").strip()
        if copies and process.returncode == 0:
            with destination.open("rb") as file:
                while piece := file.read(MIB):
                    seen.update(piece)
    finally:
        limit.cancel()
        process.kill()
        destination.unlink(missing_ok=True)
    if process.returncode or seen.digest() != expected.digest():
        raise BenchError(
            f"its output is wrong, exit status {process.returncode}, {errors[-200:] or 'no message'}"
        )


def turn(command: list[str], work: Work, directory: Path) -> Figures:
    """Run a program RUNS times.

    Returns:
        `time`: the median of the elapsed times; `cpu`: that run's processor time. Both in seconds.

    Raises:
        BenchError: its output is wrong, or it failed.

    """
    files = inputs(directory, work.size, work.count)
    check(tuple(command), files, work.output == "argument", directory)
    runs = sorted(run(command, work, files, directory) for _ in range(RUNS))
    seconds, cpu = runs[len(runs) // 2]
    return {"time": seconds, "cpu": cpu}


def run(command: list[str], work: Work, files: tuple[Path, ...], directory: Path) -> tuple[float, float]:
    """Run a program once; return its time and its processor time, in seconds."""
    if work.cold:
        evict(files)
    destination = directory / "copy"
    arguments = [*command, *map(str, files), *([str(destination)] if work.output == "argument" else [])]
    reader = None
    with (destination if work.output == "file" else Path(os.devnull)).open("wb") as output:
        if work.output == "pipe":
            reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
        started = time.perf_counter()
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=reader.stdin if reader else output,
            stderr=subprocess.DEVNULL,
            **processes.unprivileged(),
        )
        limit = threading.Timer(RUN_TIME, process.kill)
        limit.start()
        try:
            # Not Popen.wait() with a timeout, which polls and is too coarse.
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            limit.cancel()
            if process.returncode is None:  # we were interrupted
                process.kill()
                process.wait()
            if reader:
                reader.stdin.close()
                reader.wait()
    try:
        if process.returncode:
            raise BenchError(f"exit status {process.returncode}")
        if work.output in ("file", "argument") and destination.stat().st_size != work.size * work.count:
            raise BenchError("the copy is not as long as the file")
    finally:
        destination.unlink(missing_ok=True)
    return seconds, usage.ru_utime + usage.ru_stime


def evict(paths: tuple[Path, ...]) -> None:
    """Remove only these files from the page cache, without root, and check that they are gone.

    Raises:
        BenchError: the file system keeps its files in memory, like tmpfs.

    """
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    answer = subprocess.run(
        ["fincore", "--bytes", "--noheadings", "--output", "RES", *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    if resident := sum(map(int, answer.stdout.split())):
        raise BenchError(f"{resident} bytes stay in the page cache: no cold case on this file system")
