"""What our cp through pipes does beyond the other: holes, links, and the way round what cannot be spliced."""

import resource
import subprocess

import pytest
from test_samples_build import program
from test_samples_cat import SYS_FILE, binary

MIB = 1024**2
#: An edit that makes the kernel refuse every splice, as one before 5.7 does.
REFUSED = ("splice_flags = 0;", "splice_flags = ~0u;")


def cp(source, destination, *edit, **options):
    """Copy; return the exit status and what was written on standard error."""
    command = [program("07_cp_ring", *edit), source, destination]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, **options)
    return done.returncode, done.stderr


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "source", tmp_path / "destination"


@pytest.mark.parametrize("edit", [(), REFUSED], ids=["spliced", "not spliced"])
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
    # st_blocks of a file just written may hold a little more than in the end: what was set aside for it.
    assert destination.stat().st_blocks * 512 <= sum(length for _, length in islands) + 64 * 1024 * len(
        islands
    )


@pytest.mark.parametrize("size", [1, 4097, 256 * 1024 + 1, 5_000_001])
def test_file_that_cannot_be_spliced_is_read_and_written(size, paths):
    paths[0].write_bytes(binary(size))
    assert cp(*paths, *REFUSED) == (0, "")
    assert paths[1].read_bytes() == binary(size)


def test_pipe_that_loses_its_bytes_is_done_without(paths):
    """The target refuses a splice: what is in the pipe by then has to be read once more."""
    paths[0].write_bytes(binary(5_000_001))
    edit = ("copy->target, offset, length, splice_flags", "copy->target, offset, length, ~0u")
    assert cp(*paths, *edit) == (0, "")
    assert paths[1].read_bytes() == binary(5_000_001)


def test_small_pipes_do(paths):
    """As an unprivileged user has them who has many pipes already: two pages each."""
    paths[0].write_bytes(binary(3_000_001))
    assert cp(*paths, "F_SETPIPE_SZ, (int)LANE_BYTES", "F_SETPIPE_SZ, 4096") == (0, "")
    assert paths[1].read_bytes() == binary(3_000_001)


def test_present_destination_keeps_its_mode_and_a_new_one_gets_no_set_id_bits(paths):
    source, destination = paths
    source.write_bytes(b"source")
    source.chmod(0o4755)
    assert cp(source, destination, umask=0o022) == (0, "")
    assert destination.stat().st_mode & 0o7777 == 0o755
    destination.chmod(0o640)
    assert cp(source, destination) == (0, "")
    assert destination.stat().st_mode & 0o7777 == 0o640


def test_link_to_a_file_is_followed_and_a_dangling_one_refused(paths, tmp_path):
    source, destination = paths
    source.write_bytes(b"source")
    link = tmp_path / "link"
    link.symlink_to(destination)
    assert cp(source, link) == (1, f"program: {link}: File exists\n")
    assert not destination.exists()
    destination.write_bytes(b"larger than the source")
    assert cp(source, link) == (0, "")
    assert (link.is_symlink(), destination.read_bytes()) == (True, b"source")


def test_what_was_written_before_an_error_stays(paths):
    """As cp leaves it. A limit on the file's size stands in for a full disk."""
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


def test_file_that_states_too_large_a_size_ends_where_its_reading_does(tmp_path):
    if not SYS_FILE.exists():
        pytest.skip(f"{SYS_FILE} is not on this machine")
    destination = tmp_path / "destination"
    assert cp(SYS_FILE, destination) == (0, "")
    assert destination.stat().st_size == len(SYS_FILE.read_bytes()) < SYS_FILE.stat().st_size
