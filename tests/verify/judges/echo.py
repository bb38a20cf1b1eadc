"""Judge of the contract `echo`: `program PORT` sends back to each client what it receives from it.

It listens on 127.0.0.1; port 0 is a free one, and a line on standard output ends with the port. It ends with
exit status 0 on SIGTERM or SIGINT.

Arguments: the program, then the cases to run (default: all). If a case crashes the server, it is started
again for the next case. There are no threads here, because the sandbox allows few of them.
"""

import contextlib
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from tests.verify.judges.common import (
    MIB,
    Cases,
    deny_io_uring,
    descriptors,
    keep_small_pages,
    listeners,
    payload,
    quote,
    resident_memory,
    run,
    scratch,
    tell_status,
)

CASES = Cases()

#: Seconds for the server to start or to end, and to go on with an exchange.
PROMPT = 15
PATIENCE = 30

#: Clients at once, and clients that send but do not read.
MANY = 200
DEAF = 10

#: After so many clients the server must not have grown by more than GROWTH bytes.
CLIENTS = 300
GROWTH = MIB // 2

#: Bytes that the server may occupy while clients do not read, more than without them; and what each of these
#: clients sends at most. A part of it is in the buffers of the two sockets, which take up to 10 MiB.
MOST_MEMORY = 64 * MIB
MOST_SENT = 24 * MIB


class Server:
    """The program, started on demand."""

    def __init__(self, program):
        self.program = program
        self.port = None
        self._process = None
        self._errors = None

    def start(self, preexec=keep_small_pages):
        """Start it; return whether it says its port."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the server is stopped
        self._process = subprocess.Popen(
            [self.program, "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            preexec_fn=preexec,
        )
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = os.read(self._process.stdout.fileno(), 1000) if selector.select(PROMPT) else b""
        found = re.search(rb"(\d+)\n$", line)
        self.port = int(found.group(1)) if found else None
        return self.port is not None

    def up(self):
        """Return whether it runs; start it if it does not."""
        if self._process is not None and self._process.poll() is None:
            return True
        self.stop()
        return self.start()

    def stop(self, number=signal.SIGKILL):
        """Send it a signal; return its exit status and a description of how it ended."""
        if self._process is None:
            return None, "it did not start"
        with contextlib.suppress(OSError):
            self._process.send_signal(number)
        try:
            status = self._process.wait(PROMPT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            status = None
        self._errors.seek(0)
        errors = self._errors.read()
        self._errors.close()
        self._process.stdout.close()
        self._process = None
        return status, tell_status(status) + quote(errors)

    def connect(self):
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def descriptors(self):
        """Count its open files."""
        return descriptors(self._process)

    def memory(self):
        """Return its resident memory in bytes."""
        return resident_memory(self._process)


def exchange(clients, datas, finish=True):
    """Send each client's data and receive meanwhile; return whether each has got back just its own.

    Args:
        clients: connections.
        datas: what each is to send.
        finish: shut down the sending side afterwards, and expect the end of the connection.

    """
    sent, got = [0] * len(clients), [bytearray() for _ in clients]
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE, number)
        while selector.get_map():
            events = selector.select(PATIENCE)
            if not events:
                return False
            for key, event in events:
                number, client = key.data, key.fileobj
                if event & selectors.EVENT_WRITE:
                    sent[number] += client.send(datas[number][sent[number] : sent[number] + MIB])
                    if sent[number] == len(datas[number]):
                        if finish:
                            client.shutdown(socket.SHUT_WR)
                        selector.modify(client, selectors.EVENT_READ, number)
                if event & selectors.EVENT_READ:
                    block = client.recv(MIB)
                    got[number] += block
                    complete = len(got[number]) >= len(datas[number])
                    if not block or (complete and not finish):
                        selector.unregister(client)
    return all(bytes(one) == bytes(other) for one, other in zip(got, datas))


def echoed(server, *datas):
    """Exchange data, each on its own connection; return whether it was right, and what was found."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in datas]
        good = exchange(clients, datas)
    return good, "{} of {} clients".format("all" if good else "not all", len(datas))


def case(name, expected):
    """Register a function as a case; afterwards the server must still run and answer."""

    def add(function):
        def tried(server):
            if not server.up():
                return False, server.stop()[1]
            try:
                good, found = function(server)
            except OSError as problem:
                good, found = False, f"no answer: {problem}"
            try:
                alive = server.up() and echoed(server, b"afterwards")[0]
            except OSError:
                alive = False
            return good and alive, found if alive else f"{found}; then no answer: {server.stop()[1]}"

        tried.__doc__ = function.__doc__
        CASES.case(name, expected)(tried)
        return function

    return add


@case("starts", "it to say its port and to answer")
def starts(server):
    """All other cases need a running server."""
    return echoed(server, b"hello")


@case("loopback only", "it to listen on 127.0.0.1 and nowhere else")
def loopback_only(server):
    """Nobody outside may use it."""
    found = listeners(server.port)
    return found == ["0100007F"], "listening on {}".format(", ".join(found))


@case("no data", "the end of the connection when the client has ended it")
def no_data(server):
    """A client that closes without a word must not be kept."""
    return echoed(server, b"")


@case("dialogue", "each piece back before the next is sent")
def dialogue(server):
    """It must not wait until it has more."""
    with server.connect() as client:
        for size in (1, 10, 1000, 4095, 4096, 4097, 20000):
            if not exchange([client], [payload(size)], finish=False):
                return False, f"not {size} bytes"
    return True, "7 pieces"


@case("32 MiB", "all of it, in order")
def large(server):
    """It is more than any buffer holds, so reading and sending take turns."""
    return echoed(server, payload(32 * MIB + 1))


@case("many clients", f"{MANY} clients at once each to get back its own data")
def many_clients(server):
    """Their data share the server's buffers, and must not be mixed."""
    return echoed(server, *(payload(20000 + number)[number:] for number in range(MANY)))


@case("many large clients", "20 clients at once with 1 MiB each to get it back")
def many_large_clients(server):
    """Together they need more buffers than the server may have."""
    return echoed(server, *(payload(MIB + number)[number:] for number in range(20)))


@case("idle clients", f"an answer while {MANY} clients are connected and silent")
def idle_clients(server):
    """Who waits must not cost the others anything."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(MANY)]
        good, found = echoed(server, payload(20000))
        return good and exchange(clients, [b"at last"] * MANY), found


def send_without_reading(client, data, seconds):
    """Send until the server has taken no more for some seconds, or all of it; return how much it took."""
    client.setblocking(False)
    last, sent = time.monotonic(), 0
    while sent < len(data) and time.monotonic() < last + seconds:
        try:
            sent += client.send(data[sent : sent + MIB])
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    return sent


def fill(server, stack):
    """Connect a client that sends until the server takes no more from it, or has taken too much."""
    send_without_reading(stack.enter_context(server.connect()), bytes(MOST_SENT), 0.2)


@case("deaf clients", f"an answer in bounded memory while {DEAF} clients send and do not read")
def deaf_clients(server):
    """What the server keeps for them must have a limit, and leave room for the others."""
    before = server.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(DEAF):
            fill(server, stack)
        grown = server.memory() - before
        good, found = echoed(server, payload(20000))
    return good and grown < MOST_MEMORY, f"{found}, {grown} bytes more"


@case("slow reader", "all data also for a client that begins to read late")
def slow_reader(server):
    """The server stops to read from it for a while, and has to start again."""
    data = payload(16 * MIB)
    with server.connect() as client:
        sent = send_without_reading(client, data, 0.5)
        client.settimeout(PATIENCE)
        got = bytearray()
        while len(got) < sent:
            block = client.recv(MIB)
            if not block:
                break
            got += block
    return bytes(got) == data[:sent], f"{len(got)} of {sent} bytes"


def settled(server, descriptors):
    """Wait until the server has no more open files than before; return how many more it has."""
    end = time.monotonic() + PROMPT
    while server.descriptors() > descriptors and time.monotonic() < end:
        time.sleep(0.05)
    return server.descriptors() - descriptors


@case("reset", "the connection to be forgotten, and the server to go on")
def reset(server):
    """A client that vanishes in the middle is an error of one connection."""
    before = server.descriptors()
    for size in (0, 1, 100000, 8 * MIB):
        for _ in range(5):
            client = server.connect()
            client.settimeout(0.05)
            with contextlib.suppress(OSError):
                client.sendall(payload(size))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    more = settled(server, before)
    return more == 0, f"{more} descriptors more"


@case("growth", f"no more memory and descriptors after {CLIENTS} clients")
def growth(server):
    """A leak ends every server sooner or later."""
    for _ in range(50):
        echoed(server, payload(20000))  # whatever it allocates once
    descriptors, memory = server.descriptors(), server.memory()
    for _ in range(CLIENTS):
        if not echoed(server, payload(20000))[0]:
            return False, "a wrong answer"
    more, grown = settled(server, descriptors), server.memory() - memory
    return more == 0 and grown < GROWTH, f"{more} descriptors and {grown} bytes more"


@case("signals", "exit status 0 soon after SIGTERM or SIGINT, although clients are connected")
def signals(server):
    """A service manager ends a server by SIGTERM, and kills it if that takes long."""
    found = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.ExitStack() as stack:
            if not server.up():
                return False, server.stop()[1]
            stack.enter_context(server.connect()).sendall(b"hello")
            fill(server, stack)
            found.append(server.stop(number))
    return [status for status, _ in found] == [0, 0], "; ".join(text for _, text in found)


@case("port in use", "a message and an exit status over 0")
def port_in_use(server):
    """Two servers cannot have the same port, and the second one has to say so."""
    outcome = run([server.program, str(server.port)])
    return outcome.refused, str(outcome)


def serve_without_io_uring(server):
    """Start it with io_uring denied and exchange some data."""
    server.stop()
    try:
        good = server.start(deny_io_uring) and echoed(server, b"hello")[0]
    except OSError:
        good = False
    status, found = server.stop() if good else server.stop(0)
    return good, status, found


def io_uring_denied(server):
    """Many hosts deny io_uring, and a program has to report that."""
    good, status, found = serve_without_io_uring(server)
    return good or (bool(status) and status > 0 and "saying" in found), found


def without_io_uring(server):
    """A program that uses io_uring fails this case."""
    good, _, found = serve_without_io_uring(server)
    return good, found


CASES.case("io_uring denied", "it to serve, or to end with a message and an exit status over 0")(
    io_uring_denied
)
CASES.case("without io_uring", "it to serve where io_uring is denied")(without_io_uring)


if __name__ == "__main__":
    with scratch():
        judged = Server(sys.argv[1])
        try:
            CASES.judge(judged, sys.argv[2:])
        finally:
            judged.stop()
