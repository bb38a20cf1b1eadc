"""The cases of the web servers: with one processor each for server and wrk, or all processors for both."""

import functools
import http.client
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import nginx, processes, wrk
from bench.errors import BenchError
from bench.programs import Program
from bench.rounds import Case, Figures

SIZES = {"611 B": 611, "16 KiB": 16 << 10, "1 MiB": 1 << 20}
CONNECTIONS = (1, 32, 256)

#: The size that is also fetched with a new connection per request, whose cost matters most for small files.
CLOSED = "611 B"

REFERENCE = "nginx"

#: Further variants of a sample with one ring: name in the table, and arguments before the port.
VARIANTS = {"09_webserver_ring": {"09_webserver_ring -5": ["-5"]}}

#: The sample that supports one ring per processor.
MANY_RINGS = "09_webserver_ring"

#: Seconds for a server to answer its first request. A closed ring occupies its port for some milliseconds.
START_TIME = 5


@dataclass(frozen=True)
class Server:
    """How to start a server.

    command: run in a directory that contains public/
    port: on 127.0.0.1, different for each server
    mortal: it is known to die when a client disconnects, as wrk does at its end
    """

    command: list[str]
    port: int
    mortal: bool = False


def make_public(directory: Path) -> Path:
    """Make a directory with a public/ that has a file of each size; return it."""
    public = directory / "served" / "public"
    public.mkdir(parents=True)
    for size in SIZES.values():
        (public / f"{size}.html").write_bytes(os.urandom(size))
    return public.parent


def cases(programs: list[Program], nginx_program: Path, directory: Path, seconds: int) -> Iterator[Case]:
    """Yield the cases. directory: for the servers' files; seconds: of load in a turn."""
    served = make_public(directory)
    # Copied, because nobody may not enter our home, where an unpacked nginx is.
    program = Path(shutil.copy(nginx_program, directory / "nginx"))
    ports = iter(range(8001, 8100))
    make_nginx = functools.partial(_nginx, program, directory, served, ports)

    single = {
        REFERENCE: make_nginx(),
        "nginx, open_file_cache": make_nginx(cached=True),
    }
    many = {f"nginx, {processes.processors()} workers": make_nginx(workers=processes.processors())}
    for sample in programs:
        if sample.entry["contract"] != "webserver":
            continue
        if sample.entry["source"] == "upstream":  # it takes no port argument
            single[sample.name] = Server([str(sample.path)], 8000, mortal=True)
            continue
        for name, options in {sample.name: [], **VARIANTS.get(sample.name, {})}.items():
            port = next(ports)
            single[name] = Server([str(sample.path), *options, str(port)], port)
        if sample.name == MANY_RINGS:
            port = next(ports)
            rings = str(processes.processors())
            many[f"{sample.name} -r {rings}"] = Server([str(sample.path), "-r", rings, str(port)], port)

    def case(title: str, label: str, servers: dict[str, Server], pin: bool, load: wrk.Load) -> Case:
        turns: dict[str, Callable[[], Figures]] = {
            name: functools.partial(turn, server, served, load, pin, directory)
            for name, server in servers.items()
        }
        return Case(title, label, next(iter(servers)), "rate", turns)

    for keep_alive, size, connections in [
        *((True, size, connections) for size in SIZES for connections in CONNECTIONS),
        *((False, CLOSED, connections) for connections in CONNECTIONS),
    ]:
        load = wrk.Load("", SIZES[size], connections, keep_alive, seconds)
        title = f"server, {size}, {'keep-alive' if keep_alive else 'a connection a request'}"
        yield case(title, _connections(connections), single, True, load)
    for size in SIZES:
        for connections in CONNECTIONS[1:]:
            load = wrk.Load("", SIZES[size], connections, True, seconds, max(1, processes.processors() // 2))
            label = f"{size}, {_connections(connections)}"
            yield case("server, all processors, keep-alive", label, many, False, load)


def _connections(count: int) -> str:
    return f"{count} connection{'s' if count > 1 else ''}"


def _nginx(
    program: Path, directory: Path, served: Path, ports: Iterator[int], workers: int = 1, cached: bool = False
) -> Server:
    port = next(ports)
    own = directory / f"nginx-{port}"
    own.mkdir()
    processes.give(own)
    configuration = nginx.configure(own, served / "public", port, workers, cached)
    return Server([str(program), "-p", str(own), "-c", str(configuration)], port)


def turn(server: Server, served: Path, load: wrk.Load, pin: bool, directory: Path) -> Figures:
    """Start a server, check its answer, run wrk against it, and end it.

    Returns:
        The figures of wrk.run(), and the server's `cpu` (seconds of processor time per request) and `memory`
        (bytes).

    Raises:
        BenchError: it did not start, gave a wrong answer, or died.

    """
    body = (served / "public" / f"{load.size}.html").read_bytes()
    group = start(server, served, load.size, body, pin, directory)
    try:
        url = f"http://127.0.0.1:{server.port}/{load.size}.html"
        before = group.cpu()
        figures = wrk.run(replace(load, url=url), processes.pinned(-1) if pin else [])
        figures["cpu"] = (group.cpu() - before) / figures["requests"]
        figures["memory"] = group.memory()
        if not group.alive() and not server.mortal:
            raise BenchError(f"it died under the load: {group.said()}")
    finally:
        group.end()
    return figures


def start(
    server: Server, served: Path, size: int, body: bytes, pin: bool, directory: Path
) -> processes.Group:
    """Start a server and return it once it has answered with the right body."""
    log = Path(tempfile.mkstemp(dir=directory, suffix=".log")[1])
    command = [*(processes.pinned(0) if pin else []), *server.command]
    until = time.monotonic() + START_TIME
    group = processes.Group(command, served, log)
    reason = ""
    try:
        while time.monotonic() < until:
            if not group.alive():  # its port may not be free yet
                reason = group.said() or "it ended at once"
                group.end()
                time.sleep(0.05)
                group = processes.Group(command, served, log)
            try:
                status, answer = fetch(server.port, f"/{size}.html")
            except (OSError, http.client.HTTPException) as problem:
                reason = reason or str(problem)
                time.sleep(0.02)
                continue
            if (status, answer) == (200, body) and group.alive():
                return group
            reason = f"asked for {size} bytes it answered {status} with {len(answer)}"
            break
    except BaseException:
        group.end()
        raise
    group.end()
    raise BenchError(f"it does not serve: {reason}")


def fetch(port: int, path: str) -> tuple[int, bytes]:
    """Fetch a file once; return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIME)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
