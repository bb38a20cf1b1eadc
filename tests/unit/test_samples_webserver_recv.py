"""The web server on RECV, SEND and READ does what the one on readv and writev does."""

import socket
import struct

import pytest
from test_samples_build import SAMPLES, program
from test_samples_cat import binary
from test_samples_webserver import INDEX, LARGE, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webserver_recv")
    (folder / "public").mkdir()
    (folder / "public" / "index.html").write_bytes(INDEX)
    (folder / "public" / "empty.css").touch()
    (folder / "public" / "large.png").write_bytes(binary(LARGE))
    with serving(folder, executable=program("08_webserver_recv")) as server:
        yield server


def test_sockets_and_files_are_read_and_written_without_vectors():
    source = (SAMPLES / "08_webserver_recv" / "main.c").read_text()
    for request in ("recv", "send", "read"):
        assert f"io_uring_prep_{request}(" in source
    assert "iovec" not in source


@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/", "text/html", INDEX),
        ("/empty.css", "text/css", b""),
        ("/large.png", "image/png", binary(LARGE)),
    ],
)
def test_file_is_served_with_type_and_length(server, target, content_type, body):
    status, headers, received = server.get(target)
    assert (status, headers["content-type"], headers["content-length"]) == (200, content_type, str(len(body)))
    assert received == body


def test_split_request_is_put_together(server):
    assert server.ask(b"GE", b"T /index.h", b"tml HTTP/1.0\r", b"\n\r", b"\n")[2] == INDEX


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"GET /missing HTTP/1.0\r\n\r\n", 404),
        (b"GET / HTTP/1.0\r\nCookie: " + b"x" * 100_000 + b"\r\n\r\n", 431),
    ],
    ids=["broken", "missing", "long"],
)
def test_wrong_request_is_answered_with_its_status(server, request_, status):
    answered, headers, body = server.ask(request_)
    assert answered == status
    assert len(body) == int(headers["content-length"])


def test_client_that_resets_in_the_middle_ends_its_connection_alone(server):
    for _ in range(20):
        client = server.connect()
        client.sendall(b"GET /large.png HTTP/1.0\r\n\r\n")
        client.recv(1000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert server.descriptors(server.idle_descriptors) == server.idle_descriptors
    assert server.get("/")[2] == INDEX
