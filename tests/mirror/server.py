"""Serve a mainline archive over HTTP on this computer, with faults put in.

What this cannot show: how the real archive behaves. Its pages are drawn from what is known of them, and no
test ever asks it. There is no TLS, no proxy and no content network in between, no name to be looked up, and
the loopback is fast, so that no time measured against it means anything.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

#: Where the archive is on its server, and where it was until October 2023.
PLACE, OLD_PLACE = "/mainline/", "/~kernel-ppa/mainline/"

LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Welcome to the guest network</title></head></html>\n"


@dataclass
class Server:
    """A server that runs.

    Attributes:
        url: the archive's address.
        old_url: the address it once had, which redirects there.
        requests: the paths that were asked for, relative to the archive, in their order.
        most_at_once: how many were under way at the same time at most.

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
        """Answer with a status code: for ever, or so many times. All paths are relative to the archive."""
        self._faults[path] = (times, lambda handler: handler.send_error(code))

    def loop(self, path: str) -> None:
        """Redirect a path to itself."""

        def answer(handler: SimpleHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", handler.path)
            handler.end_headers()

        self._faults[path] = (float("inf"), answer)

    def page(self, path: str, body: bytes = LOGIN_PAGE) -> None:
        """Answer with status 200 and a page of HTML, as a log-in page in between does."""
        self._faults[path] = (float("inf"), lambda handler: _answer(handler, body, "text/html"))

    def truncated(self, path: str, times: float = float("inf")) -> None:
        """Promise the whole body and end in its middle."""

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
        """Answer with so many bytes, and no word before how many they are."""

        def answer(handler: SimpleHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            for _ in range(size >> 16):
                handler.wfile.write(b" " * (1 << 16))

        self._faults[path] = (float("inf"), answer)

    def drip(self, path: str, pause: float, drops: int) -> None:
        """Answer in so many drops, with a pause in seconds after each."""

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
        """Take the request and never answer."""
        self._faults[path] = (float("inf"), lambda _handler: self._closing.wait())

    def reset(self, path: str, times: float = float("inf")) -> None:
        """End the connection without an answer."""
        self._faults[path] = (times, lambda handler: handler.connection.close())

    def mend(self) -> None:
        """Take all faults out and forget the requests."""
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
    """Serve a directory as the archive, at a free port of the loopback."""
    server: Server

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith(OLD_PLACE):
                self.send_response(301)
                self.send_header("Location", PLACE + path.removeprefix(OLD_PLACE))
                self.end_headers()
                return
            if not path.startswith(PLACE):
                self.send_error(404)
                return
            self.path = path
            inside = path.removeprefix(PLACE)
            with server._counted(inside), contextlib.suppress(ConnectionError):
                (server._fault(inside) or SimpleHTTPRequestHandler.do_GET)(self)

        def translate_path(self, path: str) -> str:
            return super().translate_path("/" + path.removeprefix(PLACE))

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
        server = Server(origin + PLACE, origin + OLD_PLACE)
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
