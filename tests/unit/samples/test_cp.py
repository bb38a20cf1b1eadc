"""Our cps make an identical copy, or report an error and do not change the destination."""

import filecmp
import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.unit.samples.programs import SYS_FILE, binary, program

pytestmark = pytest.mark.parametrize("name", ["04_cp_liburing", "07_cp_ring"])

#: Around one block (512 KiB) and around all blocks in flight (4 and 8 MiB).
SIZES = [
    0,
    1,
    1023,
    4096,
    512 * 1024 - 1,
    512 * 1024,
    512 * 1024 + 1,
    4 * 1024**2,
    4 * 1024**2 + 1,
    8 * 1024**2 + 1,
    20_000_000,
]


def cp(name, source, destination, **options):
    """Copy; return the exit status and standard error."""
    command = [program(name), source, destination]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, **options)
    return done.returncode, done.stderr


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "source"
    file.write_bytes(binary(300_000))
    return file


@pytest.mark.parametrize("size", SIZES)
def test_copy_is_identical(name, size, tmp_path):
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.write_bytes(binary(size))
    assert cp(name, source, destination) == (0, "")
    assert destination.read_bytes() == binary(size)


def test_a_larger_destination_is_truncated(name, source, tmp_path):
    destination = tmp_path / "destination"
    destination.write_bytes(binary(400_000))
    assert cp(name, source, destination) == (0, "")
    assert destination.read_bytes() == source.read_bytes()


def test_sparse_file_of_64_mib_and_a_byte_is_identical(name, tmp_path):
    source, destination = tmp_path / "source", tmp_path / "destination"
    with source.open("wb") as file:
        file.truncate(64 * 1024**2 + 1)
        file.seek(40_000_000)
        file.write(b"an island")
    assert cp(name, source, destination) == (0, "")
    assert filecmp.cmp(source, destination, shallow=False)


def test_the_mode_of_a_new_file_is_the_sources_less_the_umask(name, source, tmp_path):
    source.chmod(0o750)
    assert cp(name, source, tmp_path / "destination", umask=0o027) == (0, "")
    assert (tmp_path / "destination").stat().st_mode & 0o777 == 0o750
    assert cp(name, source, tmp_path / "narrow", umask=0o077) == (0, "")
    assert (tmp_path / "narrow").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_copy_onto_itself_is_refused_and_loses_nothing(name, link, source, tmp_path):
    other = source
    if link:
        other = tmp_path / "other"
        link(source, other)
    assert cp(name, source, other) == (1, f"program: {other}: is the same file as {source}\n")
    assert source.read_bytes() == binary(300_000)


@pytest.mark.parametrize("reason", ["Is a directory", "No such file or directory"])
def test_a_bad_source_does_not_change_the_destination(name, reason, source, tmp_path):
    bad = tmp_path / "bad"
    if reason == "Is a directory":
        bad.mkdir()
    assert cp(name, bad, source) == (1, f"program: {bad}: {reason}\n")
    assert source.read_bytes() == binary(300_000)
    assert cp(name, bad, tmp_path / "new")[0] == 1
    assert not (tmp_path / "new").exists()


def test_directory_as_destination_is_refused(name, source, tmp_path):
    assert cp(name, source, tmp_path) == (1, f"program: {tmp_path}: Is a directory\n")


def test_full_device_is_reported(name, source):
    assert cp(name, source, "/dev/full") == (1, "program: /dev/full: No space left on device\n")


def test_full_disk_in_the_middle_is_reported(name, source, tmp_path):
    """A limit on the file size simulates a full disk: a write is short, and the next one fails."""
    destination = tmp_path / "destination"
    limit = 200_001
    command = f"trap '' XFSZ; exec {program(name)} {source} {destination}"
    done = subprocess.run(
        ["sh", "-c", command],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, f"program: {destination}: File too large\n")


@pytest.mark.parametrize("file", ["/dev/null", SYS_FILE, "/proc/version"], ids=str)
def test_a_source_with_a_wrong_size_is_read_to_its_end(name, file, tmp_path):
    if not Path(file).exists():
        pytest.skip(f"{file} is not on this machine")
    assert cp(name, file, tmp_path / "destination") == (0, "")
    assert (tmp_path / "destination").read_bytes() == Path(file).read_bytes()


def test_data_through_pipes_stays_in_order(name, source):
    command = [program(name), "/dev/stdin", "/dev/stdout"]
    done = subprocess.run(command, input=binary(3_000_000), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == binary(3_000_000)


@pytest.mark.parametrize("arguments", [[], ["one"], ["one", "two", "three"]])
def test_wrong_number_of_files_is_a_usage_error(name, arguments):
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert "usage:" in done.stderr
