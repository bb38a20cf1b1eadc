"""07_cp_ring: holes, symbolic links, and reads with O_DIRECT."""

import os
import resource
import subprocess

import pytest

from tests.unit.samples.programs import SYS_FILE, binary, program

MIB = 1024**2
SIZE = 9 * MIB + 5001
#: Edits: treat every part as uncached; make the kernel refuse O_DIRECT reads, as some file systems do.
DIRECT = ("return cached * 2 < pages;", "return cached <= pages;")
REFUSED = ("copy->direct, lane->memory,", "copy->direct, lane->memory + 1,")


def cp(source, destination, *edit, **options):
    """Copy; return the exit status and standard error."""
    command = [program("07_cp_ring", *edit), source, destination]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, **options)
    return done.returncode, done.stderr


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "source", tmp_path / "destination"


@pytest.mark.parametrize("edit", [(), DIRECT], ids=["cached", "direct"])
@pytest.mark.parametrize(
    ("islands", "size"),
    [
        ([], 0),
        ([], 64 * MIB + 1),
        ([(0, 5000)], 5000),
        ([(0, 4096), (10 * MIB, 3 * MIB + 7), (40 * MIB + 100, 1)], 64 * MIB),
        ([(40 * MIB - 1, 2)], 40 * MIB + 1),
    ],
    ids=["empty", "hole", "data", "islands", "data at the end"],
)
def test_holes_stay_holes(edit, islands, size, paths):
    source, destination = paths
    with source.open("wb") as file:
        for offset, length in islands:
            file.seek(offset)
            file.write(binary(length))
        file.truncate(size)
    destination.write_bytes(b"what was there before" * 1000)
    assert cp(source, destination, *edit) == (0, "")
    assert destination.read_bytes() == source.read_bytes()
    # st_blocks of a file just written may include preallocated blocks.
    assert destination.stat().st_blocks * 512 <= sum(length for _, length in islands) + 64 * 1024 * len(
        islands
    )


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 9 * MIB + 5001])
@pytest.mark.parametrize("edits", [DIRECT, DIRECT + REFUSED], ids=["accepted", "refused"])
def test_a_copy_by_o_direct_is_identical(edits, size, paths):
    """The last read of whole blocks is short; a refused read is repeated without O_DIRECT."""
    paths[0].write_bytes(binary(size))
    assert cp(*paths, *edits) == (0, "")
    assert paths[1].read_bytes() == binary(size)


@pytest.mark.parametrize("edits", [(), DIRECT], ids=["cached", "direct"])
@pytest.mark.parametrize("more", [1, 1000, 2 * MIB])
def test_a_file_that_has_grown_is_copied_to_its_new_end(edits, more, paths):
    """A read of whole blocks may then return more than the stated size."""
    paths[0].write_bytes(binary(SIZE))
    grown = ("? source.st_size :", f"? source.st_size - {more} :")
    assert cp(*paths, *grown, *edits) == (0, "")
    assert paths[1].read_bytes() == binary(SIZE)


def test_an_uncached_file_is_not_brought_into_the_page_cache(paths):
    evicted(paths[0])
    if resident(paths[0]):
        pytest.skip("this file system keeps its files in memory")
    assert cp(*paths) == (0, "")
    assert paths[1].read_bytes() == binary(SIZE)
    assert resident(paths[0]) < SIZE / 2


def test_a_cached_file_is_not_read_by_o_direct(paths):
    paths[0].write_bytes(binary(SIZE))
    assert cp(*paths, "return cached * 2 < pages;", "return cached * 2 < pages && (abort(), true);") == (
        0,
        "",
    )
    assert paths[1].read_bytes() == binary(SIZE)


def evicted(path):
    path.write_bytes(binary(SIZE))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident(path):
    """Return how many bytes of a file are in the page cache."""
    answer = subprocess.run(["fincore", "-bno", "RES", path], capture_output=True, text=True, check=True)
    return int(answer.stdout)


def test_an_existing_destination_keeps_its_mode_and_a_new_one_gets_no_set_id_bits(paths):
    source, destination = paths
    source.write_bytes(b"source")
    source.chmod(0o4755)
    assert cp(source, destination, umask=0o022) == (0, "")
    assert destination.stat().st_mode & 0o7777 == 0o755
    destination.chmod(0o640)
    assert cp(source, destination) == (0, "")
    assert destination.stat().st_mode & 0o7777 == 0o640


def test_a_symbolic_link_to_a_file_is_followed_and_a_dangling_one_refused(paths, tmp_path):
    source, destination = paths
    source.write_bytes(b"source")
    link = tmp_path / "link"
    link.symlink_to(destination)
    assert cp(source, link) == (1, f"program: {link}: File exists\n")
    assert not destination.exists()
    destination.write_bytes(b"larger than the source")
    assert cp(source, link) == (0, "")
    assert (link.is_symlink(), destination.read_bytes()) == (True, b"source")


def test_a_partial_copy_stays_after_an_error(paths):
    """Like cp. A limit on the file size simulates a full disk."""
    source, destination = paths
    source.write_bytes(binary(3_000_000))
    done = subprocess.run(
        ["sh", "-c", 'trap "" XFSZ; exec "$0" "$@"', program("07_cp_ring"), source, destination],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB + 1, MIB + 1)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, f"program: {destination}: File too large\n")
    assert 0 < destination.stat().st_size <= MIB + 1


def test_the_copy_of_a_file_that_is_shorter_than_stated_has_its_real_size(tmp_path):
    if not SYS_FILE.exists():
        pytest.skip(f"{SYS_FILE} is not on this machine")
    destination = tmp_path / "destination"
    assert cp(SYS_FILE, destination) == (0, "")
    assert destination.stat().st_size == len(SYS_FILE.read_bytes()) < SYS_FILE.stat().st_size
