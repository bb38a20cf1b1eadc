"""Serves a mainline archive over HTTP on this computer, with injected faults.

It does not prove how the real archive behaves, which no test contacts: the pages imitate the real ones, there
is no TLS, proxy, CDN or name resolution, and the loopback interface is fast, so measured times mean nothing.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

#: The archive's path on its server, now and until October 2023.
PATH, OLD_PATH = "/mainline/", "/~kernel-ppa/mainline/"

LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Welcome to the guest network</title></head></html>\n"


@dataclass
class Server:
    """A running server.

    Attributes:
        url: the archive's address.
        old_url: its former address, which redirects to url.
        requests: the requested paths, relative to the archive, in order.
        most_at_once: the maximum number of simultaneous requests.

    """

    url: str
    old_url: str
    requests: list[str] = field(default_factory=list)
    most_at_once: int = 0
    _faults: dict[str, tuple[float, Callable]] = field(default_factory=dict)
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: threading.Event = field(default_factory=threading.Event)

    def status(self, path: str, code: int, times: float = float("inf")) -> None:
        """Answer with a status code, forever or `times` times. All paths are relative to the archive."""
        self._faults[path] = (times, lambda handler: handler.send_error(code))

    def loop(self, path: str) -> None:
        """Redirect a path to itself."""

        def answer(handler: SimpleHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", handler.path)
            handler.end_headers()

        self._faults[path] = (float("inf"), answer)

    def page(self, path: str, body: bytes = LOGIN_PAGE) -> None:
        """Answer with status 200 and a page of HTML, like a captive portal."""
        self._faults[path] = (float("inf"), lambda handler: _answer(handler, body, "text/html"))

    def truncated(self, path: str, times: float = float("inf")) -> None:
        """State the full length, but close in the middle of the body."""

        def answer(handler: SimpleHTTPRequestHandler) -> None:
            body = _body(handler)
            _answer(handler, body[: len(body) // 2], length=len(body))

        self._faults[path] = (times, answer)

    def flipped(self, path: str, times: float = float("inf")) -> None:
        """Flip a bit in the middle of the body."""

        def answer(handler: SimpleHTTPRequestHandler) -> None:
            body = bytearray(_body(handler))
            body[len(body) // 2] ^= 1
            _answer(handler, bytes(body))

        self._faults[path] = (times, answer)

    def oversized(self, path: str, size: int) -> None:
        """Answer with `size` bytes and no content-length."""

        def answer(handler: SimpleHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            for _ in range(size >> 16):
                handler.wfile.write(b" " * (1 << 16))

        self._faults[path] = (float("inf"), answer)

    def drip(self, path: str, pause: float, drops: int) -> None:
        """Answer in `drops` pieces, with a pause in seconds after each."""

        def answer(handler: SimpleHTTPRequestHandler) -> None:
            body = _body(handler)
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            size = -(-len(body) // drops)
            for start in range(0, len(body), size):
                handler.wfile.write(body[start : start + size])
                if self._closing.wait(pause):
                    break

        self._faults[path] = (float("inf"), answer)

    def silent(self, path: str) -> None:
        """Accept the request and never answer."""
        self._faults[path] = (float("inf"), lambda _handler: self._closing.wait())

    def reset(self, path: str, times: float = float("inf")) -> None:
        """Close the connection without an answer."""
        self._faults[path] = (times, lambda handler: handler.connection.close())

    def mend(self) -> None:
        """Remove all faults and forget the requests."""
        self._faults.clear()
        self.requests.clear()
        self.most_at_once = 0

    def _fault(self, path: str) -> Callable | None:
        with self._lock:
            times, answer = self._faults.get(path, (0, None))
            if times < 1:
                return None
            self._faults[path] = (times - 1, answer)
            return answer

    @contextlib.contextmanager
    def _counted(self, path: str) -> Iterator[None]:
        with self._lock:
            self.requests.append(path)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1


@contextlib.contextmanager
def serve(root: Path) -> Iterator[Server]:
    """Serve a directory as the archive, on a free port of the loopback interface."""
    server: Server

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith(OLD_PATH):
                self.send_response(301)
                self.send_header("Location", PATH + path.removeprefix(OLD_PATH))
                self.end_headers()
                return
            if not path.startswith(PATH):
                self.send_error(404)
                return
            self.path = path
            inside = path.removeprefix(PATH)
            with server._counted(inside), contextlib.suppress(ConnectionError):
                (server._fault(inside) or SimpleHTTPRequestHandler.do_GET)(self)

        def translate_path(self, path: str) -> str:
            return super().translate_path("/" + path.removeprefix(PATH))

        def log_message(self, *_arguments: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        directory = str(root)

        def finish_request(self, request, client_address) -> None:
            Handler(request, client_address, self, directory=str(root))

        def handle_error(self, request, client_address) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as httpd:
        origin = f"http://127.0.0.1:{httpd.server_port}"
        server = Server(origin + PATH, origin + OLD_PATH)
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server._closing.set()
            httpd.shutdown()


def _body(handler: SimpleHTTPRequestHandler) -> bytes:
    path = Path(handler.translate_path(handler.path))
    return (path / "index.html" if path.is_dir() else path).read_bytes()


def _answer(
    handler: SimpleHTTPRequestHandler,
    body: bytes,
    kind: str = "application/octet-stream",
    length: int | None = None,
) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
