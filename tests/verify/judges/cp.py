"""Judge of the contract `cp`: `program SOURCE DESTINATION` makes the destination equal to the source.

Arguments: the program, then the cases to run (default: all).
"""

import contextlib
import os
import stat
import sys

from tests.verify.judges.common import (
    LONG_TIMEOUT,
    MIB,
    MISSING,
    SIZES,
    SPARSE,
    Cases,
    SkippedError,
    need_pace,
    need_short_file,
    payload,
    read,
    run,
    scratch,
    write,
    write_sparse,
    write_unreadable,
)

CASES = Cases()

#: The content of a destination that a failed copy must not change.
OLD = b"what was there before"


def copying(program, source, target="copy", **options):
    """Copy, and compare the destination with the source."""
    return run([program, source, target], source, copy=target, **options)


def verdict(outcome):
    """Expect a correct copy."""
    return outcome.right, str(outcome)


def add_size(size):
    """Add the case of one file of a size."""

    @CASES.case(f"size {size}", "an identical copy and exit status 0")
    def copy_file(program):
        """Off-by-one errors show at the boundaries of a program's blocks and counters."""
        return verdict(copying(program, write("source", payload(size)), f"copy{size}"))


for number in SIZES:
    add_size(number)


@CASES.case("over 2 GiB", "an identical copy and exit status 0")
def sparse(program):
    """File offsets beyond 2 GiB do not fit into 31 bits."""
    free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize
    if free < 2 * SPARSE:  # a copy without holes must not fill the disk
        raise SkippedError(f"only {free >> 30} GiB of the disk are free")
    small, large = write_sparse("small", 64 * MIB), write_sparse("large", SPARSE)

    def copy_to_disk():
        copying(program, small, "copy-of-small")
        with contextlib.suppress(OSError), open("copy-of-small", "rb") as copy:
            os.fsync(copy.fileno())  # the page cache holds 64 MiB, but not SPARSE bytes

    need_pace(copy_to_disk)
    try:
        return verdict(copying(program, large, "copy-of-large", seconds=LONG_TIMEOUT))
    finally:
        write("copy-of-large", b"")


@CASES.case("holes", "a copy that takes no more disk than its sparse source")
def holes(program):
    """A sparse disk image with little data must not become GiB of zeros."""
    outcome = copying(program, write_sparse("sparse", 64 * MIB), "sparse-copy")
    taken, given = (os.stat(path).st_blocks * 512 for path in ("sparse-copy", "sparse"))
    return outcome.right and taken <= given + MIB, f"{outcome}, on {taken} bytes of disk"


@CASES.case("larger destination", "an identical copy, no longer than the source")
def larger_destination(program):
    """A copy that keeps the end of a longer old file is damaged."""
    return verdict(copying(program, write("source", payload(4096)), write("larger", payload(MIB))))


@CASES.case("onto itself", "the file as it was, a message and an exit status over 0")
def onto_itself(program):
    """A program that truncates the destination first destroys the source, also through a hard link."""
    write("itself", OLD)
    os.link("itself", "link")
    for target in ("itself", "link"):
        good, found = refusal(run([program, "itself", target]), "itself")
        if not good:
            break
    return good, found


@CASES.case("missing file", "the destination as it was, a message and an exit status over 0")
def missing_file(program):
    """A typing error in the source's name must not destroy the destination."""
    return refusal(run([program, MISSING, write("old", OLD)]), "old")


@CASES.case("unreadable file", "the destination as it was, a message and an exit status over 0")
def unreadable_file(program):
    """The same for a source that this user may not read."""
    return refusal(run([program, write_unreadable("secret"), write("old", OLD)]), "old")


@CASES.case("directory", "the destination as it was, a message and an exit status over 0")
def directory(program):
    """A directory can be opened, but not read; the program must notice before it truncates."""
    os.mkdir("directory")
    return refusal(run([program, "directory", write("old", OLD)]), "old")


@CASES.case("/dev/null", "an empty copy and exit status 0")
def dev_null(program):
    """A device has no size, and /dev/null has no content."""
    return verdict(copying(program, "/dev/null", write("old", OLD)))


@CASES.case("to /dev/null", "exit status 0")
def to_dev_null(program):
    """A device cannot be truncated and keeps nothing."""
    outcome = run([program, write("source", payload(4096)), "/dev/null"])
    return outcome.right, str(outcome)


@CASES.case("short file", "the bytes that it has and exit status 0")
def short_file(program):
    """Files in /sys are shorter than their stated size."""
    return verdict(copying(program, need_short_file(), "short-copy", seconds=5))


@CASES.case("mode", "a new copy with the source's permissions less the umask")
def mode(program):
    """A program stays executable, and a private file stays private."""
    os.umask(0o022)
    found = []
    for wanted in (0o600, 0o755):
        os.chmod(write("source", OLD), wanted)
        target = f"copy{wanted:o}"
        outcome = copying(program, "source", target)
        made = stat.S_IMODE(os.stat(target).st_mode) if os.path.exists(target) else 0
        found.append((outcome.right and made == wanted, f"{outcome}, mode {made:o} for {wanted:o}"))
    return all(good for good, _ in found), "; ".join(text for _, text in found)


@CASES.case("full device", "a message and an exit status over 0")
def full_device(program):
    """A copy that could not be written is an error."""
    outcome = run([program, write("source", payload(4096)), "/dev/full"])
    return outcome.refused, str(outcome)


@CASES.case("io_uring denied", "it to work, or to end with a message and an exit status over 0")
def io_uring_denied(program):
    """Many hosts deny io_uring, and a program has to report that."""
    outcome = copying(program, write("source", OLD), "denied", deny_uring=True)
    return outcome.right or outcome.refused, str(outcome)


@CASES.case("without io_uring", "it to work where io_uring is denied")
def without_io_uring(program):
    """A program that uses io_uring fails this case."""
    return verdict(copying(program, write("source", OLD), "denied-too", deny_uring=True))


def refusal(outcome, target):
    """Expect a refusal that does not change the destination."""
    kept = read(target) == OLD
    return outcome.refused and kept, "{}, destination {}".format(outcome, "kept" if kept else "changed")


if __name__ == "__main__":
    with scratch():
        CASES.judge(sys.argv[1], sys.argv[2:])
