"""Judge of the contract `webserver`: `program` serves `public/` of its working directory on port 8000.

Arguments: the program, with the `public/` to serve beside it, then the cases to run (default: all). If a case
crashes the server, it is started again for the next case.
"""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.verify.judges.common import (
    MIB,
    Cases,
    deny_io_uring,
    descriptors,
    keep_small_pages,
    listeners,
    payload,
    quote,
    read,
    resident_memory,
    scratch,
    tell_status,
    write,
    write_unreadable,
)

CASES = Cases()

#: The cases only for servers that support HTTP/1.1.
HTTP_1_1 = (
    "keep-alive",
    "pipelining",
    "HTTP/1.0 closes",
    "HEAD and keep-alive",
    "ranges",
    "conditional requests",
    "preconditions",
    "no host",
    "bare CR",
    "error after HEAD",
)

PORT = 8000

#: Seconds the server may take to listen, to answer, and to end.
START_TIMEOUT = 15
ANSWER_TIMEOUT = 10
STOP_TIMEOUT = 10

#: Connections held open at once.
MANY = 200

#: After so many requests, or connections without a request (few, as each waits if the backlog is short), the
#: server must not have grown by more than GROWTH bytes.
REQUESTS = 600
EMPTY = 100
GROWTH = MIB // 2

TYPES = {
    "html": ("text/html",),
    "css": ("text/css",),
    "js": ("text/javascript", "application/javascript"),
    "png": ("image/png",),
    "jpg": ("image/jpeg",),
    "gif": ("image/gif",),
    "txt": ("text/plain",),
}

SECRET = b"this file is beside public/ and must not be served"

BIG = "big.txt"
BIG_SIZE = 8 * MIB

#: Invalid requests, to be answered by an error.
BROKEN = (
    b"GET /index.html\0.css HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET index.html HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1 and more\r\nHost: x\r\n\r\n",
    b"GET / SPDY\r\n\r\n",
    b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    bytes(range(256)) + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
)


class Server:
    """The program, started on demand."""

    def __init__(self, program):
        self.program = os.path.abspath(program)
        self._process = None
        self._errors = None
        self._hopeless = False

    def start(self, deny_uring=False):
        """Start it and wait until it listens or ends, or until the timeout."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the server is stopped
        self._process = subprocess.Popen(
            [self.program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            preexec_fn=deny_io_uring if deny_uring else keep_small_pages,
        )
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and self._process.poll() is None and not listeners(PORT):
            time.sleep(0.02)

    def up(self):
        """Return whether it runs and listens; start it unless an earlier start failed."""
        if self._process is None and not self._hopeless:
            self.start()
            self._hopeless = not self.runs()
        return self._process is not None and self.runs()

    def runs(self):
        """Return whether it runs and listens."""
        return self._process.poll() is None and bool(listeners(PORT))

    def stop(self):
        """Stop it, wait until the port is free (some milliseconds longer), and describe how it ended."""
        if self._process is None:
            return "it did not start"
        if not listeners(PORT):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # it is exiting
        ran = self._process.poll() is None
        if ran:
            self._process.kill()
        status = self._process.wait()
        self._errors.seek(0)
        errors = self._errors.read()
        self._errors.close()
        self._process = None
        end = time.monotonic() + START_TIMEOUT
        while listeners(PORT) and time.monotonic() < end:
            time.sleep(0.02)
        return "it ran" if ran else tell_status(status) + quote(errors)

    def terminate(self):
        """Send SIGTERM; return whether it ended in time with status 0 or by the signal, and how."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        return self.status() in (0, -signal.SIGTERM), self.stop()

    def status(self):
        """Return the exit status; None while it runs."""
        return self._process.poll()

    def descriptors(self):
        """Count its open files."""
        return descriptors(self._process)

    def memory(self):
        """Return its resident memory in bytes."""
        return resident_memory(self._process)


def case(name, expected, needs_server=True):
    """Register a function as a case; the server must still answer after it."""

    def add(function):
        def tried(server):
            if needs_server and not server.up():
                return False, server.stop()
            try:
                good, found = function(server)
            except (OSError, AnswerError) as problem:
                good, found = False, f"no answer: {problem}"
            if not needs_server:
                return good, found
            try:
                line = get("/").line
            except (OSError, AnswerError) as problem:
                line = f"no answer: {problem}"
            if " 200 " not in line + " ":
                return False, f"{found}; then GET / found {line!r}: {server.stop()}"
            return good, found

        tried.__doc__ = function.__doc__
        CASES.case(name, expected)(tried)
        return function

    return add


class AnswerError(Exception):
    """The answer is not valid HTTP."""


class Answer:
    """A parsed answer."""

    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        #: The status line.
        self.line = lines[0]
        #: By name in lower case. A malformed line is a name with an empty value.
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.body = body
        words = self.line.split(" ")
        if len(words) < 2 or words[0] not in ("HTTP/1.0", "HTTP/1.1") or not words[1].isdigit():
            raise AnswerError(f"{self.line[:80]!r} is no status line")
        self.status = int(words[1])

    def header(self, name):
        """Return a header's value, or an empty string."""
        return self.headers.get(name, "")

    @property
    def kind(self):
        """The content type without its parameters."""
        return self.header("content-type").split(";")[0].strip()

    @property
    def whole(self):
        """Whether the body has the stated length; without one, it ends with the connection."""
        return self.headers.get("content-length", str(len(self.body))) == str(len(self.body))

    def has(self, status, body):
        """Return whether it has this status and this body, with a content-length."""
        return self.status == status and self.body == body and self.whole and "content-length" in self.headers

    def __str__(self):
        return "{!r}, content-type {!r}, content-length {!r}, a body of {} bytes".format(
            self.line, self.header("content-type"), self.header("content-length"), len(self.body)
        )


class Client:
    """One connection to the server."""

    def __init__(self):
        self._socket = socket.create_connection(("127.0.0.1", PORT), ANSWER_TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data):
        """Send bytes."""
        self._socket.sendall(data)

    def finish(self):
        """Shut down the sending side."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Close the connection with a reset (RST)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def receive(self):
        """Receive some data; return False at the end of the connection."""
        block = self._socket.recv(256 * 1024)
        self._received += block
        return bool(block)

    def last_answer(self):
        """Return the answer after which the server closes."""
        blocks = [self._received]
        end = time.monotonic() + ANSWER_TIMEOUT
        while blocks[-1] or len(blocks) == 1:
            if time.monotonic() > end:
                raise AnswerError("no end of it in time")
            blocks.append(self._socket.recv(256 * 1024))
        head, gap, body = b"".join(blocks).partition(b"\r\n\r\n")
        if not head:
            raise AnswerError("closed without one")
        if not gap:
            raise AnswerError(f"{head[:80]!r} has no end of the head")
        return Answer(head, body)

    def next_answer(self, bodiless=False):
        """Return an answer that leaves the connection open; its content-length says where it ends."""
        while b"\r\n\r\n" not in self._received:
            if not self.receive():
                raise AnswerError("closed before it")
        head, _, rest = self._received.partition(b"\r\n\r\n")
        answer = Answer(head, b"")
        bodiless = bodiless or answer.status in (204, 304)
        length = 0 if bodiless else int(answer.headers.get("content-length", -1))
        if length < 0:
            raise AnswerError("no content-length in an answer that keeps the connection")
        self._received = rest
        while len(self._received) < length:
            if not self.receive():
                raise AnswerError("closed within it")
        answer.body, self._received = self._received[:length], self._received[length:]
        return answer

    def closed(self):
        """Return whether the connection ends here."""
        return not self._received and not self.receive()


def request(path, method="GET", version="1.1", headers=("Connection: close",)):
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")


def get(path, **options):
    """Request a path and read until the server closes."""
    return ask(request(path, **options))


def ask(*pieces):
    """Send a request in pieces, each as its own TCP segment, and read until the server closes."""
    with Client() as client:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.05)
            client.send(piece)
        return client.last_answer()


def refused(*pieces):
    """Send an invalid request; return whether the answer was an error or none, and what was found."""
    try:
        with Client() as client:
            for piece in pieces:
                client.send(piece)
            client.finish()
            answer = client.last_answer()
    except (OSError, AnswerError) as problem:
        return not isinstance(problem, socket.timeout), f"no answer: {problem}"
    return answer.status >= 400, str(answer)


def all_refused(requests):
    """Send several invalid requests, each on its own connection; stop at the first not refused."""
    found = []
    for number, pieces in enumerate(requests):
        good, text = refused(*pieces)
        if not good:
            return False, f"number {number + 1}: {text}"
        found.append(text.split(",")[0])
    return True, "; ".join(found)


@case("starts", "it to listen on port 8000 and to answer")
def starts(server):
    """All other cases need a running server."""
    return server.up(), "listening"


@case("loopback only", "it to listen on 127.0.0.1 and nowhere else")
def loopback_alone(_):
    """It serves files without access control."""
    found = listeners(PORT)
    return found == ["0100007F"], "listening on {}".format(", ".join(found))


@case("every file", "status 200, the file's type and length, and its bytes")
def every_file(server):
    """With a wrong length a browser waits or truncates; with a wrong type it shows the page as text."""
    public = Path(server.program).parent / "public"
    names = ["", *sorted(path.name for path in public.iterdir() if path.is_file())]
    for name in names:
        answer = get("/" + name)
        expected = read(public / (name or "index.html"))
        kinds = TYPES.get((name or "index.html").rpartition(".")[2])
        if not answer.has(200, expected) or (kinds and answer.kind not in kinds):
            return False, f"/{name}: {answer}, for {len(expected)} bytes"
    return len(names) > 1, f"{len(names)} right answers"


@case("types", "the type by the file's name: " + ", ".join(TYPES))
def types(_):
    """A browser relies on the stated type."""
    wrong = []
    for name, kinds in sorted(TYPES.items()):
        answer = get("/type." + name)
        if not answer.has(200, name.encode()) or answer.kind not in kinds:
            wrong.append(f"{name}: {answer}")
    return not wrong, "; ".join(wrong) or "all right"


@case("unknown type", "status 200, its bytes, and nothing but headers in the head")
def unknown_type(_):
    """Files of unlisted types must be served too."""
    for name in ("data.xyz", "README"):
        answer = get("/" + name)
        named = all(word.replace("-", "").isalnum() for word in answer.headers)
        if not answer.has(200, payload(1000)) or not named:
            return False, "/{}: {}, headers {}".format(name, answer, ", ".join(map(repr, answer.headers)))
    return True, str(answer)


@case("empty file", "status 200 and a body of no bytes")
def empty_file(_):
    """There is nothing to read, but an answer to send."""
    answer = get("/empty.txt")
    return answer.has(200, b""), str(answer)


@case("8 MiB file", "its bytes, more than any buffer of a socket takes at once")
def big_file(_):
    """A short write is not an error; the rest has to follow."""
    answer = get("/" + BIG)
    return answer.has(200, payload(BIG_SIZE)), str(answer)


@case("slow reader", "the whole file also for a client that takes its time")
def slow_reader(_):
    """While it waits for a client with full buffers, the server must serve the others."""
    with Client() as client:
        client.send(request("/" + BIG))
        client.receive()
        beside = get("/")
        time.sleep(0.5)
        answer = client.last_answer()
    return answer.has(200, payload(BIG_SIZE)) and beside.status == 200, f"{answer}; {beside}"


@case("missing file", "status 404 with a body of the stated length")
def missing_file(_):
    """A person needs a page that says so."""
    answer = get("/there-is-no-such-file.html")
    return answer.status == 404 and bool(answer.body) and answer.whole, str(answer)


@case("query", "the file that the path names")
def query(_):
    """A static file ignores the query."""
    answer = get("/type.txt?name=value&other=1")
    return answer.has(200, b"txt"), str(answer)


@case("percent-encoding", "the file that the path names")
def percent_encoding(_):
    """Every browser writes a space as %20."""
    answer = get("/with%20space%2Etxt")
    return answer.has(200, b"space"), str(answer)


@case("HEAD", "the head that a GET would have, without the body")
def head(_):
    """Caches and link checkers use it."""
    wanted, answer = get("/type.html"), get("/type.html", method="HEAD")
    same = all(
        answer.headers.get(name) == wanted.headers.get(name) for name in ("content-type", "content-length")
    )
    return answer.status == wanted.status == 200 and same and not answer.body, str(answer)


@case("other methods", "an error of the 4xx or 5xx kind that is no 404")
def other_methods(_):
    """The file exists, but only GET and HEAD are supported."""
    found = []
    for method, length in (("POST", 2), ("PUT", 2), ("DELETE", 0), ("OPTIONS", 0), ("BREW", 0), ("get", 0)):
        headers = ("Connection: close", f"Content-Length: {length}")
        answer = ask(request("/index.html", method=method, headers=headers) + b"x" * length)
        right = answer.status >= 400 and answer.status != 404 and answer.whole
        if not right and not (method == "OPTIONS" and answer.status in (200, 204)):
            return False, f"{method}: {answer}"
        found.append(f"{method} {answer.status}")
    return True, ", ".join(found)


@case("split request", "the same answer, in however many segments a request comes")
def split_request(_):
    """TCP preserves the order of bytes, not the segments in which they were sent."""
    whole = request("/type.txt")
    for pieces in (
        (whole[:2], whole[2:9], whole[9:]),
        (whole[:-3], whole[-3:-2], whole[-2:]),
    ):
        answer = ask(*pieces)
        if not answer.has(200, b"txt"):
            break
    return answer.has(200, b"txt"), str(answer)


@case("incomplete request", "an error or no answer")
def incomplete_request(_):
    """A client may close before its request is complete."""
    return all_refused([(b"GET\r\n",), (b"GET /index.html HT",), (b"G",)])


@case("empty request", "an error or no answer")
def empty_request(_):
    """A client may send only line ends."""
    return all_refused([(b"\r\n",), (b"\r\n\r\n",), (b"\n\n",)])


@case("broken requests", "an error or no answer")
def broken_requests(_):
    """Port scanners and faulty clients send invalid HTTP."""
    return all_refused([(data,) for data in BROKEN])


@case("long request line", "an error or no answer")
def long_request_line(_):
    """A line may be longer than a file name, a memory page or the server's buffer."""
    return all_refused([(request("/" + "a" * length),) for length in (1500, 5000, 100000)])


@case("long head", "an answer, an error, or none")
def long_head(_):
    """Endless headers must not fill the memory."""
    line = b"X-Long: " + b"a" * 1000 + b"\r\n"
    found = []
    for lines in (3, 70, 2000):
        try:
            with Client() as client:
                client.send(request("/type.txt")[:-2] + line * lines + b"\r\n")
                answer = client.last_answer()
            found.append(answer.line)
            if answer.status < 400 and not answer.has(200, b"txt"):
                return False, str(answer)
        except TimeoutError as problem:
            return False, str(problem)
        except (OSError, AnswerError) as problem:
            found.append(f"no answer: {problem}")
    return True, "; ".join(found)


@case("reset", "it to go on with the others")
def reset(_):
    """A client may disappear before its request, before the answer or within it."""
    for _ in range(5):
        for data, wait in (
            (b"", False),
            (b"GET /", False),
            (request("/" + BIG), False),
            (request("/" + BIG), True),
        ):
            client = Client()
            client.send(data)
            if wait:
                client.receive()
            client.reset()
    time.sleep(0.1)
    return True, "20 connections were reset"


@case("unreadable file", "status 403, 404 or 500")
def unreadable_file(_):
    """The server's user may not read every file."""
    write_unreadable("public/secret.html")
    answer = get("/secret.html")
    return answer.status in (403, 404, 500) and answer.whole, str(answer)


@case("directory", "a redirection or an error")
def directory(_):
    """A directory can be opened, but not read."""
    found = []
    for path in ("/folder", "/folder/"):
        answer = get(path)
        found.append(str(answer))
        if not 300 <= answer.status < 600:
            return False, "; ".join(found)
    return True, "; ".join(found)


@case("pipe", "an error, while others are served")
def pipe(_):
    """Opening a named pipe blocks until somebody opens its other end."""
    answer = get("/pipe")
    return answer.status >= 400, str(answer)


@case("traversal", "nothing from outside public/")
def traversal(_):
    """Path traversal is the oldest hole of web servers."""
    return nothing_secret(
        ("/../secret.txt", "/folder/../../secret.txt", "/./../secret.txt", "/..//secret.txt")
    )


@case("encoded traversal", "nothing from outside public/")
def encoded_traversal(_):
    """The same with percent-encoding."""
    return nothing_secret(
        ("/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2E%2E%2Fsecret.txt", "/folder/%2e%2e/../secret.txt")
    )


def nothing_secret(paths):
    """Request the file beside public/ and expect an error."""
    for path in paths:
        with Client() as client:
            client.send(request(path))
            try:
                answer = client.last_answer()
            except (AnswerError, ConnectionError):
                continue  # closed without an answer: fine too
        if answer.status < 400 or SECRET in answer.body:
            return False, f"{path}: {answer}"
    return True, f"all {len(paths)} refused"


@case("many connections", f"an answer on each of {MANY} connections at once")
def many_connections(_):
    """All clients connect before the first one sends a request."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client()) for _ in range(MANY)]
        for client in clients:
            client.send(request("/type.txt"))
        right = sum(client.last_answer().has(200, b"txt") for client in clients)
    return right == MANY, f"{right} right answers"


@case("idle connections", "others to be answered beside them")
def idle_connections(_):
    """One client sends nothing, one sends half a request, one does not read its answer."""
    with Client(), Client() as begun, Client() as full:
        begun.send(b"GET /type")
        full.send(request("/" + BIG))
        answers = [get("/type.txt") for _ in range(3)]
    return all(answer.has(200, b"txt") for answer in answers), str(answers[-1])


@case("growth", f"no more open files and memory after {REQUESTS} requests than before")
def growth(server):
    """A leak with each request uses up everything in time."""

    def some(number):
        for path in ("/", "/type.txt", "/there-is-no-such-file.html") * (number // 3):
            get(path)

    return grown(server, some, REQUESTS)


@case("empty connections", f"no more open files and memory after {EMPTY} of them than before")
def empty_connections(server):
    """Browsers open spare connections, and port scanners only connect."""

    def some(number):
        for _ in range(number):
            Client().__exit__()
        get("/")

    return grown(server, some, EMPTY)


def grown(server, some, number):
    """Compare the server's files and memory before and after; it may grow during a warm-up."""
    some(number // 5)
    files, memory = idle_descriptors(server), server.memory()
    some(number)
    more_files, more_memory = idle_descriptors(server) - files, server.memory() - memory
    found = f"{more_files:+d} open files, {more_memory:+d} bytes of memory"
    return more_files <= 1 and more_memory <= GROWTH, found


def idle_descriptors(server):
    """Count the server's open files after it has closed the last connection."""
    least = server.descriptors()
    for _ in range(10):
        time.sleep(0.02)
        least = min(least, server.descriptors())
    return least


@case("keep-alive", "one answer after the other on one connection")
def keep_alive(_):
    """A connection for each picture of a page would cost a round trip each."""
    with Client() as client:
        for name in ("txt", "html", "txt", "css"):
            client.send(request("/type." + name, headers=()))
            answer = client.next_answer()
            if not answer.has(200, name.encode()):
                return False, str(answer)
        client.send(request("/type.txt"))
        answer = client.last_answer()
    return answer.has(200, b"txt"), "four answers, and the end when asked for"


@case("pipelining", "the answers in the order of the requests")
def pipelining(_):
    """A client may send the next request before it has the answer."""
    names = sorted(TYPES)
    with Client() as client:
        client.send(b"".join(request("/type." + name, headers=()) for name in names))
        answers = [client.next_answer() for _ in names]
    right = all(answer.has(200, name.encode()) for answer, name in zip(answers, names))
    return right, "; ".join(answer.line for answer in answers)


@case("HTTP/1.0 closes", "the end of the connection after the answer")
def http_1_0_closes(_):
    """A client of HTTP/1.0 waits for the end of the connection."""
    answer = get("/type.txt", version="1.0", headers=())
    return answer.has(200, b"txt"), str(answer)


@case("HEAD and keep-alive", "the next answer right behind the head")
def head_and_keep_alive(_):
    """A single byte of a body would be taken as the start of the next answer."""
    with Client() as client:
        client.send(request("/" + BIG, method="HEAD", headers=()))
        first = client.next_answer(bodiless=True)
        client.send(request("/type.txt", headers=()))
        second = client.next_answer()
    good = first.status == 200 and first.header("content-length") == str(BIG_SIZE) and second.has(200, b"txt")
    return good, f"{first}; {second}"


@case("ranges", "status 206 with the bytes asked for, and 416 beyond the end")
def ranges(_):
    """Resumed downloads and jumps within a video use them."""
    data = payload(BIG_SIZE)
    for text, first, last in (
        ("0-99", 0, 99),
        ("1000000-1000000", 1000000, 1000000),
        (f"{BIG_SIZE - 5000}-", BIG_SIZE - 5000, BIG_SIZE - 1),
        ("-70000", BIG_SIZE - 70000, BIG_SIZE - 1),
        (f"{BIG_SIZE - 1}-{10 * BIG_SIZE}", BIG_SIZE - 1, BIG_SIZE - 1),
    ):
        answer = get("/" + BIG, headers=("Connection: close", "Range: bytes=" + text))
        wanted = f"bytes {first}-{last}/{BIG_SIZE}"
        if not answer.has(206, data[first : last + 1]) or answer.header("content-range") != wanted:
            return False, "{}: {}, content-range {!r}".format(text, answer, answer.header("content-range"))
    beyond = get("/" + BIG, headers=("Connection: close", f"Range: bytes={BIG_SIZE}-"))
    good = beyond.status == 416 and beyond.header("content-range") == f"bytes */{BIG_SIZE}"
    return good, "{}, content-range {!r}".format(beyond, beyond.header("content-range"))


@case("conditional requests", "status 304 without a body for what the client has already, 200 otherwise")
def conditional_requests(_):
    """A cache asks whether its copy is still current."""
    first = get("/type.html")
    tries = []
    if first.header("etag"):
        tries += [("If-None-Match: " + first.header("etag"), 304), ('If-None-Match: "another"', 200)]
    if first.header("last-modified"):
        tries.append(("If-Modified-Since: " + first.header("last-modified"), 304))
        tries.append(("If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT", 200))
    for header, status in tries:
        answer = get("/type.html", headers=("Connection: close", header))
        if answer.status != status or answer.body != (b"" if status == 304 else b"html"):
            return False, f"{header}: {answer}"
    return bool(tries), f"{len(tries)} right answers"


@case("preconditions", "status 412 for another version of the file, 200 for this one")
def preconditions(_):
    """A client that puts a file together from ranges must not mix two versions."""
    first = get("/type.html")
    tries = [('If-Match: "another"', 412), ("If-Match: *", 200)]
    if first.header("last-modified"):
        tries.append(("If-Unmodified-Since: " + first.header("last-modified"), 200))
        tries.append(("If-Unmodified-Since: Thursday, 01-Jan-70 00:00:01 GMT", 412))
    for header, status in tries:
        answer = get("/type.html", headers=("Connection: close", header))
        if answer.status != status or (status == 200 and answer.body != b"html"):
            return False, f"{header}: {answer}"
    return True, f"{len(tries)} right answers"


@case("no host", "status 400")
def no_host(_):
    """HTTP/1.1 requires this header, with a host as its value."""
    for header in (b"", b"Host: a b\r\n"):
        answer = ask(b"GET / HTTP/1.1\r\nConnection: close\r\n" + header + b"\r\n")
        if answer.status != 400:
            break
    return answer.status == 400, str(answer)


@case("bare CR", "an error and the end of the connection")
def bare_cr(_):
    """If it passes for the end of a line, a proxy sees one request where the server sees two."""
    inner = request("/type.txt")
    return all_refused(
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"Content-Length: %d\r\n\r\n" % len(inner) + inner,)
        for line in (b"\rA: b\r\n", b"\r\r\n")
    )


@case("error after HEAD", "an error with its body, as after any other request")
def error_after_head(_):
    """The method of a request whose head was not read to its end is not that of the request before."""
    with Client() as client:
        client.send(request("/type.txt", method="HEAD", headers=()))
        client.next_answer(bodiless=True)
        client.send(request("/type.txt", headers=("Cookie: " + "x" * 100000,)))
        answer = client.last_answer()
    return answer.status >= 400 and answer.whole and bool(answer.body), str(answer)


@case(
    "SIGTERM", f"it to end within {STOP_TIMEOUT} s, with exit status 0 or by the signal", needs_server=False
)
def sigterm(server):
    """Service managers end a server like this; clients that do nothing must not prevent it."""
    if server.up():
        with Client(), Client() as deaf:
            deaf.send(request("/" + BIG))
            deaf.receive()
            return server.terminate()
    return False, server.stop()


@case(
    "io_uring denied", "it to serve, or to end with a message and an exit status over 0", needs_server=False
)
def io_uring_denied(server):
    """Many hosts deny io_uring, and a program has to report that."""
    good, found = serve_without_io_uring(server)
    return good or (
        found.startswith("exit status") and "saying" in found and "exit status 0" not in found
    ), found


@case("without io_uring", "it to serve where io_uring is denied", needs_server=False)
def without_io_uring(server):
    """A program that uses io_uring fails this case."""
    return serve_without_io_uring(server)


def serve_without_io_uring(server):
    """Start it with io_uring denied and send one request."""
    server.stop()
    server.start(deny_uring=True)
    try:
        good = server.runs() and get("/").status == 200
    except (OSError, AnswerError):
        good = False
    return good, server.stop()


def furnish(program):
    """Make a `public/` here: a copy of the one beside the program, and further files."""
    shutil.copytree(os.path.join(os.path.dirname(os.path.abspath(program)), "public"), "public")
    write("secret.txt", SECRET)
    for name in TYPES:
        write("public/type." + name, name.encode())
    write("public/data.xyz", payload(1000))
    write("public/README", payload(1000))
    write("public/with space.txt", b"space")
    write("public/empty.txt", b"")
    write("public/" + BIG, payload(BIG_SIZE))
    os.mkdir("public/folder")
    os.mkfifo("public/pipe")


if __name__ == "__main__":
    with scratch():
        furnish(sys.argv[1])
        judged = Server(sys.argv[1])
        try:
            CASES.judge(judged, sys.argv[2:])
        finally:
            judged.stop()
