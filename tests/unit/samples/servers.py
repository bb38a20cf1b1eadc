"""Runs one of our web servers on a free port, sends requests to it, and inspects its process."""

import contextlib
import os
import re
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.unit.samples.programs import program

INDEX = b"<!DOCTYPE html><title>hello</title>\n"
LARGE = 8 * 1024**2 + 1
#: Invalid requests, for every server.
BROKEN = (
    b"GET\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET  / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0 more\r\n\r\n",
    b"GET / FTP/1.0\r\n\r\n",
    b"GET index.html HTTP/1.0\r\n\r\n",
    b"GET /%zz HTTP/1.0\r\n\r\n",
    b"GET /% HTTP/1.0\r\n\r\n",
    b"GET /index.html%00.png HTTP/1.0\r\n\r\n",
    b"GET /index.html\0 HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\0\r\n\r\n",
    b"G(T / HTTP/1.0\r\n\r\n",
    b"\r\n\r\n",
)


@dataclass
class Server:
    """A running server: its process and its port."""

    process: subprocess.Popen
    port: int
    idle_descriptors: int = 0  # open without any client

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Open a connection with a timeout of ten seconds."""
        client = socket.socket()
        client.settimeout(10)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self.port))
        return client

    def is_established(self, client: socket.socket) -> bool:
        """Return whether the server's end of a connection is still open."""
        ends = [f"0100007F:{port:04X}" for port in (self.port, client.getsockname()[1])]
        table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        return any(line[1:3] == ends and line[3] == "01" for line in table)

    def keeps_slow_reader(self, target: str, seconds: float) -> bool:
        """Return whether a client that reads 5 KB a second has its connection after so many seconds."""
        with self.connect(receive_buffer=4096) as client:
            client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            end = time.monotonic() + seconds
            while time.monotonic() < end and self.is_established(client):
                client.recv(500)
                time.sleep(0.1)
            return self.is_established(client)

    def ask(self, *pieces: bytes, finish: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Send a request in pieces, with pauses between them; return status, headers and body."""
        with self.connect() as client:
            for number, piece in enumerate(pieces):
                if number:
                    time.sleep(0.05)
                client.sendall(piece)
            if finish:
                client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return int(re.fullmatch(r"HTTP/1\.[01] (\d{3}) .+", status)[1]), headers, body

    def get(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """Request a target by HTTP/1.0; return status, headers and body."""
        return self.ask(f"GET {target} HTTP/1.0\r\n\r\n".encode())

    def descriptors(self, wanted: int | None = None) -> int:
        """Return the number of open descriptors; wait up to two seconds until it is `wanted`."""
        for _ in range(40):
            count = sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())
            if wanted in (None, count):
                break
            time.sleep(0.05)
        return count

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def starve(self, target: str) -> set[bytes]:
        """Limit the server to four more descriptors, request on twelve connections; return the statuses."""
        few = self.idle_descriptors + 4
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (few, few))
        clients = [self.connect() for _ in range(12)]
        for client in clients:
            client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        statuses = set()
        for client in clients:
            statuses.add(b"".join(iter(lambda client=client: client.recv(1 << 16), b""))[9:12])
            client.close()
        return statuses


@contextlib.contextmanager
def serving(
    directory: Path, port: int = 0, executable: Path | None = None, options: tuple[str, ...] = ()
) -> Iterator[Server]:
    """Run a server in a directory with a public/ within a context; port 0 is a free one.

    At the end the server must exit with status 0 on SIGTERM; it is killed in any case.
    """
    command = [executable or program("05_webserver_liburing"), *options, str(port)]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        port = int(re.fullmatch(r"serving public/ on http://127\.0\.0\.1:(\d+)/\n", line)[1])
        server = Server(process, port)
        server.idle_descriptors = server.descriptors()
        yield server
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
