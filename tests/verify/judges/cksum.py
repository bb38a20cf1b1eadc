"""Judge of the contract `cksum`: `program FILE...` prints a line for each file, the same as coreutils' cksum.

Arguments: the program, then the cases to run (default: all).
"""

import os
import subprocess
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

#: More files than any program has in flight at once.
MANY = 100


def compared(program, *files, **options):
    """Run it, and compare its output with that of coreutils' cksum."""
    return run([program, *files], write("expected", subprocess.check_output(["cksum", *files])), **options)


def verdict(outcome):
    """Expect the right lines."""
    return outcome.right, str(outcome)


def add_size(size):
    """Add the case of one file of a size."""

    @CASES.case(f"size {size}", "cksum's line and exit status 0")
    def sum_file(program):
        """Off-by-one errors show at the boundaries of a program's buffers and counters."""
        return verdict(compared(program, write("input", payload(size))))


for number in SIZES:
    add_size(number)


@CASES.case("known sum", "930766865 for the digits 1 to 9")
def known_sum(program):
    """The published check value of this checksum, so that not everything depends on one other program."""
    write("digits", b"123456789")
    return verdict(run([program, "digits"], write("expected", b"930766865 9 digits\n")))


@CASES.case("over 2 GiB", "cksum's line and exit status 0")
def sparse(program):
    """File offsets beyond 2 GiB do not fit into 31 bits."""
    with memory() as directory:
        small, large = (write_sparse(f"{directory}/{size}", size) for size in (64 * MIB, SPARSE))
        need_pace(lambda: compared(program, small))
        return verdict(compared(program, large, seconds=LONG_TIMEOUT))


@CASES.case("many files", f"cksum's lines for {MANY} files, in their order")
def many_files(program):
    """Large and small files end in another order than they begin in; the output must not show that."""
    sizes = [MIB if number % 7 == 0 else number * 100 for number in range(MANY)]
    return verdict(
        compared(program, *(write(f"file{number}", payload(size)) for number, size in enumerate(sizes)))
    )


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
    """A directory can be opened, but not read: it has no checksum."""
    os.mkdir("directory")
    return refusal(run([program, "directory"]))


@CASES.case(
    "after missing files", "the lines of the files that are there, a message and an exit status over 0"
)
def after_missing_files(program):
    """Files that cannot be opened must not prevent others from being read, nor take their places."""
    files = [write(f"text{number}", payload(number * 1000)) for number in range(10)]
    mixed = [name for file in files for name in (MISSING, file)]
    outcome = run([program, *mixed], write("expected", subprocess.check_output(["cksum", *files])))
    return outcome.refused and outcome.same, str(outcome)


@CASES.case("/dev/null", "cksum's line and exit status 0")
def dev_null(program):
    """A device has no size, and /dev/null has no content."""
    return verdict(compared(program, "/dev/null"))


@CASES.case("short file", "cksum's line and exit status 0")
def short_file(program):
    """Files in /sys are shorter than their stated size."""
    return verdict(compared(program, need_short_file()))


@CASES.case("full device", "a message and an exit status over 0")
def full_device(program):
    """Output that could not be written is an error, even if it is reported only at the end."""
    with open("/dev/full", "wb") as full:
        outcome = run([program, write("input", payload(4096))], output=full)
    return outcome.refused, str(outcome)


@CASES.case("io_uring denied", "it to work, or to end with a message and an exit status over 0")
def io_uring_denied(program):
    """Many hosts deny io_uring, and a program has to report that."""
    outcome = compared(program, write("input", payload(1000)), deny_uring=True)
    return outcome.right or outcome.refused, str(outcome)


@CASES.case("without io_uring", "it to work where io_uring is denied")
def without_io_uring(program):
    """A program that uses io_uring fails this case."""
    return verdict(compared(program, write("input", payload(1000)), deny_uring=True))


if __name__ == "__main__":
    with scratch():
        CASES.judge(sys.argv[1], sys.argv[2:])
