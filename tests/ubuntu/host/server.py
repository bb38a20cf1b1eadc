#!/usr/bin/python3
"""Serve the simulated Ubuntu servers on the loopback interface: one directory for each host name."""

import os
import socket
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path("/opt/simulated-ubuntu/www")


class Handler(SimpleHTTPRequestHandler):
    """A request; its Host header names the simulated server."""

    def translate_path(self, path):
        """Return the requested file."""
        self.directory = str(ROOT / Path(self.headers.get("Host", "none")).name)
        return super().translate_path(path)

    def send_error(self, code, *_):
        """Use the standard reason phrase, as Ubuntu's servers do: 404 Not Found."""
        super().send_error(code)

    def log_message(self, *_):
        """Log nothing."""


with ThreadingHTTPServer(("127.0.0.1", 80), Handler) as server:
    # systemd starts sshd after this, so the archive is ready before anybody logs in.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    server.serve_forever()
