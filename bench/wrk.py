"""Generates load on a web server by wrk."""

import json
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.rounds import Figures

SCRIPT = Path(__file__).with_name("wrk.lua")

#: Seconds after which a request of wrk times out; seconds that wrk may take to end after its duration.
PATIENCE = 5
GRACE = 10


@dataclass(frozen=True)
class Load:
    """The load on a server.

    url: of the file to fetch
    size: of the file, in bytes
    connections: at the same time
    keep_alive: whether connections are reused, unless the server closes them
    seconds: the duration
    threads: of wrk, at most as many as connections
    """

    url: str
    size: int
    connections: int
    keep_alive: bool
    seconds: int
    threads: int = 1


def run(load: Load, prefix: list[str]) -> Figures:
    """Run wrk.

    prefix: a command to run wrk with, such as taskset

    Returns:
        `rate` (requests per second), `p99` (seconds), `requests`, and `wrk_cpu`: wrk's own processor time per
        request, in seconds. A server that needs less than that waits for wrk.

    Raises:
        BenchError: an answer was not 200, or short, or did not come.

    """
    command = [*prefix, "wrk", "--script", str(SCRIPT), "--timeout", f"{PATIENCE}s"]
    command += ["--threads", str(min(load.threads, load.connections)), "--connections", str(load.connections)]
    command += ["--duration", f"{load.seconds}s"]
    if not load.keep_alive:
        command += ["--header", "Connection: close"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        output = subprocess.run(
            [*command, load.url],
            capture_output=True,
            text=True,
            check=True,
            timeout=load.seconds + PATIENCE + GRACE,
        ).stdout
    except subprocess.TimeoutExpired as problem:
        raise BenchError(f"wrk did not end within {problem.timeout:.0f} s") from problem
    except subprocess.CalledProcessError as problem:
        raise BenchError(f"wrk: {(problem.stderr or problem.stdout).strip()[-200:]}") from problem
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = read(output, load.size)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return figures | {"wrk_cpu": used / figures["requests"]}


def read(output: str, size: int) -> Figures:
    """Parse wrk's output; `size`: the bytes of each answer's body. Returns as run(), without `wrk_cpu`."""
    try:
        seen = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError) as problem:
        raise BenchError(f"wrk's last line is not what {SCRIPT.name} prints: {output[-200:]!r}") from problem
    errors = ", ".join(f"{count} of {kind}" for kind, count in seen["errors"].items() if count)
    if errors:
        raise BenchError(f"wrk's errors in {seen['requests']} requests: {errors}")
    if not seen["requests"]:
        raise BenchError("not one request was answered")
    if seen["bytes"] < seen["requests"] * size:
        raise BenchError(
            f"the answers are too short: {seen['bytes']} bytes in {seen['requests']} of {size} bytes each"
        )
    return {
        "rate": seen["requests"] / (seen["microseconds"] / 1e6),
        "p99": seen["p99_microseconds"] / 1e6,
        "requests": seen["requests"],
    }
