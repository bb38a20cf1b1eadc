"""09_webserver_ring: it follows HTTP/1.1, survives every client, and does not leak.

All tests run with the set of operations for Linux 5.6, also as if STATX did not work on the ring, and with
the modern set, the latter with direct descriptors (6.15) and without.
"""

import contextlib
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import pytest

from tests.unit.samples.programs import SAMPLES, binary, program
from tests.unit.samples.servers import BROKEN, INDEX, Server, serving

SIZE = 8 * 1024**2 + 1
HUGE = 64 * 1024**2
NAME = "09_webserver_ring"
#: A request in the body of another one: an answer to it proves that the length of that body was overlooked.
SMUGGLED = b"GET /block.js HTTP/1.1\r\nHost: a\r\n\r\n"
#: By mode: an edit of the sources, and options.
MODES = {
    "modern": ((), ()),
    "6.0": (("#define OPERATION_OF_6_15 60 ", "#define OPERATION_OF_6_15 255 "), ()),
    "5.6": ((), ("-5",)),
    "5.6.4": (("ring_has_statx = completion->res == 0;", "ring_has_statx = false;"), ("-5",)),
}
#: The obsolete forms of a date, which every server must read.
RFC_850 = "%A, %d-%b-%y %H:%M:%S GMT"
ASCTIME = "%a %b %e %H:%M:%S %Y"
PAGE_412 = b"<!DOCTYPE html><title>412 Precondition Failed</title><h1>412 Precondition Failed</h1>\n"
#: An edit that makes the server notice each few bytes that a client takes.
SMALL_SEND_BUFFER = ("#define SEND_AHEAD (128 * 1024)", "#define SEND_AHEAD 2048")
#: Connections that one ring serves at once, as in ring.h.
MAX_CONNECTIONS = 1536


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("webserver_ring")
    directory.chmod(0o755)
    public = directory / "public"
    (public / "sub folder").mkdir(parents=True)
    (public / "index.html").write_bytes(INDEX)
    (public / "sub folder" / "index.html").write_bytes(b"sub\n")
    (public / "sub folder" / "page one.TXT").write_bytes(b"one\n")
    (public / "empty.css").touch()
    (public / "unknown.xyz").write_bytes(b"\0\1")
    (public / "block.js").write_bytes(binary(100_001))
    (public / "large.png").write_bytes(binary(SIZE))
    (directory / "secret").write_bytes(b"secret\n")
    (public / "out").symlink_to("../secret")
    (public / "up").symlink_to("..")
    (public / "inside.html").symlink_to("index.html")
    os.mkfifo(public / "pipe")
    return directory


@contextlib.contextmanager
def serve(directory, mode, *edit):
    """Serve in one of the modes, with a further edit."""
    edit_of_mode, options = MODES[mode]
    with serving(directory, executable=program(NAME, *edit_of_mode, *edit), options=options) as server:
        server.get("/missing")  # its ring is open by then; an existing file would stay open for a second
        server.idle_descriptors = server.descriptors()
        yield server


@pytest.fixture(scope="module", params=MODES)
def running(request, directory):
    with serve(directory, request.param) as server:
        yield server


@pytest.fixture
def server(running):
    """Return the server; after the test it must still run and answer."""
    yield running
    assert running.process.poll() is None, "the server has died"
    assert running.get("/")[0] == 200


def ask(server: Server, target: str, *fields: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Send a request by HTTP/1.1 with `Connection: close`; return status, headers and body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *fields]
    return server.ask("\r\n".join([*lines, "", ""]).encode())


def read_answers(client: socket.socket, count: int) -> list[tuple[bytes, bytes]]:
    """Read `count` answers from one connection by their lengths; return (head, body) of each."""
    answers, rest = [], b""
    while len(answers) < count:
        while b"\r\n\r\n" not in rest:
            rest += client.recv(1 << 16) or pytest.fail(f"closed after {len(answers)} answers")
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = 0
        if not head.startswith(b"HTTP/1.1 304"):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(rest) < length:
            rest += client.recv(1 << 16) or pytest.fail("closed in the middle of a body")
        answers.append((head, rest[:length]))
        rest = rest[length:]
    assert rest == b""
    return answers


# ---- valid requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/", "text/html", INDEX),
        ("//index.html?query=1&other=..", "text/html", INDEX),
        ("http://localhost/", "text/html", INDEX),
        ("http://localhost?query", "text/html", INDEX),
        ("http://[::1]:80/", "text/html", INDEX),
        ("/sub%20folder/", "text/html", b"sub\n"),
        ("/sub%20folder/./page%20one.TXT", "text/plain", b"one\n"),
        ("/sub%20folder/../index.html", "text/html", INDEX),
        ("/inside.html", "text/html", INDEX),
        ("/empty.css", "text/css", b""),
        ("/unknown.xyz", "application/octet-stream", b"\0\1"),
        ("/block.js", "text/javascript", binary(100_001)),
        ("/large.png", "image/png", binary(SIZE)),
    ],
)
def test_a_file_is_served_with_its_type_and_length(server, target, content_type, body):
    for status, headers, received in (ask(server, target), server.get(target)):
        assert (status, headers["content-type"], headers["content-length"]) == (
            200,
            content_type,
            str(len(body)),
        )
        assert received == body


def test_a_directory_is_redirected_to_its_path_with_a_slash(server):
    status, headers, _ = ask(server, "//sub%20folder?query")
    assert (status, headers["location"]) == (301, "/sub%20folder/")


def test_head_has_the_headers_of_get_and_no_body(server):
    get, head = ask(server, "/large.png"), ask(server, "/large.png", "Range: bytes=0-1", method="HEAD")
    assert head[0] == 200
    assert {**head[1], "date": ""} == {**get[1], "date": ""}
    assert head[2] == b""
    status, headers, body = ask(server, "/missing", method="HEAD")
    assert (status, body) == (404, b"")
    assert int(headers["content-length"]) > 0


def test_a_connection_stays_open_and_pipelined_requests_are_answered_in_order(server):
    requests = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD /missing HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    ]
    files = [("/", INDEX), ("/block.js", binary(100_001)), ("/unknown.xyz", b"\0\1"), ("/missing", None)] * 5
    with server.connect() as client:
        client.sendall(b"".join(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for target, _ in files))
        for (_, body), (_, received) in zip(files, read_answers(client, len(files)), strict=True):
            assert received == body or (body is None and b"404" in received)
        client.sendall(requests[1])
        head = client.recv(4096)
        assert head.startswith(b"HTTP/1.1 404")
        assert b"\r\nConnection: keep-alive\r\n" in head
        client.sendall(requests[0][:-1])  # a split request after complete ones
        time.sleep(0.05)
        client.sendall(requests[0][-1:] + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = read_answers(client, 2)
        assert [body for _, body in answers] == [INDEX, INDEX]
        assert b"Connection: close" not in answers[0][0]
        assert b"\r\nConnection: close" in answers[1][0]
        assert client.recv(1) == b""


def test_a_client_that_pipelines_far_more_than_it_reads_gets_all_answers(server):
    """Its requests, more than any buffer can hold, must wait without being lost."""
    count = 4000
    request = b"GET /unknown.xyz HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 500 + b"\r\n\r\n"
    with server.connect() as client:
        client.settimeout(0.2)
        pending = memoryview(b"GET /large.png HTTP/1.1\r\nHost: x\r\n\r\n" + request * count)
        received = b""
        while pending:
            try:
                pending = pending[client.send(pending) :]
            except TimeoutError:
                received += client.recv(1 << 20)
        client.settimeout(10)
        while received.count(b"\r\n\r\n\0\1") < count:
            received += client.recv(1 << 20) or pytest.fail("closed")
    assert received.split(b"\r\n\r\n", 1)[1].startswith(binary(SIZE))


def test_clients_that_fill_every_buffer_do_not_block_the_others(server):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            greedy = stack.enter_context(server.connect())
            greedy.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                greedy.sendall(b"GET /large.png HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 1_000_000)
        assert server.get("/")[2] == INDEX


def test_a_request_sent_byte_by_byte_is_understood(server):
    request = b"GET /unknown.xyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(request)):
            client.sendall(request[number : number + 1])
            time.sleep(0.001)
        assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"\r\n\r\n\0\1")


@pytest.mark.parametrize(
    ("value", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=100-70000", 206, 100, 70_000),
        ("bytes=100000-", 206, 100_000, 100_000),
        ("bytes=-7", 206, 99_994, 100_000),
        ("bytes=-200000", 206, 0, 100_000),
        ("bytes=5-99999999999999999999999", 206, 5, 100_000),
        ("bytes=100001-", 416, 0, 0),
        ("bytes=99999999999999999999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-3", 200, 0, 100_000),
        ("bytes=0-1,5-6", 200, 0, 100_000),
        ("bytes=a-b", 200, 0, 100_000),
        ("bytes=", 200, 0, 100_000),
        ("lines=1-2", 200, 0, 100_000),
    ],
)
def test_a_single_range_is_sent_and_others_are_ignored(server, value, status, first, last):
    answered, headers, body = ask(server, "/block.js", f"Range: {value}")
    assert answered == status
    if status == 416:
        assert headers["content-range"] == "bytes */100001"
    else:
        assert body == binary(100_001)[first : last + 1]
        assert headers["content-length"] == str(len(body))
        assert headers.get("content-range") == (f"bytes {first}-{last}/100001" if status == 206 else None)


def test_range_of_a_large_file(server):
    _, headers, body = ask(server, "/large.png", "Range: bytes=1000-5000000")
    assert (headers["content-range"], body) == (f"bytes 1000-5000000/{SIZE}", binary(SIZE)[1000:5_000_001])


def in_form(form: str, seconds: float) -> str:
    """Write a time in one of HTTP's obsolete forms."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def test_conditional_requests_are_answered_by_the_validators(server):
    _, headers, _ = ask(server, "/")
    tag, date = headers["etag"], headers["last-modified"]
    time_ = parsedate_to_datetime(date).timestamp()
    for fields, status in [
        ([f"If-None-Match: {tag}"], 304),
        ([f'If-None-Match: "other", W/{tag}'], 304),
        (["If-None-Match: *"], 304),
        (['If-None-Match: "other"'], 200),
        ([f"If-Modified-Since: {date}"], 304),
        ([f"If-Modified-Since: {formatdate(time_ + 60, usegmt=True)}"], 304),
        ([f"If-Modified-Since: {formatdate(time_ - 60, usegmt=True)}"], 200),
        (["If-Modified-Since: yesterday"], 200),
        ([f"If-Modified-Since: {in_form(RFC_850, time_)}"], 304),
        ([f"If-Modified-Since: {in_form(RFC_850, time_ - 60)}"], 200),
        ([f"If-Modified-Since: {in_form(ASCTIME, time_)}"], 304),
        ([f"If-Modified-Since: {in_form(ASCTIME, time_ - 60)}"], 200),
        ([f"If-Match: {tag}"], 200),
        ([f'If-Match: "other", {tag}'], 200),
        (["If-Match: *"], 200),
        (['If-Match: "other"'], 412),
        ([f"If-Match: W/{tag}"], 412),
        ([f"If-Unmodified-Since: {date}"], 200),
        ([f"If-Unmodified-Since: {formatdate(time_ - 60, usegmt=True)}"], 412),
        ([f"If-Unmodified-Since: {in_form(RFC_850, time_ - 60)}"], 412),
        (["If-Unmodified-Since: yesterday"], 200),
        ([f"If-Unmodified-Since: {formatdate(time_ - 60, usegmt=True)}", f"If-Match: {tag}"], 200),
        ([f"If-Unmodified-Since: {date}", f"If-None-Match: {tag}"], 304),
        (['If-Match: "other"', f"If-None-Match: {tag}", "Range: bytes=1-2"], 412),
        ([f"If-Modified-Since: {date}", 'If-None-Match: "other"'], 200),
        (["Range: bytes=1-2", f"If-Range: {tag}"], 206),
        (["Range: bytes=1-2", f"If-Range: {date}"], 206),
        (["Range: bytes=1-2", f"If-Range: {in_form(RFC_850, time_)}"], 206),
        (["Range: bytes=1-2", f"If-Range: {in_form(RFC_850, time_ + 60)}"], 200),
        (["Range: bytes=1-2", 'If-Range: "other"'], 200),
        (["Range: bytes=1-2", f"If-Range: W/{tag}"], 200),
    ]:
        answered, headers, body = ask(server, "/", *fields)
        assert (answered, headers.get("etag", tag)) == (status, tag), fields
        assert body == {200: INDEX, 206: INDEX[1:3], 304: b"", 412: PAGE_412}[status], fields


@pytest.mark.parametrize("seconds", [67_768_036_191_676_799, 67_768_036_191_676_800, 253_402_300_800])
def test_a_time_that_no_http_date_can_express_is_left_out(seconds):
    """gmtime_r() refuses years beyond an int, and HTTP has four digits for the year."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as kept:  # tmpfs keeps any time
        public = Path(kept) / "public"
        public.mkdir()
        (public / "index.html").write_bytes(INDEX)
        os.utime(public / "index.html", (seconds, seconds))
        if (public / "index.html").stat().st_mtime_ns // 10**9 != seconds:
            pytest.skip("this file system does not keep such a time")
        with serve(Path(kept), "modern") as late:
            for field in (
                "X: ",
                "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT",
                "If-Range: \r\nRange: bytes=0-0",
            ):
                status, headers, body = ask(late, "/", field)
                assert (status, body, headers.get("last-modified")) == (200, INDEX, None)
            assert ask(late, "/", f"If-None-Match: {headers['etag']}")[0] == 304


# ---- refused requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        *((request, 400) for request in BROKEN),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: me@a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
        (b"GET http:///index.html HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://me@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rA: b\r\nContent-Length: 35\r\n\r\n" + SMUGGLED, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\nContent-Length: 35\r\n\r\n" + SMUGGLED, 400),
        (b"GET /?a\rb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://a\rb/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"BREW / HTTP/1.0\r\n\r\n", 501),
        (b"get / HTTP/1.0\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000, 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (b"GET /" + b"x" * 2000 + b" HTTP/1.0\r\n\r\n", 414),
        (b"GET /" + b"x" * 1_000_000 + b" HTTP/1.0\r\n\r\n", 414),
        (b"GET / HTTP/1.0\r\nCookie: " + b"x" * 100_000 + b"\r\n\r\n", 431),
    ],
    ids=lambda value: value[:48].decode() if isinstance(value, bytes) else str(value),
)
def test_an_invalid_request_is_answered_with_the_right_status(server, request_, status):
    answered, headers, body = server.ask(request_)
    assert (answered, headers["connection"]) == (status, "close")
    assert len(body) == int(headers["content-length"]) > 0
    assert headers.get("allow") == ("GET, HEAD" if status == 405 else None)


def test_an_error_after_head_has_a_body(server):
    """The client cannot know that the server has not read the method of the second request."""
    with server.connect() as client:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).endswith(b"\r\n\r\n")
        client.sendall(b"GET / HTTP/1.1\r\nCookie: " + b"x" * 9000)
        head, body = read_answers(client, 1)[0]
        assert head.startswith(b"HTTP/1.1 431 ")
        assert b"431" in body


def test_an_empty_line_before_a_request_is_ignored(server):
    assert server.ask(b"\r\nGET / HTTP/1.0\r\n\r\n")[2] == INDEX


@pytest.mark.parametrize("request_", [b"GET\r\n", b"\r\n", b"GET / HT", b"\x16\x03\x01"])
def test_an_incomplete_request_is_400(server, request_):
    assert server.ask(request_, finish=True)[0] == 400


@pytest.mark.parametrize(
    "target", ["/missing", "/sub%20folder/missing", "/index.html/", "/pipe", "/" + "x" * 300]
)
def test_a_target_that_is_no_file_is_404_and_the_connection_stays_open(server, target):
    with server.connect() as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        (head, _), (_, body) = read_answers(client, 2)
    assert head.startswith(b"HTTP/1.1 404")
    assert body == INDEX


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2fetc/passwd",
        "/out",
        "/up/secret",
        "//..//secret",
        "/sub%20folder/../../secret",
        "/up/public/../secret",
        "/proc/self/root/etc/passwd",
    ],
)
def test_no_path_leads_out_of_public(server, target):
    status, _, body = ask(server, target)
    assert (status, b"secret" in body, b"root:" in body) == (404, False, False)


def test_devices_and_pipes_do_not_block_the_server(server, directory):
    device = directory / "public" / "device"
    with contextlib.suppress(PermissionError):
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # like /dev/zero
    before = time.monotonic()
    for target in ("/pipe", "/device") * 3:
        assert ask(server, target)[0] == 404
    assert time.monotonic() - before < 5
    device.unlink(missing_ok=True)


def test_unreadable_file_is_403(directory):
    """Root may read every file, so the server runs as nobody."""
    unreadable = directory / "public" / "unreadable"
    unreadable.touch(mode=0)
    executable = program(NAME)
    if os.geteuid() == 0:
        for path in [*directory.parents, executable.parent, *executable.parents]:
            if not path.stat().st_mode & 0o001:
                path.chmod(path.stat().st_mode | 0o011)
        setpriv = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    else:
        setpriv = ()
    command = [*setpriv, str(executable)]
    with serving(directory, executable=Path(command[0]), options=tuple(command[1:])) as server:
        assert ask(server, "/unreadable")[0] == 403
        assert ask(server, "/")[0] == 200


# ---- difficult clients -----------------------------------------------------------------------------------


def reset(client: socket.socket) -> None:
    """Close a connection with a reset (RST)."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_resets_leak_no_descriptors(server):
    for request in (
        b"",
        b"GET / HT",
        b"GET /large.png HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        for number in range(20):
            client = server.connect()
            client.sendall(request)
            if request and number % 2:
                time.sleep(0.005)
            reset(client)
    assert no_descriptor_leaked(server)


def no_descriptor_leaked(server: Server) -> bool:
    """Return whether no more descriptors are open than at the start; files stay open up to two seconds."""
    end = time.monotonic() + 5
    while server.descriptors() > server.idle_descriptors and time.monotonic() < end:
        time.sleep(0.1)
    return server.descriptors() <= server.idle_descriptors


def test_many_requests_leak_no_memory_and_no_descriptors(server):
    def load(count: int) -> None:
        request = (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /block.js HTTP/1.1\r\nHost: x\r\nRange: bytes=9-20\r\n\r\n"
        )
        for _ in range(count // 500):
            with server.connect() as client:
                for _ in range(5):
                    client.sendall(request * 50)
                    read_answers(client, 100)

    load(2000)
    before = server.memory()
    load(20_000)
    assert server.memory() - before < 512 * 1024
    assert no_descriptor_leaked(server)


def test_cached_contents_are_freed(server, directory):
    before = server.memory()
    files = [directory / "public" / f"{number}.bin" for number in range(40)]
    for file in files:
        file.touch()
        os.truncate(file, 1024**2)
        assert len(ask(server, f"/{file.name}")[2]) == 1024**2
        file.unlink()
    assert no_descriptor_leaked(server)  # they are closed
    assert server.memory() - before < 8 * 1024**2


def test_many_consecutive_connections_leak_nothing(server):
    before = server.memory()
    for _ in range(500):
        assert server.get("/")[0] == 200
    assert server.memory() - before < 512 * 1024
    assert no_descriptor_leaked(server)


def test_500_connections_at_once_are_all_served(server):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(500)]
        for client in clients:
            client.sendall(b"GET /block.js HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            assert read_answers(client, 1)[0][1] == binary(100_001)


@pytest.mark.parametrize("mode", MODES)
def test_more_connections_than_the_maximum_are_all_served(mode, directory):
    """With patience: on a busy computer it takes this client seconds to connect them all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MAX_CONNECTIONS + 300:
        pytest.skip(f"no more than {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16), hard))
    try:
        with serve(directory, mode, *patience("LEAST", 60_000)) as server, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.connect()) for _ in range(MAX_CONNECTIONS + 100)]
            for client in clients:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            for client in clients:
                answer = b"".join(iter(lambda client=client: client.recv(4096), b""))
                client.close()
                assert answer.endswith(INDEX)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_slow_reader_of_a_large_file_does_not_delay_the_others(server):
    with server.connect() as slow:
        slow.sendall(b"GET /large.png HTTP/1.0\r\n\r\n")
        for _ in range(20):
            assert server.get("/")[0] == 200
        received = b"".join(iter(lambda: slow.recv(1 << 16), b""))
    assert received.endswith(binary(SIZE))


def test_a_file_of_64_mib_is_sent_completely(server, directory):
    path = directory / "public" / "huge.bin"
    with path.open("wb") as file:
        for number in range(HUGE // 2**20):
            file.write(bytes([number]) * 2**20)
    with server.connect() as client:
        client.sendall(b"GET /huge.bin HTTP/1.0\r\n\r\n")
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
    assert received.partition(b"\r\n\r\n")[2] == path.read_bytes()
    path.unlink()


def test_the_connection_ends_early_if_the_file_shrinks(server, directory):
    path = directory / "public" / "shrinking.bin"
    path.write_bytes(binary(SIZE))
    with server.connect() as client:
        client.sendall(b"GET /shrinking.bin HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1000)
        os.truncate(path, 10)
        received = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert len(received) < SIZE
    assert b"HTTP/1.1 200" not in received, "the client would take the next answer as the rest of the file"
    time.sleep(1.1)
    assert ask(server, "/shrinking.bin")[2] == binary(SIZE)[:10]


def test_a_replaced_file_is_served_anew_after_a_second(server, directory):
    path, new = directory / "public" / "replaced.html", directory / "public" / "new.html"
    path.write_bytes(b"old")
    tag = ask(server, "/replaced.html")[1]["etag"]
    new.write_bytes(b"newer")
    new.rename(path)
    assert ask(server, "/replaced.html")[2] in (b"old", b"newer")
    time.sleep(1.1)
    status, headers, body = ask(server, "/replaced.html", f"If-None-Match: {tag}")
    assert (status, body) == (200, b"newer")
    assert headers["etag"] != tag


def test_a_new_file_is_served_at_once(server, directory):
    path = directory / "public" / "late.html"
    assert ask(server, "/late.html")[0] == 404
    path.write_bytes(b"late")
    assert ask(server, "/late.html")[2] == b"late"
    path.unlink()


def patience(what: str, milliseconds: int) -> tuple[str, str]:
    """Return an edit that sets one of the server's time limits."""
    source = (SAMPLES / NAME / "connection.c").read_text()
    line = next(line for line in source.splitlines() if line.startswith(f"#define {what}_PATIENCE"))
    return line, f"#define {what}_PATIENCE {milliseconds}"


@pytest.mark.parametrize("mode", MODES)
def test_slow_clients_are_disconnected(mode, directory):
    with (
        serve(directory, mode, *patience("REQUEST", 500)) as server,
        server.connect() as client,
    ):
        for byte in b"GET / HTTP/1.1\r\nX: ":
            client.sendall(bytes([byte]))
            time.sleep(0.01)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
    with (
        serve(directory, mode, *patience("ANSWER", 500)) as server,
        server.connect() as deaf,
    ):
        deaf.sendall(b"GET /large.png HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2.2)
        assert not server.is_established(deaf), "the server still waits for the client to read"
        assert len(b"".join(iter(lambda: deaf.recv(1 << 20), b""))) < SIZE
    with (
        serve(directory, mode, *patience("IDLE", 500)) as server,
        server.connect() as silent,
    ):
        silent.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answers(silent, 1)
        assert silent.recv(1) == b""


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_reads_too_slowly_is_disconnected(mode, directory):
    with serve(directory, mode, *patience("ANSWER", 2500), *SMALL_SEND_BUFFER) as server:
        assert not server.keeps_slow_reader("/large.png", 7)


@pytest.mark.parametrize("mode", MODES)
def test_the_oldest_idle_connection_gives_way_when_all_are_in_use(mode, directory):
    few = ("MAX_CONNECTIONS 1536", "MAX_CONNECTIONS 8", "ACCEPT_MARGIN   512", "ACCEPT_MARGIN 4")
    with serve(directory, mode, *few) as server, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(8)]
        time.sleep(0.1)
        idle[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answers(idle[0], 1)
        assert server.get("/")[0] == 200
        assert idle[1].recv(1) == b""
        assert server.is_established(idle[0])


def test_the_oldest_idle_connection_gives_way_when_no_descriptor_is_left(directory):
    """With the set for 5.6: direct descriptors do not count."""
    with serve(directory, "5.6") as server, contextlib.ExitStack() as stack:
        few = server.idle_descriptors + 4
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (few, few))
        for _ in range(8):
            stack.enter_context(server.connect())
        assert server.get("/missing")[0] in (404, 503)


@pytest.mark.parametrize("mode", MODES)
def test_content_is_not_freed_while_the_kernel_may_still_send_it(mode, directory):
    """A free() that overwrites the memory, and takes so long that the client has read on by its end."""
    (directory / "public" / "zeros.bin").write_bytes(bytes(1024**2))
    wait = "select(0, NULL, NULL, NULL, &(struct timeval){.tv_sec = 2});"
    poison = f"if (file->content) {{ memset(file->content, 'x', (size_t)file->document.size); {wait} }}"
    edit = ("free(file->content);", f"{poison} free(file->content);", "FRESH_MS     1000", "FRESH_MS 1")
    with (
        serve(directory, mode, *patience("ANSWER", 100), *edit) as server,
        server.connect() as client,
    ):
        client.sendall(b"GET /zeros.bin HTTP/1.0\r\n\r\n")
        time.sleep(1.6)  # until after the deadline, which is checked once a second
        body = b"".join(iter(lambda: client.recv(1 << 16), b"")).partition(b"\r\n\r\n")[2]
        assert 0 < len(body) < 1024**2
        assert set(body) == {0}, f"{body.count(b'x')} bytes of freed memory were sent"


@pytest.mark.parametrize("mode", MODES)
def test_full_queues_delay_requests_and_split_no_linked_ones(mode, directory):
    """The kernel refuses submissions (EBUSY) while it has completions for which the queue had no room."""
    submit = "int error = io_uring_submit_and_wait(&ring"
    full = ("SQ_ENTRIES 2048", "SQ_ENTRIES 4", "CQ_ENTRIES 16384", "CQ_ENTRIES 4")
    busy = (submit, submit.replace("io_uring", "rand() % 2 ? -EBUSY : io_uring"))
    request = b"GET /large.png HTTP/1.1\r\nHost: x\r\n\r\nGET /block.js HTTP/1.1\r\nHost: x\r\n\r\n"
    with serve(directory, mode, *full, *busy) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(8)]
        for client in clients:
            client.sendall(request)
        for client in clients:
            assert [body for _, body in read_answers(client, 2)] == [binary(SIZE), binary(100_001)]


@pytest.mark.parametrize("mode", MODES)
def test_it_recovers_from_running_out_of_descriptors(mode, directory):
    with serve(directory, mode) as server:
        assert server.starve("/block.js") <= {b"200", b"503"}
        time.sleep(1.1)
        assert server.get("/")[0] == 200


# ---- starting and ending ---------------------------------------------------------------------------------


def refuses(server: Server) -> bool:
    """Return whether the server refuses new connections, at the latest after a second."""
    for _ in range(20):
        try:
            server.connect().close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.05)  # with several rings, each stops by itself
    return False


@pytest.mark.parametrize("options", [(), ("-5",), ("-r", "2")], ids=["modern", "5.6", "two rings"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_a_signal_it_finishes_answers_and_closes_idle_connections(number, options, directory):
    with serving(directory, executable=program(NAME), options=options) as server:
        busy, waiting = server.connect(), server.connect()
        busy.sendall(b"GET /large.png HTTP/1.1\r\nHost: x\r\n\r\n")
        received = busy.recv(1000)
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answers(waiting, 1)
        server.process.send_signal(number)
        assert waiting.recv(1) == b"", "an idle connection must be closed"
        assert refuses(server), "a new client must see at once that nobody will answer it"
        received += b"".join(iter(lambda: busy.recv(1 << 16), b""))
        assert received.endswith(binary(SIZE))
        assert server.process.wait(10) == 0
        with pytest.raises(ConnectionError):
            server.connect()
        busy.close()
        waiting.close()


def test_two_rings_share_the_connections(directory):
    with serving(directory, executable=program(NAME), options=("-r", "2")) as server:
        clients = [server.connect() for _ in range(64)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            assert read_answers(client, 1)[0][1] == INDEX
            client.close()
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        assert server.process.wait(10) == 1, "the exit status must report a ring that died"
        for child in children:
            assert not Path(f"/proc/{child}").exists()
        server.process.returncode = 0  # serving() requires 0, but status 1 is right here


def is_running(process: str) -> bool:
    """Return whether a process runs; a zombie has an empty command line."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""
    return False


def test_rings_do_not_outlive_the_process_that_made_them(directory):
    with serving(directory, executable=program(NAME), options=("-r", "2")) as server:
        clients = [server.connect() for _ in range(64)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
            client.close()
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(children) == 2
        server.process.kill()
        server.process.wait(10)
        end = time.monotonic() + 10
        while any(map(is_running, children)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(map(is_running, children))
        server.process.returncode = 0  # serving() requires 0, but the server was killed


def test_a_failed_start_is_explained(directory, tmp_path, server):
    for arguments, where, message in [
        ([], tmp_path, "program: public: No such file or directory\n"),
        ([str(server.port)], directory, f"program: 127.0.0.1:{server.port}: Address already in use\n"),
        (
            ["-r", "2", str(server.port)],
            directory,
            f"program: 127.0.0.1:{server.port}: Address already in use\n",
        ),
        (["65536"], directory, "program: 65536: a port from 0 to 65535 is wanted\n"),
        (["-r", "0", "0"], directory, "program: 0: a number of rings from 1 to 64 is wanted\n"),
        (["-x"], directory, None),
        (["1", "2"], directory, None),
    ]:
        command = [program(NAME), *arguments]
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=10)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert done.stderr == message if message else "usage:" in done.stderr


def test_two_servers_with_several_rings_do_not_share_a_port(directory):
    with serving(directory, executable=program(NAME), options=("-r", "2")) as server:
        command = [program(NAME), "-r", "2", str(server.port)]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=10)
        assert (done.returncode, "Address already in use" in done.stderr) == (1, True)
