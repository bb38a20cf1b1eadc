"""The judges of the samples: they must accept a correct program, and each case must reject a faulty one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.verify.judging import (
    CRASH,
    RING,
    contract,
    judge,
    need_io_uring,
    rejections,
    shell,
    write_program,
)
from tests.verify import judges

#: Faulty programs for the contract cat, each with the cases that must reject it.
CATS = {
    'for f; do head -c -1 -- "$f"; done': [
        *(f"size {size}" for size in (1, 1023, 1024, 1025, 4096, 1 << 20, (1 << 20) + 1)),
        "several files",
    ],
    'cat -- "$@"; echo': ["size 0", "/dev/null"],
    'head -qc 67108864 -- "$@"': ["size 67108865", "over 2 GiB"],
    "cat -- \"$@\" | tr '\\0' x": ["size 1025", "over 2 GiB"],
    'cat -- "$1"': ["several files"],
    'cat -- "$@" >/dev/stdout': ["into a file"],
    'cat -- "$@"; true': [
        "missing file", "unreadable file", "directory", "after a missing file", "full device",
    ],
    'cat -- "$@" 2>/dev/null': ["missing file", "unreadable file", "directory", "full device"],
    'echo sorry; cat -- "$@"': ["missing file", "unreadable file", "directory"],
    'for f; do cat -- "$f" || exit; done': ["after a missing file"],
    '{ cat -- "$@"; head -c 4096 /dev/zero; } | head -c "$(stat -c %s -- "$1")"': ["short file"],
    'cat -- "$@"; exit 3': ["size 0", "size 1025", "several files", "/dev/null"],
    'cat -- "$@"; echo "by the way" >&2': ["size 0"],
    "sleep 60": ["size 0"],
    CRASH: ["io_uring denied"],
}  # fmt: skip

#: Faulty programs for the contract cp, each with the cases that must reject it.
CPS = {
    "true": [f"size {size}" for size in (0, 1, 1023, 1024, 1025, 4096, 1 << 20, (1 << 20) + 1)],
    'head -c 67108864 -- "$1" >"$2"': ["size 67108865", "over 2 GiB"],
    'dd if="$1" of="$2" conv=notrunc status=none': ["larger destination"],
    'cp -- "$1" "$2"; true': ["missing file", "unreadable file", "directory", "onto itself", "full device"],
    'cp -- "$1" "$2" 2>/dev/null': ["missing file", "unreadable file", "directory", "onto itself"],
    ': >"$2"; cp -- "$1" "$2"': ["missing file", "unreadable file", "directory", "onto itself"],
    '[ "$1" = "$2" ] && { echo same >&2; exit 1; }; cat -- "$1" >"$2"': ["onto itself", "holes", "mode"],
    '[ -s "$1" ] || { echo empty >&2; exit 1; }; cp -- "$1" "$2"': ["/dev/null", "size 0"],
    '[ -c "$2" ] && exit 1; cp -- "$1" "$2"': ["to /dev/null", "full device"],
    '{ cat -- "$1"; head -c 4096 /dev/zero; } | head -c "$(stat -c %s -- "$1")" >"$2"': ["short file"],
    'cp -- "$1" "$2"; echo done': ["size 0", "larger destination"],
    'cp -- "$1" "$2"; chmod 644 "$2"': ["mode"],
    CRASH: ["io_uring denied"],
}  # fmt: skip

#: A correct web server.
SERVER = r"""#!@python@
import email.utils, http.server, mimetypes, os, re, resource, socket, stat, sys, urllib.parse
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))  # 200 threads take more than the sandbox gives

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    timeout = 5

    def handle(self):
        try:
            self.look()
            if not re.search(rb"\r[^\n]", self.connection.recv(65536, socket.MSG_PEEK)):
                super().handle()
        except OSError:
            pass

    def look(self):
        pass

    def do_GET(self):
        if self.request_version == "HTTP/1.1" and " " in self.headers.get("Host", " "):
            return self.send_error(400)
        path = self.path.split("?")[0]
        if not path.startswith("/") or re.search("\0|%(?![0-9a-fA-F]{2})", path):
            return self.send_error(400)
        path = urllib.parse.unquote(path)
        if ".." in path.split("/"):
            return self.send_error(404)
        if path.endswith("/"):
            path += "index.html"
        try:
            if not stat.S_ISREG(os.stat("public" + path).st_mode):
                return self.send_error(404)
            data = open("public" + path, "rb").read()
        except OSError:
            return self.send_error(404)
        size, status, first, last = len(data), 200, 0, len(data) - 1
        tag = '"%d"' % size
        if self.headers.get("If-Match", tag) not in ("*", tag):
            return self.send_error(412)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            status, (one, two) = 206, wanted.groups()
            first, last = (int(one), min(int(two or last), last)) if one else (size - int(two), last)
            if first > last:
                status, data = 416, b""
            data = data[first : last + 1]
        if self.headers.get("If-None-Match") == tag:
            status, data = 304, b""
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, size))
        if status == 416:
            self.send_header("Content-Range", "bytes */%d" % size)
        self.send_header("ETag", tag)
        if status != 304:
            self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", mimetypes.guess_type(path)[0] or "application/octet-stream")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 300
    def handle_error(self, *_):
        pass

Server(("127.0.0.1", 8000), Handler).serve_forever()
"""

#: Hooks for a fault: at a new connection, and at its first segment.
LOOK = "def look(self):\n        "
NOTHING = f"{LOOK}pass"
PEEK = f"{LOOK}first = self.connection.recv(65536, socket.MSG_PEEK)\n        "

#: Answers with status 200 instead of an error.
NO_ERROR = """def send_error(self, *_):
        self.send_response(200)
        self.end_headers()

    def handle(self):"""

#: Answers errors without their body.
NO_BODY = """

    def send_error(self, code, *_):
        self.send_response(code)
        self.send_header("Content-Length", "9")
        self.send_header("Connection", "close")
        self.end_headers()"""

#: Serves only 150 connections.
LIMITED = f"""served = []

    {LOOK}self.served.append(1)
        len(self.served) <= 150 or self.connection.shutdown(socket.SHUT_RDWR)"""

#: Changes that make the server faulty, each with the cases that must reject it.
SERVERS = {
    ('("127.0.0.1", 8000)', '("0.0.0.0", 8000)'): ["loopback only"],
    ('mimetypes.guess_type(path)[0] or "application/octet-stream"', '"text/plain"'): ["every file", "types"],
    ("str(len(data))", "str(len(data) + 1)"): ["every file", "unknown type", "empty file", "8 MiB file"],
    ("self.wfile.write(data)", "self.wfile.write(data[:3000000])"): ["8 MiB file", "slow reader"],
    ("self.wfile.write(data)", "self.wfile.write(data[::-1])"): ["every file", "unknown type"],
    ("ThreadingHTTPServer", "HTTPServer"): ["slow reader", "idle connections"],
    ("OSError:\n            return self.send_error(404)", 'OSError:\n            data = b"?"'): [
        "missing file", "unreadable file",
    ],
    ('self.path.split("?")[0]', "self.path"): ["query"],
    ("path = urllib.parse.unquote(path)", "pass"): ["percent-encoding"],
    ('if self.command != "HEAD":', "if True:"): ["HEAD", "HEAD and keep-alive"],
    ("do_HEAD = do_GET", "do_HEAD = do_POST = do_GET"): ["other methods"],
    (NOTHING, f"{PEEK}b'\\r\\n\\r\\n' in first or os._exit(3)"): [
        "split request", "incomplete request", "empty request", "long head", "reset",
    ],
    (NOTHING, f"{PEEK}len(first) < 1000 or os._exit(3)"): ["long request line", "long head"],
    ("def handle(self):", NO_ERROR): ["broken requests", "directory", "pipe", "missing file"],
    ("except OSError:\n            pass", "except OSError:\n            os._exit(4)"): ["reset"],
    ('if not stat.S_ISREG(os.stat("public" + path).st_mode):', "if False:"): ["pipe"],
    ('if ".." in path.split("/"):', "if False:"): ["traversal", "encoded traversal"],
    (NOTHING, LIMITED): ["many connections"],
    (NOTHING, f"kept = []\n    {LOOK}self.kept.append(bytearray(9999))"): ["growth", "empty connections"],
    (NOTHING, f"{LOOK}os.dup(0)"): ["growth", "empty connections"],
    ('protocol_version = "HTTP/1.1"', 'protocol_version = "HTTP/1.0"'): ["keep-alive", "pipelining"],
    ('if self.command != "HEAD":', "self.close_connection = False\n        if True:"): ["HTTP/1.0 closes"],
    ('self.headers.get("Range", "")', '""'): ["ranges"],
    ("status, data = 416", "status, data = 200"): ["ranges"],
    ('if self.headers.get("If-None-Match") == tag:', "if False:"): ["conditional requests"],
    ('and " " in self.headers.get("Host", " ")', "and False"): ["no host"],
    ('and " " in self.headers.get("Host", " ")', 'and "Host" not in self.headers'): ["no host"],
    ("return self.send_error(412)", "pass"): ["preconditions"],
    (r'rb"\r[^\n]"', 'b"never"'): ["bare CR"],
    ("do_HEAD = do_GET", f"do_HEAD = do_GET{NO_BODY}"): ["error after HEAD", "missing file"],
    ("class Server", "import signal\nsignal.signal(15, signal.SIG_IGN)\nclass Server"): ["SIGTERM"],
    ("class Server", "import signal\nsignal.signal(15, lambda *_: os._exit(3))\nclass Server"): ["SIGTERM"],
    ("class Server", f"os.system({CRASH.replace('$$', '$PPID')!r})\nclass Server"): ["io_uring denied"],
    ("class Server", "sys.exit(0)\nclass Server"): ["starts", "io_uring denied", "without io_uring"],
}  # fmt: skip


def server(directory: Path, old: str = "", new: str = "") -> Path:
    """Write the server, with `old` replaced by `new`, and files to serve; return its path."""
    public = directory / "public"
    public.mkdir()
    (public / "index.html").write_text("<p>hello\n")
    (public / "style.css").write_text("p { color: green }\n")
    (directory / "ring.py").write_text(RING.read_text())
    assert old in SERVER
    text = SERVER.replace(old, new, 1) if old else SERVER
    return write_program(
        directory, text.replace("@python@", sys.executable).replace("{directory}", str(directory))
    )


@pytest.mark.parametrize("name", ["cat", "cp"])
def test_a_correct_program_passes(name):
    verdicts = judge(name, f"/bin/{name}")
    assert rejections(verdicts) == {}
    assert verdicts.keys() == {*contract(name), judges.WITHOUT}


def test_a_correct_web_server_passes(tmp_path):
    verdicts = judge("webserver", server(tmp_path))
    assert rejections(verdicts) == {}
    assert verdicts.keys() == {*contract("webserver"), judges.WITHOUT}


@pytest.mark.parametrize("fault", CATS)
def test_a_faulty_cat_is_rejected(tmp_path, fault):
    if fault == CRASH:
        need_io_uring()
    assert rejections(judge("cat", shell(tmp_path, fault), *CATS[fault])).keys() == set(CATS[fault])


@pytest.mark.parametrize("fault", CPS)
def test_a_faulty_cp_is_rejected(tmp_path, fault):
    if fault == CRASH:
        need_io_uring()
    assert rejections(judge("cp", shell(tmp_path, fault), *CPS[fault])).keys() == set(CPS[fault])


@pytest.mark.parametrize("fault", SERVERS)
def test_a_faulty_web_server_is_rejected(tmp_path, fault):
    if CRASH[:20] in fault[1]:
        need_io_uring()
    cases = SERVERS[fault]
    assert rejections(judge("webserver", server(tmp_path, *fault), *cases)).keys() == set(cases)


@pytest.mark.parametrize(("name", "faults"), [("cat", CATS), ("cp", CPS), ("webserver", SERVERS)])
def test_each_case_rejects_some_faulty_program(name, faults):
    assert {case for cases in faults.values() for case in cases} >= contract(name)


def test_a_server_that_one_case_crashes_is_started_again_for_the_next(tmp_path):
    program = server(tmp_path, NOTHING, f"{PEEK}b'\\r\\n\\r\\n' in first or os._exit(3)")
    verdicts = judge("webserver", program, "incomplete request", "query")
    assert verdicts["incomplete request"]["found"].endswith("exit status 3")
    assert rejections(verdicts).keys() == {"incomplete request"}


def test_a_rejection_says_what_was_found(tmp_path):
    verdicts = judge("cat", shell(tmp_path, 'head -c 100 "$1"; echo broken >&2'), "size 1025")
    found = "exit status 0, 100 bytes, first difference at byte 100, saying: broken"
    assert verdicts["size 1025"]["found"] == found


def test_a_program_that_uses_io_uring_fails_where_it_is_denied(tmp_path):
    """The program is correct except that it refuses to run without io_uring."""
    need_io_uring()
    text = CRASH.replace("kill -SEGV $$", "{ echo no ring >&2; exit 1; }") + '; exec cat -- "$@"'
    verdicts = judge("cat", shell(tmp_path, text), "size 1025", "io_uring denied", judges.WITHOUT)
    assert rejections(verdicts).keys() == {judges.WITHOUT}


def test_a_case_that_would_take_too_long_here_is_skipped():
    source = judges.source("cat").replace("PACE_LIMIT = 20", "PACE_LIMIT = 0")
    result = subprocess.run(
        [sys.executable, "-IS", "-", "/bin/cat", "over 2 GiB"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    )
    verdict = json.loads(result.stdout)
    assert verdict["ok"] is None
    assert verdict["found"].startswith("at this machine's pace it would take")


def test_only_servers_of_http_1_1_get_its_cases():
    assert contract("webserver") - contract("webserver", "") == set(judges.webserver.HTTP_1_1)


@pytest.mark.parametrize("name", ["cat", "cp", "webserver", "cksum", "fetch", "echo", "pingpong"])
def test_a_judge_is_ascii(name):
    """Otherwise testinfra would first ask the host for its encoding."""
    assert judges.source(name).isascii()
