"""06_cat_ring, with several reads in flight: order, standard input, an output file."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.unit.samples.programs import binary, program

BLOCK = 128 * 1024  # DEPTH of them are in flight
FILE_BLOCK = 1024**2  # the block size if the output is a file


def run(*files, **options):
    """Run cat; return the exit status, standard output and standard error."""
    done = subprocess.run([program("06_cat_ring"), *files], capture_output=True, timeout=30, **options)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(binary(1_000_001))
    return file


def test_many_files_of_all_sizes_are_printed_in_order(tmp_path):
    sizes = [size + more for size in range(0, 9 * BLOCK, BLOCK) for more in (-1, 0, 1) if size + more >= 0]
    for size in sizes:
        (tmp_path / str(size)).write_bytes(binary(size))
    files = [tmp_path / str(size) for size in (*sizes, *reversed(sizes))]
    assert run(*files) == (0, b"".join(file.read_bytes() for file in files), "")


def test_a_file_outside_the_page_cache_is_printed_in_order(file):
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert run(file) == (0, binary(1_000_001), "")


def test_a_slow_reader_gets_the_output_in_order(file):
    process = subprocess.Popen([program("06_cat_ring"), file], stdout=subprocess.PIPE)
    received = b""
    while piece := os.read(process.stdout.fileno(), 7001):  # does not divide the block size
        received += piece
    process.stdout.close()
    assert (process.wait(10), received) == (0, binary(1_000_001))


@pytest.mark.parametrize("mode", ["wb", "ab", "r+b"])
def test_an_output_file_is_written_from_its_file_position_on(mode, file, tmp_path):
    output = tmp_path / "output"
    output.write_bytes(b"before")
    with output.open(mode) as stream:
        if mode == "r+b":
            stream.seek(3)
        assert subprocess.run([program("06_cat_ring"), file], stdout=stream, timeout=30).returncode == 0
    assert output.read_bytes() == {"wb": b"", "ab": b"before", "r+b": b"bef"}[mode] + binary(1_000_001)


@pytest.mark.parametrize("size", [FILE_BLOCK - 1, FILE_BLOCK, FILE_BLOCK + 1, 4 * FILE_BLOCK, 9_000_001])
def test_large_blocks_are_written_to_an_output_file_in_order(size, tmp_path):
    files = [tmp_path / "first", tmp_path / "second"]
    files[0].write_bytes(binary(size))
    files[1].write_bytes(binary(BLOCK + 1))
    with (tmp_path / "output").open("wb") as stream:
        assert subprocess.run([program("06_cat_ring"), *files], stdout=stream, timeout=30).returncode == 0
    assert (tmp_path / "output").read_bytes() == binary(size) + binary(BLOCK + 1)


def test_a_dash_among_the_files_is_standard_input(file):
    assert run(file, "-", input=b"in between") == (0, binary(1_000_001) + b"in between", "")
    assert run("-", file, input=binary(BLOCK)) == (0, binary(BLOCK) + binary(1_000_001), "")


def test_standard_input_is_read_from_its_file_position_to_its_end(file):
    with file.open("rb") as stream:
        os.lseek(stream.fileno(), 999, os.SEEK_SET)
        assert run("-", "-", stdin=stream) == (0, binary(1_000_001)[999:], "")
        assert os.lseek(stream.fileno(), 0, os.SEEK_CUR) == 1_000_001


def test_it_waits_for_a_slow_writer_of_a_named_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen([program("06_cat_ring"), pipe], stdout=subprocess.PIPE)
    with pipe.open("wb", buffering=0) as stream:
        for number in range(5):
            stream.write(f"line {number}\n".encode())
            time.sleep(0.05)
    output, _ = process.communicate(timeout=10)
    assert (process.returncode, output) == (0, b"".join(b"line %d\n" % number for number in range(5)))


@pytest.mark.parametrize("path", ["/proc/self/maps", "/proc/kallsyms", "/proc/cpuinfo"])
def test_a_long_file_without_a_size_is_printed_completely(path):
    status, output, errors = run(path)
    assert (status, errors, output[-1:]) == (0, "", b"\n")
    if path == "/proc/kallsyms":
        assert output.count(b"\n") == Path(path).read_bytes().count(b"\n")


def test_a_read_error_is_reported_and_the_next_file_printed(file):
    status, output, errors = run("/proc/self/mem", file)
    assert (status, output) == (1, binary(1_000_001))
    assert errors == "program: /proc/self/mem: Input/output error\n"


@pytest.mark.parametrize("restore", [True, False], ids=["SIGPIPE kills", "SIGPIPE ignored"])
def test_it_ends_when_the_reader_of_its_output_closes(restore, file):
    process = subprocess.Popen(
        [program("06_cat_ring"), *[file] * 50],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        restore_signals=restore,
    )
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    status = process.wait(10)
    if restore:
        assert status in (-signal.SIGPIPE, 1)
    else:
        assert (status, errors) == (1, b"program: standard output: Broken pipe\n")
