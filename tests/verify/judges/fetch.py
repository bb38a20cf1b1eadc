"""Judge of the contract `fetch`: `program ADDRESS PORT PATH MILLISECONDS` prints the body of an HTTP answer.

The milliseconds are the time-out of each step. Exit status: 0, all of it was printed; 1, an error; 2, the
answer's status is not 200; 3, a step took too long; 128 + N, ended by signal N.

Arguments: the program, then the cases to run (default: all). The server is a thread of this judge.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from tests.verify.judges.common import (
    MIB,
    TIMEOUT,
    Cases,
    payload,
    quote,
    run,
    scratch,
    tell_status,
    write,
)

CASES = Cases()

#: The sandbox limits the address space.
threading.stack_size(256 * 1024)

#: Milliseconds for a step: when the time-out is not to come, and when it is.
PATIENT, IMPATIENT = 10000, 500

#: Seconds within which a cancelled program must have ended, also on a slow machine.
PROMPT = 5

#: Fetches at the same time.
MANY = 10

BODY = payload(1000)


def answer(body, status="200 OK", length=None):
    """Return an HTTP answer; the length is stated unless it is False."""
    stated = len(body) if length is None else length
    fields = [] if length is False else [f"Content-Length: {stated}"]
    head = "\r\n".join([f"HTTP/1.0 {status}", *fields, "", ""])
    return head.encode() + body


class Server:
    """Answers each client with pieces of bytes, with pauses in seconds between them.

    Args:
        pieces: bytes to send, and numbers of seconds to wait.
        stay: do not close at the end, but wait for the client to do so.

    """

    def __init__(self, *pieces, stay=False):
        self._pieces, self._stay = pieces, stay
        #: What the clients have sent.
        self.requests = []
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(100)
        self.port = self._listener.getsockname()[1]
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave the thread in accept()
        self._listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client):
        with contextlib.suppress(OSError), client:
            request = b""
            while b"\r\n\r\n" not in request:
                block = client.recv(4096)
                if not block:
                    return
                request += block
            self.requests.append(request)
            for piece in self._pieces:
                if isinstance(piece, bytes):
                    client.sendall(piece)
                else:
                    self._over.wait(piece)
            while self._stay and client.recv(4096):
                pass


def fetch(program, port, body=b"", milliseconds=PATIENT, path="/file", **options):
    """Fetch a path, and compare the output with a body."""
    command = [program, "127.0.0.1", str(port), path, str(milliseconds)]
    return run(command, write("expected", body), **options)


def ended(outcome, status):
    """Expect the right output, a message and an exit status."""
    return outcome.status == status and outcome.same and bool(outcome.errors), str(outcome)


def served(program, body, *pieces, **options):
    """Expect a body from a server."""
    with Server(*pieces) as server:
        outcome = fetch(program, server.port, body, **options)
    return outcome.right, str(outcome)


@CASES.case("body", "the body on standard output and exit status 0")
def body_of_an_answer(program):
    """The head of the answer is not a part of the file."""
    return served(program, BODY, answer(BODY))


@CASES.case("empty body", "no output and exit status 0")
def empty_body(program):
    """A file without content is no error."""
    return served(program, b"", answer(b""))


@CASES.case("16 MiB body", "all of it, and exit status 0")
def large_body(program):
    """It is more than any buffer holds, so it takes many receives and writes."""
    body = payload(16 * MIB + 1)
    return served(program, body, answer(body))


@CASES.case("without a length", "everything up to the end of the connection, and exit status 0")
def without_a_length(program):
    """HTTP/1.0 allows an answer that ends with the connection."""
    return served(program, BODY, answer(BODY, length=False))


@CASES.case("open connection", "it to end after the stated length")
def open_connection(program):
    """A server may leave the connection open."""
    with Server(answer(BODY), stay=True) as server:
        outcome = fetch(program, server.port, BODY)
    return outcome.right, str(outcome)


@CASES.case("slow answer", "the whole body, although all of it takes longer than one step may")
def slow_answer(program):
    """The time-out is that of a step: a slow server that makes progress is not cut off."""
    pieces = [BODY[first : first + 100] for first in range(0, 1000, 100)]
    head = answer(BODY)[: -len(BODY)]
    halves = [head[:20], 0.1, head[20:]]
    paused = [part for piece in pieces for part in (0.1, piece)]
    return served(program, BODY, *halves, *paused, milliseconds=800)


@CASES.case("request", "a GET request for the path, and nothing behind it")
def request_line(program):
    """A server that expects more would wait for ever."""
    with Server(answer(BODY)) as server:
        outcome = fetch(program, server.port, BODY, path="/some/file?query")
        seen = server.requests
    right = len(seen) == 1 and seen[0].startswith(b"GET /some/file?query HTTP/1.")
    return outcome.right and right and seen[0].endswith(b"\r\n\r\n"), f"{outcome}; requests {seen}"


@CASES.case("many at once", f"{MANY} programs at once each to get the body")
def many_at_once(program):
    """Each has its own ring, and they must not disturb each other."""
    with Server(0.5, answer(BODY)) as server:
        command = [program, "127.0.0.1", str(server.port), "/", str(PATIENT)]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(MANY)]
        right = [process.communicate()[0] == BODY and process.returncode == 0 for process in started]
    return all(right), f"{right.count(True)} right answers"


@CASES.case("not found", "exit status 2, a message and no output")
def not_found(program):
    """The page that comes with an error is not the file."""
    with Server(answer(b"<p>no such file", status="404 Not Found")) as server:
        return ended(fetch(program, server.port), 2)


@CASES.case("connection refused", "exit status 1 and a message")
def connection_refused(program):
    """There is nobody at the port."""
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # it does not listen
        return ended(fetch(program, unused.getsockname()[1]), 1)


@CASES.case("cut off", "exit status 1, a message, and what had come")
def cut_off(program):
    """A script must not take a half file for a whole one."""
    with Server(answer(BODY, length=len(BODY) + 1)) as server:
        return ended(fetch(program, server.port, BODY), 1)


@CASES.case("no HTTP", "exit status 1, a message and no output, whatever the server sends")
def no_http(program):
    """Another service may be at the port; and what never has an end must not fill the memory."""
    for pieces in ((), (b"\r\n\r\n",), (b"220 ready\r\n\r\n",), (bytes(range(256)),), (b"x" * MIB,)):
        with Server(*pieces) as server:
            good, found = ended(fetch(program, server.port), 1)
        if not good:
            return False, f"{pieces[0][:20] if pieces else b''!r}: {found}"
    return True, found


def timed_out(program, port, body=b""):
    """Expect the exit status for a time-out, in time."""
    start = time.monotonic()
    outcome = fetch(program, port, body, milliseconds=IMPATIENT)
    seconds = time.monotonic() - start
    good, found = ended(outcome, 3)
    return good and IMPATIENT / 1000 <= seconds < IMPATIENT / 1000 + PROMPT, f"{found}, after {seconds:.1f} s"


@CASES.case("silent server", "exit status 3 and a message after the time-out of the step")
def silent_server(program):
    """Without a time-out it would wait for ever."""
    with Server(60) as server:
        return timed_out(program, server.port)


@CASES.case("stalled answer", "exit status 3, a message, and what had come")
def stalled_answer(program):
    """Each step has its time-out, not only the first."""
    with Server(answer(BODY, length=len(BODY) + 1), 60) as server:
        return timed_out(program, server.port, BODY)


@contextlib.contextmanager
def crowded():
    """Make a port that answers nobody: the queue of a listener that does not accept is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(contextlib.closing(socket.socket()))
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield listener.getsockname()[1]


@CASES.case("no connection", "exit status 3 and a message after the time-out of the step")
def no_connection(program):
    """By itself the kernel tries for two minutes."""
    with crowded() as port:
        return timed_out(program, port)


def interrupted(program, port, number):
    """Send a signal to a running program; expect its end, and the exit status that a shell would report."""
    with tempfile.TemporaryFile() as errors:
        command = [program, "127.0.0.1", str(port), "/", str(60 * 1000)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        time.sleep(0.5)
        early = process.poll()
        process.send_signal(number)
        start = time.monotonic()
        try:
            status = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = None
        seconds = time.monotonic() - start
        process.stdout.close()
        errors.seek(0)
        said = errors.read()
    right = early is None and status == 128 + number and seconds < PROMPT and bool(said)
    return right, f"{tell_status(status)} after {seconds:.1f} s{quote(said)}"


@CASES.case("signals", "a message and exit status 128 + N soon after SIGTERM or SIGINT, in each step")
def signals(program):
    """Whatever it waits for is cancelled, so that it ends at once and by itself."""
    found = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with crowded() as port:
            found.append(("connecting", *interrupted(program, port, number)))
        with Server(60) as server:
            found.append(("receiving", *interrupted(program, server.port, number)))
        with Server(answer(payload(4 * MIB))) as server:
            found.append(("writing", *interrupted(program, server.port, number)))
    return all(good for _, good, _ in found), "; ".join(f"{step}: {text}" for step, _, text in found)


@CASES.case("full device", "exit status 1 and a message")
def full_device(program):
    """Output that could not be written is an error."""
    with Server(answer(BODY)) as server, open("/dev/full", "wb") as full:
        outcome = fetch(program, server.port, output=full)
    return outcome.status == 1 and outcome.refused, str(outcome)


@CASES.case("appended", "the body behind what the output had")
def appended(program):
    """The shell's >> must not overwrite the file."""
    write("output", b"before")
    with Server(answer(BODY)) as server, open("output", "ab") as output:
        outcome = fetch(program, server.port, output=output)
    with open("output", "rb") as output:
        found = output.read()
    return outcome.status == 0 and found == b"before" + BODY, f"{outcome}, {len(found)} bytes"


@CASES.case("usage", "a message and exit status 1 for arguments that make no sense")
def usage(program):
    """A port over 65535, or a path with a line end, must not become another request."""
    for arguments in (
        (),
        ("127.0.0.1", "80"),
        ("localhost.", "x", "/", "1000"),
        ("127.0.0.1", "0", "/", "1000"),
        ("127.0.0.1", "65616", "/", "1000"),
        ("127.0.0.1", "80", "file", "1000"),
        ("127.0.0.1", "80", "/ HTTP/1.0\r\nX: y", "1000"),
        ("127.0.0.1", "80", "/", "0"),
    ):
        outcome = run([program, *arguments])
        if outcome.status != 1 or b"usage" not in outcome.errors:
            return False, f"{arguments}: {outcome}"
    return True, str(outcome)


@CASES.case("io_uring denied", "it to work, or to end with a message and an exit status over 0")
def io_uring_denied(program):
    """Many hosts deny io_uring, and a program has to report that."""
    with Server(answer(BODY)) as server:
        outcome = fetch(program, server.port, BODY, deny_uring=True)
    return outcome.right or outcome.refused, str(outcome)


@CASES.case("without io_uring", "it to work where io_uring is denied")
def without_io_uring(program):
    """A program that uses io_uring fails this case."""
    return served(program, BODY, answer(BODY), deny_uring=True)


if __name__ == "__main__":
    with scratch():
        os.environ["LC_ALL"] = "C"
        CASES.judge(sys.argv[1], sys.argv[2:])
