"""Judge of the contract `webserver`: `program` serves `public/` of its working directory on port 8000.

Arguments: the program, the folder that holds `public/`.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path

from common import Verdicts, deny_io_uring, read

PORT = 8000

#: Seconds the server may take to listen, and to answer.
START_TIMEOUT = 30
ANSWER_TIMEOUT = 30

#: Seconds that the server is left running after the last request, for whoever looks from outside.
LINGER = 2

TYPES = {
    ".html": "text/html",
    ".htm": "text/html",
    ".css": "text/css",
    ".js": ("application/javascript", "text/javascript"),
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".txt": "text/plain",
}


def listening():
    """Tell whether anything in this network namespace listens on the port.

    The kernel's table is read because a mere connection costs some servers a descriptor.
    """
    wanted = f":{PORT:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (read(table) or b"").decode().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
    return False


def start(program, folder, deny_uring=False):
    """Start the server and wait until it listens, ends, or the time is over."""
    process = subprocess.Popen(
        [program],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=deny_io_uring if deny_uring else None,
    )
    end = time.time() + START_TIMEOUT
    while time.time() < end and process.poll() is None and not listening():
        time.sleep(0.05)
    return process


def stop(process):
    """End the server and wait until the port is free again: that takes some milliseconds more."""
    if process.poll() is None:
        process.kill()
    process.wait()
    end = time.time() + START_TIMEOUT
    while listening() and time.time() < end:
        time.sleep(0.05)


def get(path, timeout=ANSWER_TIMEOUT):
    """Ask for a path and read until the server closes.

    Returns:
        (status line, {header in lower case: value}, body); after a failure the first says what went wrong.

    """
    answer = b""
    try:
        connection = socket.create_connection(("127.0.0.1", PORT), timeout)
        try:
            request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"
            connection.sendall(request.encode())
            while True:
                block = connection.recv(65536)
                if not block:
                    break
                answer += block
        finally:
            connection.close()
    except OSError as problem:
        return f"no answer ({problem})", {}, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return lines[0], headers, body


def status_of(line):
    """Return the three digits of a status line, or what stands in its place."""
    words = line.split(" ")
    return words[1] if len(words) > 1 and words[0] in ("HTTP/1.0", "HTTP/1.1") else line


def judge_file(path, expected, verdicts):
    """Compare one answer with the file it should carry, headers included."""
    line, headers, body = get(path)
    length = headers.get("content-length")
    kind = headers.get("content-type", "").split(";")[0].strip()
    wanted = TYPES.get(Path(path).suffix or ".html")
    good = (
        status_of(line) == "200"
        and body == expected
        and length == str(len(expected))
        and (wanted is None or kind in ((wanted,) if isinstance(wanted, str) else wanted))
    )
    found = "{!r}, content-type {!r}, content-length {}, a body of {} bytes that {} the file's {}".format(
        line, kind, length, len(body), "equals" if body == expected else "differs from", len(expected)
    )
    verdicts.add("GET " + path, good, found)


def judge(program, folder, verdicts):
    """Ask for every file of public/, for one that is not there, and see what is left without io_uring."""
    process = start(program, folder)
    up = process.poll() is None and listening()
    verdicts.add("starts", up, "listening" if up else f"not listening, exit status {process.poll()}")
    if up:
        public = Path(folder, "public")
        judge_file("/", read(public / "index.html"), verdicts)
        for file in sorted(public.iterdir()):
            if file.is_file():
                judge_file("/" + file.name, read(file), verdicts)
        line, headers, body = get("/there-is-no-such-file.html")
        length = headers.get("content-length", str(len(body)))
        verdicts.add(
            "missing file",
            status_of(line) == "404" and bool(body) and length == str(len(body)),
            "{!r}, content-length {}, a body of {} bytes".format(
                line, headers.get("content-length"), len(body)
            ),
        )
        time.sleep(LINGER)
        verdicts.add("stays up", process.poll() is None, f"exit status {process.poll()}")
    stop(process)

    denied = start(program, folder, deny_uring=True)
    answered = denied.poll() is None and listening() and status_of(get("/", timeout=3)[0]) == "200"
    stop(denied)
    verdicts.add("without io_uring", answered, "it answered" if answered else "it did not answer")


if __name__ == "__main__":
    found = Verdicts()
    judge(sys.argv[1], sys.argv[2], found)
    found.print()
