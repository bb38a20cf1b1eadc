"""Traces our samples: all data goes through io_uring, and a ring that the kernel refuses is explained."""

import re
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.samples.programs import OURS, binary, program

#: Larger than any buffer.
SIZE = 1_000_001

#: The system calls that transfer data or accept connections without io_uring.
PLAIN = (
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2",
    "sendfile", "splice", "copy_file_range", "recvfrom", "recvmsg", "sendto", "sendmsg", "accept", "accept4",
    "mmap",
)  # fmt: skip

#: In a trace: the system call, and the file or kind of each descriptor among its arguments.
CALL = re.compile(r"(\w+)\((.*)")
DESCRIPTOR = re.compile(r"\d+<([^>]*)>")

CATS = [sample["name"] for sample in OURS if sample["contract"] == "cat" and sample["io_uring"]]
CPS = [sample["name"] for sample in OURS if sample["contract"] == "cp"]
SERVERS = [sample["name"] for sample in OURS if sample["contract"] == "webserver"]
#: The others, and how they are called.
CALLED = {"echo": ["0"], "fetch": ["127.0.0.1", "1", "/"], "cksum": ["/dev/null"], "pingpong": ["4"]}
BRIDGES = {sample["name"]: CALLED[sample["contract"]] for sample in OURS if sample["contract"] in CALLED}


def need_strace() -> None:
    """Skip the calling test if there is no strace."""
    if not shutil.which("strace"):
        pytest.skip("no strace: install strace")


class Trace:
    """A program under strace, which records only the system calls of interest."""

    def __init__(self, directory: Path, *arguments: Path | str, **options) -> None:
        need_strace()
        self._path = directory / "trace"
        calls = ",".join((*PLAIN, "io_uring_setup", "io_uring_enter"))
        # -D runs the tracer in the background: our child is the program, and gets our signals.
        command = ["strace", "-D", "-f", "-y", "-q", "-s", "0", "-e", f"trace={calls}", "-o", self._path]
        self.process = subprocess.Popen([*command, *arguments], cwd=directory, **options)

    def counts(self, *payload: Path | str) -> Counter[str]:
        """Count io_uring's system calls, and the plain ones that concern the payload.

        Args:
            payload: paths of files, and kinds of descriptors, such as `socket`.

        """
        self.process.communicate(timeout=30)
        end = time.monotonic() + 10
        while not self._path.read_text().endswith("+++\n"):  # +++ exited with 0 +++
            assert time.monotonic() < end, "strace does not report the program's end"
            time.sleep(0.02)
        found = Counter()
        for line in self._path.read_text().splitlines():
            call = CALL.search(line)
            if not call:
                continue
            kinds = [kind.split(":")[0] for kind in DESCRIPTOR.findall(call[2])]
            if call[1] == "mmap" and "PROT_NONE" in call[2]:
                continue  # such a mapping cannot be read
            if call[1].startswith("io_uring") or {*map(str, payload)} & {*kinds}:
                found[call[1]] += 1
        return found


def only_io_uring(found: Counter[str]) -> bool:
    """Return whether a ring was made and used, and no plain system call."""
    return found["io_uring_setup"] >= 1 and found["io_uring_enter"] >= 1 and len(found) == 2


@pytest.fixture
def source(tmp_path):
    """Make a file to be read."""
    path = tmp_path / "source"
    path.write_bytes(binary(SIZE))
    return path


@pytest.mark.parametrize("name", CATS)
def test_cat_reads_only_by_io_uring(name, tmp_path, source):
    trace = Trace(tmp_path, program(name), source, stdout=subprocess.DEVNULL)
    found = trace.counts(source)
    assert only_io_uring(found), found


def test_the_trace_of_a_plain_cat_shows_its_system_calls(tmp_path, source):
    """Proves that the traces of the other tests are not empty by mistake."""
    trace = Trace(tmp_path, program("01_regular_cat"), source, stdout=subprocess.DEVNULL)
    assert trace.counts(source).keys() == {"readv"}


@pytest.mark.parametrize("name", CPS)
def test_cp_reads_and_writes_only_by_io_uring(name, tmp_path, source):
    target = tmp_path / "target"
    found = Trace(tmp_path, program(name), source, target).counts(source, target)
    assert only_io_uring(found), found
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("name", SERVERS)
def test_a_web_server_accepts_receives_reads_and_sends_only_by_io_uring(name, tmp_path):
    public = tmp_path / "public"
    public.mkdir()
    page = public / "page.txt"
    page.write_bytes(binary(SIZE))
    trace = Trace(tmp_path, program(name), "0", stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://[\d.:]+/", trace.process.stdout.readline())[0]
        with urllib.request.urlopen(f"{address}page.txt", timeout=30) as answer:  # noqa: S310 - on loopback
            assert answer.read() == page.read_bytes()
    finally:
        trace.process.terminate()
    found = trace.counts(page, "socket")
    assert only_io_uring(found), found


@pytest.mark.parametrize("name", [*CATS, *CPS, *SERVERS, *BRIDGES])
def test_too_little_locked_memory_is_explained_in_one_line(name, tmp_path, source):
    """Of ENOMEM nobody would guess a limit. strace injects it, because only some kernels count rings."""
    need_strace()
    (tmp_path / "public").mkdir()
    plain = ["0"] if name in SERVERS else [source, *[tmp_path / "target"] * (name in CPS)]
    arguments = BRIDGES.get(name, plain)
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=io_uring_setup:error=ENOMEM"]
    done = subprocess.run(
        [*inject, program(name), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"program: .*locked memory.*ulimit -l.*\n", done.stderr), done.stderr
