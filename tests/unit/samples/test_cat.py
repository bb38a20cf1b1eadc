"""Our four cats print the content of all kinds of files, and report errors."""

import os
import resource
import select
import subprocess
from pathlib import Path

import pytest

from tests.unit.samples.programs import SYS_FILE, binary, program

pytestmark = pytest.mark.parametrize(
    "name", ["01_regular_cat", "02_cat_uring", "03_cat_liburing", "06_cat_ring"]
)

#: Around upstream's block sizes (1 KiB, 4 KiB) and ours (32 KiB, eight per request; 128 KiB, four queued).
SIZES = [
    0,
    1,
    1023,
    1024,
    1025,
    4096,
    32 * 1024,
    128 * 1024,
    256 * 1024,
    256 * 1024 + 1,
    512 * 1024,
    5_000_001,
]


def cat(name, *files, **options):
    return subprocess.run([program(name), *files], stderr=subprocess.PIPE, timeout=30, **options)


def run(name, *files):
    done = cat(name, *files, stdout=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("size", SIZES)
def test_output_equals_the_file(name, size, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(binary(size))
    status, output, errors = run(name, file)
    assert (status, errors) == (0, "")
    assert output == binary(size)


def test_several_files_are_printed_in_order(name, tmp_path):
    files = [tmp_path / str(size) for size in (1025, 0, 300_000, 7)]
    for file in files:
        file.write_bytes(binary(int(file.name)))
    assert run(name, *files) == (0, b"".join(file.read_bytes() for file in files), "")


@pytest.mark.parametrize("reason", ["No such file or directory", "Is a directory", "Permission denied"])
def test_a_bad_file_is_reported_and_the_others_are_printed(name, reason, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("good\n")
    if reason == "Is a directory":
        bad.mkdir()
    elif reason == "Permission denied":
        if os.geteuid() == 0:
            pytest.skip("root may read every file")
        bad.touch(mode=0)
    assert run(name, good, bad, good) == (1, b"good\ngood\n", f"program: {bad}: {reason}\n")


def test_device_without_a_size_is_read_to_its_end(name):
    assert run(name, "/dev/null") == (0, b"", "")


@pytest.mark.parametrize("file", [SYS_FILE, Path("/proc/version")], ids=str)
def test_file_that_states_a_wrong_size_is_read_to_its_end(name, file):
    if not file.exists():
        pytest.skip(f"{file} is not on this machine")
    assert run(name, file) == (0, file.read_bytes(), "")


def test_pipe_is_read_to_its_end(name):
    data = binary(300_000)
    done = subprocess.run([program(name), "/dev/stdin"], input=data, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, data)


def test_a_line_from_an_open_pipe_is_printed_at_once(name):
    """Not only with the next lines: whoever watches a log reads each one when it is written."""
    command = [program(name), "/dev/stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        for line in (b"first\n", b"second\n"):
            process.stdin.write(line)
            assert select.select([process.stdout], [], [], 5)[0], f"{line!r} was held back for 5 s"
            assert process.stdout.read(100) == line
        process.stdin.close()
        assert process.stdout.read(100) == b""
    assert process.returncode == 0


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_an_input_that_is_the_output_is_refused_and_the_others_are_printed(name, mode, tmp_path):
    """It would grow without end; RLIMIT_FSIZE keeps that from filling the disk here."""
    file, empty, other = tmp_path / "file", tmp_path / "empty", tmp_path / "other"
    file.write_bytes(binary(300_000))
    empty.touch()
    other.write_bytes(b"other")
    limit = 10 * 1024**2
    with file.open(mode) as stream:
        stream.seek(0, os.SEEK_END)
        limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}
        done = cat(name, file, empty, other, stdout=stream, **limited)
    assert (done.returncode, done.stderr) == (1, f"program: {file}: input file is output file\n".encode())
    assert file.read_bytes() == binary(300_000) + b"other"


@pytest.mark.parametrize("content", [b"", b"x"])
def test_closed_output_is_an_error(name, content, tmp_path):
    """The first descriptor that the program opens must not take its place."""
    file = tmp_path / "file"
    file.write_bytes(content)
    done = cat(name, file, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (1, b"program: standard output: Bad file descriptor\n")


def test_full_disk_is_reported(name, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with Path("/dev/full").open("wb") as full:
        done = cat(name, file, stdout=full)
    assert (done.returncode, done.stderr) == (1, b"program: standard output: No space left on device\n")


def test_closed_pipe_is_an_error(name, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    reader, writer = os.pipe()
    os.close(reader)
    done = cat(name, file, stdout=writer, restore_signals=False)  # SIGPIPE stays ignored, as in Python
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"program: standard output: Broken pipe\n")


def test_no_file_is_a_usage_error(name):
    status, output, errors = run(name)
    assert (status, output) == (1, b"")
    assert "usage:" in errors
