"""The judges of the samples: they must let a right program pass and object to a wrong one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verify import judges

SIZES = ("0", "1", "1025", "4096")

SERVER = """#!{python}
import http.server, socket, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments):
        super().__init__(*arguments, directory="public")
    def send_header(self, name, value):
        {fault}
        super().send_header(name, value)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
"""


def judge(contract: str, *arguments: str) -> dict[str, dict]:
    """Run a judge as it runs on a host: by standard input, isolated."""
    result = subprocess.run(
        [sys.executable, "-IS", "-", *arguments],
        input=judges.source(contract),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def program(folder: Path, text: str) -> str:
    """Write an executable script and return its path."""
    path = folder / "program"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def objections(verdicts: dict[str, dict]) -> set[str]:
    """Name the cases that a judge objects to."""
    return {case for case, verdict in verdicts.items() if not verdict["ok"]}


def test_a_right_cat_passes():
    assert objections(judge("cat", "/bin/cat", *SIZES)) == set()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("for f; do head -c -1 -- $f; done", {"size 1", "size 1025", "size 4096", "several files"}),
        ("cat -- $1", {"several files"}),
        ("cat -- $@; true", {"missing file"}),
        ("cat -- $@ | tr '\\0' x", {"size 1025", "size 4096", "several files"}),
        ("cat -- $@; exit 3", {f"size {size}" for size in SIZES} | {"several files"}),
    ],
)
def test_a_wrong_cat_is_objected_to(tmp_path, fault, expected):
    assert objections(judge("cat", program(tmp_path, f"#!/bin/sh\n{fault}\n"), *SIZES)) >= expected


def test_an_objection_says_what_was_found(tmp_path):
    verdicts = judge("cat", program(tmp_path, "#!/bin/sh\nhead -c 100 $1; echo broken >&2\n"), "1025")
    found = verdicts["size 1025"]["found"]
    assert found == "exit status 0, 100 bytes, first difference at byte 100, saying: broken"


def test_a_right_cp_passes():
    assert objections(judge("cp", "/bin/cp", *SIZES)) == set()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("head -c 1024 $1 >$2", {"size 1025", "size 4096", "larger destination"}),
        ("dd if=$1 of=$2 conv=notrunc status=none", {"larger destination"}),
        ("cp $1 $2 2>/dev/null; true", {"missing file"}),
        ("true", {f"size {size}" for size in SIZES} | {"larger destination", "missing file"}),
    ],
)
def test_a_wrong_cp_is_objected_to(tmp_path, fault, expected):
    assert objections(judge("cp", program(tmp_path, f"#!/bin/sh\n{fault}\n"), *SIZES)) >= expected


def test_a_program_that_uses_io_uring_fails_where_it_is_denied(tmp_path):
    """A refusal of the ring alone, at any other errand the program is right."""
    ring = (Path(judges.__file__).parents[1] / "probes" / "ring.py").read_text()
    (tmp_path / "ring.py").write_text(ring)
    script = f'#!/bin/sh\n{sys.executable} {tmp_path}/ring.py | grep -q \'"ok": true\' && exec cat -- "$@"\n'
    plain = subprocess.run([sys.executable, tmp_path / "ring.py"], capture_output=True, text=True, check=True)
    if not json.loads(plain.stdout)["ok"]:
        pytest.skip(f"this computer has no io_uring: {plain.stdout}")
    assert objections(judge("cat", program(tmp_path, script), "1025")) == {"without io_uring"}


@pytest.fixture
def site(tmp_path):
    """Make a folder with something to serve; the port must be free, for the judge has just one."""
    public = tmp_path / "public"
    public.mkdir()
    (public / "index.html").write_text("<p>hello\n")
    (public / "style.css").write_text("p { color: green }\n")
    return tmp_path


def serve(site: Path, fault: str = "pass") -> set[str]:
    """Judge a server with a fault, in a network of its own where that is allowed, and name the objections."""
    text = SERVER.format(python=sys.executable, fault=fault)
    arguments = [sys.executable, "-IS", "-", program(site, text), str(site)]
    namespace = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        'ip link set lo up; exec "$@"',
        "-",
    ]
    source = judges.source("webserver").replace("LINGER = 2", "LINGER = 0")
    result = subprocess.run(
        [*namespace, *arguments], input=source, capture_output=True, text=True, check=False
    )
    if "unshare" in result.stderr:
        pytest.skip(f"no network namespace here: {result.stderr.strip()}")
    return objections(json.loads(result.stdout))


def test_a_right_web_server_passes(site):
    assert serve(site) == set()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("value = '9' if name == 'Content-Length' and value == '9' else '7'", {"GET /style.css"}),
        (
            "value = '1000' if name == 'Content-Length' else value",
            {"GET /", "GET /style.css", "missing file"},
        ),
        ("value = 'text/plain' if name.lower() == 'content-type' else value", {"GET /", "GET /index.html"}),
        ("sys.exit(1)", {"GET /", "missing file"}),
    ],
)
def test_a_wrong_web_server_is_objected_to(site, fault, expected):
    assert serve(site, fault) >= expected


def test_a_server_that_does_not_start_is_objected_to(site):
    (site / "public" / "index.html").unlink()
    verdicts = judge("webserver", "/bin/false", str(site))
    assert objections(verdicts) == {"starts", "without io_uring"}


def test_the_judges_are_ascii():
    """Anything else would make testinfra ask the host for its encoding first."""
    assert all(judges.source(contract).isascii() for contract in ("cat", "cp", "webserver"))
