"""Judge of the contract `cat`: `program FILE...` prints the files' bytes, one file after the other.

Arguments: the program, then the cases to run (default: all).
"""

import os
import sys

from tests.verify.judges.common import (
    LONG_TIMEOUT,
    MIB,
    MISSING,
    SIZES,
    SPARSE,
    Cases,
    memory,
    need_pace,
    need_short_file,
    payload,
    refusal,
    run,
    scratch,
    write,
    write_sparse,
    write_unreadable,
)

CASES = Cases()

TEXT = b"text without a newline at the end"


def add_size(size):
    """Add the case of one file of a size."""

    @CASES.case(f"size {size}", "the file's bytes and exit status 0")
    def print_file(program):
        """Off-by-one errors show at the boundaries of a program's blocks and counters."""
        outcome = run([program, write("input", payload(size))], "input")
        return outcome.right, str(outcome)


for number in SIZES:
    add_size(number)


@CASES.case("over 2 GiB", "the file's bytes and exit status 0")
def sparse(program):
    """File offsets beyond 2 GiB do not fit into 31 bits."""
    with memory() as directory:
        small, large = (write_sparse(f"{directory}/{size}", size) for size in (64 * MIB, SPARSE))
        need_pace(lambda: run([program, small], small))
        outcome = run([program, large], large, seconds=LONG_TIMEOUT)
    return outcome.right, str(outcome)


@CASES.case("several files", "the files' bytes in order and exit status 0")
def several_files(program):
    """Empty files and a missing newline at the end must not affect the other files."""
    parts = [TEXT, b"", payload(1025), bytes(range(256)) * 16]
    files = [write(f"part{number}", part) for number, part in enumerate(parts)]
    outcome = run([program, *files], write("expected", b"".join(parts)))
    return outcome.right, str(outcome)


@CASES.case("into a file", "the file's bytes behind those that the output had")
def into_a_file(program):
    """Output must be appended to what another program wrote, as in { echo; cat FILE; } >OUTPUT."""
    files = [write("first", payload(1025)), write("second", TEXT)]
    with open("output", "wb") as output:
        output.write(b"before")
        output.flush()
        outcome = run([program, *files], output=output)
    right = outcome.status == 0 and read_output() == b"before" + payload(1025) + TEXT
    return right, f"{outcome}, {len(read_output())} bytes"


def read_output():
    """Return the content of the output file."""
    with open("output", "rb") as output:
        return output.read()


@CASES.case("missing file", "a message, no output and an exit status over 0")
def missing_file(program):
    """A script notices a failure only by the exit status."""
    return refusal(run([program, MISSING]))


@CASES.case("unreadable file", "a message, no output and an exit status over 0")
def unreadable_file(program):
    """The same for a file that this user may not read."""
    return refusal(run([program, write_unreadable("secret")]))


@CASES.case("directory", "a message, no output and an exit status over 0")
def directory(program):
    """A directory can be opened, but not read."""
    os.mkdir("directory")
    return refusal(run([program, "directory"]))


@CASES.case("after a missing file", "the files that are there, a message and an exit status over 0")
def after_a_missing_file(program):
    """A missing file must not prevent the others from being printed."""
    outcome = run([program, MISSING, write("text", TEXT)], "text")
    return outcome.refused and outcome.same, str(outcome)


@CASES.case("/dev/null", "no output and exit status 0")
def dev_null(program):
    """A device has no size, and /dev/null has no content."""
    outcome = run([program, "/dev/null"])
    return outcome.right, str(outcome)


@CASES.case("short file", "the bytes that it has and exit status 0")
def short_file(program):
    """Files in /sys are shorter than their stated size."""
    outcome = run([program, need_short_file()], need_short_file())
    return outcome.right, str(outcome)


@CASES.case("full device", "a message and an exit status over 0")
def full_device(program):
    """Output that could not be written is an error, even if it is reported only at close()."""
    with open("/dev/full", "wb") as full:
        outcome = run([program, write("input", payload(4096))], output=full)
    return outcome.refused, str(outcome)


@CASES.case("io_uring denied", "it to work, or to end with a message and an exit status over 0")
def io_uring_denied(program):
    """Many hosts deny io_uring, and a program has to report that."""
    outcome = run([program, write("text", TEXT)], "text", deny_uring=True)
    return outcome.right or outcome.refused, str(outcome)


@CASES.case("without io_uring", "it to work where io_uring is denied")
def without_io_uring(program):
    """A program that uses io_uring fails this case."""
    outcome = run([program, write("text", TEXT)], "text", deny_uring=True)
    return outcome.right, str(outcome)


if __name__ == "__main__":
    with scratch():
        CASES.judge(sys.argv[1], sys.argv[2:])
