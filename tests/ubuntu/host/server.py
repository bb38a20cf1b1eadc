#!/usr/bin/python3
"""Serve the simulated Ubuntu servers on the loopback interface: one directory for each host name."""

import os
import socket
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path("/opt/simulated-ubuntu/www")


class Handler(SimpleHTTPRequestHandler):
    """A request; the server it was meant for is in its Host header."""

    def translate_path(self, path):
        """Return the file that is asked for."""
        self.directory = str(ROOT / Path(self.headers.get("Host", "none")).name)
        return super().translate_path(path)

    def send_error(self, code, *_):
        """Answer in the words of the status itself, as Ubuntu's servers do: 404 Not Found."""
        super().send_error(code)

    def log_message(self, *_):
        """Keep quiet."""


with ThreadingHTTPServer(("127.0.0.1", 80), Handler) as server:
    # systemd starts sshd after this: who can log in finds the archive there.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    server.serve_forever()
