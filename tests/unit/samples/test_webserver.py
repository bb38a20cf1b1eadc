"""Our HTTP/1.0 servers answer correctly, refuse invalid requests, and survive every client."""

import contextlib
import os
import resource
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.unit.samples.programs import binary, program
from tests.unit.samples.servers import BROKEN, INDEX, LARGE, serving

#: Connections that the server serves at once; more have to wait.
MAX_CONNECTIONS = 255
#: The servers that support only HTTP/1.0.
NAMES = ("05_webserver_liburing", "08_webserver_recv", "10_webserver_luajit")
#: Edits that make the servers take a newer kernel for 5.6: no fast poll, no trust in the ring's STATX.
IN_C = ("has_fast_poll = params.features & IORING_FEAT_FAST_POLL;", "has_fast_poll = false;")
IN_LUA = (
    "fast_poll = band(p.features, 32) ~= 0", "fast_poll = false",
    "AT_EMPTY_PATH) == 0\n    accept", "AT_EMPTY_PATH) == 1\n    accept",
)  # fmt: skip
AS_ON_5_6 = dict(zip(NAMES, (IN_C, IN_C, IN_LUA), strict=True))
VARIANTS = {name: (name,) for name in NAMES} | {
    f"{name} as on 5.6": (name, *edit) for name, edit in AS_ON_5_6.items()
}
#: Edits that give the servers so small a send buffer that they notice each few bytes that a client takes.
SMALL_IN_C = (
    "listen(listener, SOMAXCONN) ",
    "setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &(int){2048}, 4) != 0 || listen(listener, SOMAXCONN) ",
)
SMALL_IN_LUA = (
    "check(C.listen(",
    'check(C.setsockopt(listener, 1, 7, ffi.new("int[1]", 2048), 4), what)\n    check(C.listen(',
)
#: Edits that leave them seven connections.
FEW_IN_C = ("RING_ENTRIES    256", "RING_ENTRIES 8")
FEW_IN_LUA = ("local ENTRIES = 256", "local ENTRIES = 9")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("webserver")
    public = directory / "public"
    (public / "sub").mkdir(parents=True)
    (public / "index.html").write_bytes(INDEX)
    (public / "sub" / "page one.TXT").write_bytes(b"one\n")
    (public / "sub" / "index.html").write_bytes(b"sub\n")
    (public / "empty.css").touch()
    (public / "unknown.xyz").write_bytes(b"\0\1")
    (public / "large.png").write_bytes(binary(LARGE))
    (directory / "secret").write_bytes(b"secret\n")
    (public / "link").symlink_to("../secret")
    (public / "linked").symlink_to("..")
    os.mkfifo(public / "pipe")
    return directory


@pytest.fixture(scope="module", params=VARIANTS)
def running(request, directory):
    with serving(directory, executable=program(*VARIANTS[request.param])) as server:
        yield server


@pytest.fixture
def server(running):
    """Return the server; after the test it must still run and answer."""
    yield running
    assert running.process.poll() is None, "the server has died"
    assert running.get("/")[0] == 200


@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/", "text/html", INDEX),
        ("/index.html", "text/html", INDEX),
        ("//index.html?query=1&other=..", "text/html", INDEX),
        ("/sub/", "text/html", b"sub\n"),
        ("/sub/./page%20one.TXT", "text/plain", b"one\n"),
        ("/empty.css", "text/css", b""),
        ("/unknown.xyz", "application/octet-stream", b"\0\1"),
        ("/large.png", "image/png", binary(LARGE)),
    ],
)
def test_a_file_is_served_with_its_type_and_length(server, target, content_type, body):
    status, headers, received = server.get(target)
    assert (status, headers["content-type"], headers["content-length"]) == (200, content_type, str(len(body)))
    assert received == body


def test_head_has_the_headers_of_get_and_no_body(server):
    status, headers, body = server.ask(b"HEAD /large.png HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (status, headers["content-length"], body) == (200, str(LARGE), b"")
    status, headers, body = server.ask(b"HEAD /missing HTTP/1.0\r\n\r\n")
    assert (status, body) == (404, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    "target", ["/missing", "/sub", "/sub/missing", "/index.html/", "/pipe", "/link", "/" + "x" * 300]
)
def test_a_target_that_is_no_file_is_404_with_a_body(server, target):
    status, headers, body = server.get(target)
    assert (status, headers["content-type"]) == (404, "text/html")
    assert len(body) == int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2E./secret",
        "/linked/secret",
        "/sub/../index.html",
        "//..//secret",
    ],
)
def test_no_path_leads_out_of_public(server, target):
    status, _, body = server.get(target)
    assert (status, b"secret" in body) == (404, False)


def test_a_named_pipe_does_not_block_the_server(server):
    before = time.monotonic()
    for _ in range(3):
        server.get("/pipe")
    assert time.monotonic() - before < 2, "open() waited for a writer until the next alarm signal"


def test_unreadable_file_is_403(server, directory):
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    (directory / "public" / "unreadable").touch(mode=0)
    assert server.get("/unreadable")[0] == 403


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        *((request, 400) for request in BROKEN),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody", 501),
        (b"get / HTTP/1.0\r\n\r\n", 501),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.0\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\nCookie: " + b"x" * 100_000 + b"\r\n\r\n", 431),
    ],
    ids=lambda value: value[:32].decode() if isinstance(value, bytes) else str(value),
)
def test_an_invalid_request_is_answered_with_the_right_status(server, request_, status):
    answered, headers, body = server.ask(request_)
    assert answered == status
    assert len(body) == int(headers["content-length"])


def test_a_request_in_several_segments_is_understood(server):
    assert server.ask(b"GE", b"T /index.h", b"tml HTTP/1.0\r", b"\n\r", b"\n")[2] == INDEX


def test_bare_line_feeds_are_accepted(server):
    assert server.ask(b"GET / HTTP/1.0\n\n")[2] == INDEX


@pytest.mark.parametrize("request_", [b"GET\r\n", b"\r\n", b"GET / HT", b"\x16\x03\x01"])
def test_an_incomplete_request_is_400(server, request_):
    assert server.ask(request_, finish=True)[0] == 400


def test_resets_leak_no_descriptors(server):
    large = b"GET /large.png HTTP/1.0\r\n\r\n"
    for request, first in ((b"", 0), (b"GET / HT", 0), (large, 0), (large, 1000)):
        for _ in range(20):
            client = server.connect()
            client.sendall(request)
            client.recv(first)  # so that it is in the middle of the answer
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    assert server.descriptors(server.idle_descriptors) == server.idle_descriptors


def test_many_consecutive_connections_leak_no_descriptors(server):
    for _ in range(200):
        assert server.get("/")[0] == 200
    assert server.descriptors(server.idle_descriptors) == server.idle_descriptors


def test_more_connections_than_the_maximum_are_all_served(server):
    clients = [server.connect() for _ in range(MAX_CONNECTIONS + 45)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    for client in clients:
        answer = b"".join(iter(lambda client=client: client.recv(4096), b""))
        client.close()
        assert answer.endswith(INDEX)
    assert server.descriptors(server.idle_descriptors) == server.idle_descriptors


def test_a_slow_reader_of_a_large_file_does_not_delay_the_others(server):
    with server.connect() as slow:
        slow.sendall(b"GET /large.png HTTP/1.0\r\n\r\n")
        for _ in range(20):
            assert server.get("/")[0] == 200
        received = b"".join(iter(lambda: slow.recv(1 << 16), b""))
    assert received.endswith(binary(LARGE))


@pytest.mark.parametrize("edit", [(), IN_C], ids=["fast poll", "as on 5.6"])
def test_a_client_that_sends_no_request_or_does_not_read_is_disconnected(edit, directory):
    impatient = program("05_webserver_liburing", *patience(1), *edit)
    with (
        serving(directory, executable=impatient) as server,
        server.connect() as silent,
        server.connect() as deaf,
        server.connect() as endless,
    ):
        silent.sendall(b"GET / HTTP/1.0\r\n")
        deaf.sendall(b"GET /large.png HTTP/1.0\r\n\r\n")
        endless.sendall(b"GET / HTTP/1.0\r\n\r\n")  # and it does not close after the answer
        assert silent.recv(1) == b""
        assert server.get("/")[0] == 200
        time.sleep(2)
        assert server.descriptors(server.idle_descriptors) == server.idle_descriptors


def patience(seconds: int, name: str = NAMES[0]) -> tuple[str, str]:
    """Return an edit that sets the time limit of a server."""
    if "luajit" in name:
        return "local PATIENCE = 10 ", f"local PATIENCE = {seconds} "
    return "#define PATIENCE        10 ", f"#define PATIENCE {seconds} "


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_client_that_reads_too_slowly_is_disconnected(variant, directory):
    small = SMALL_IN_LUA if "luajit" in variant else SMALL_IN_C
    with serving(directory, executable=program(*VARIANTS[variant], *patience(1, variant), *small)) as server:
        assert not server.keeps_slow_reader("/large.png", 5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_oldest_idle_connection_gives_way_when_all_are_in_use(variant, directory):
    few = FEW_IN_LUA if "luajit" in variant else FEW_IN_C
    with (
        serving(directory, executable=program(*VARIANTS[variant], *few, *patience(60, variant))) as server,
        contextlib.ExitStack() as stack,
    ):
        oldest = stack.enter_context(server.connect())
        oldest.sendall(b"GET / HT")
        time.sleep(1.1)  # the server counts in seconds
        others = [stack.enter_context(server.connect()) for _ in range(6)]
        assert server.get("/")[0] == 200
        assert oldest.recv(1) == b""
        assert server.is_established(others[-1])


def test_the_oldest_idle_connection_gives_way_when_no_descriptor_is_left(directory):
    with serving(directory, executable=program(NAMES[2])) as server, contextlib.ExitStack() as stack:
        few = server.idle_descriptors + 4
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (few, few))
        for _ in range(8):
            stack.enter_context(server.connect())
        assert server.get("/missing")[0] in (404, 500)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_recovers_from_running_out_of_descriptors(variant, directory):
    with serving(directory, executable=program(*VARIANTS[variant])) as server:
        assert server.starve("/") <= {b"200", b"500"}
        assert server.get("/")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_status_0_and_frees_the_port(number, directory):
    port = 0
    for _ in range(10):  # a port that is freed late is in use only sometimes
        with serving(directory, port) as server:
            port = server.port
            with server.connect():
                server.process.send_signal(number)
                assert server.process.wait(10) == 0


def test_it_listens_only_on_loopback(server):
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{server.port:04X}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{server.port:04X}"]


def test_a_failed_start_is_explained(directory, tmp_path, server):
    for arguments, where, message in [
        ([], tmp_path, "program: public: No such file or directory\n"),
        ([str(server.port)], directory, f"program: 127.0.0.1:{server.port}: Address already in use\n"),
        (["65536"], directory, None),
        (["http"], directory, None),
    ]:
        command = [program("05_webserver_liburing"), *arguments]
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=10)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == message if message else "usage:" in done.stderr
