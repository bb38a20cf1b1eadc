"""Shared by the judges. Runs on the host, inside the sandbox, and needs only Python 3.6 or later."""

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

#: Seconds after which a program that hangs is killed. Under emulation its start alone may take a second.
TIMEOUT = 15

#: Seconds for the largest input: the case is skipped if it would probably take longer than PACE_LIMIT, and
#: the program is killed after LONG_TIMEOUT.
PACE_LIMIT = 20
LONG_TIMEOUT = 120

MIB = 1 << 20

#: File sizes in bytes: empty, around the article's block size of 1 KiB, a page, around the limit of 1024
#: blocks in one readv(), and larger than any buffer.
SIZES = (0, 1, 1023, 1024, 1025, 4096, MIB, MIB + 1, 64 * MIB + 1)

#: A size that does not fit into a signed 32-bit number.
SPARSE = 2049 * MIB

#: A file whose stated size is 4096 bytes, but which is shorter.
SHORT_FILE = "/sys/devices/system/cpu/online"

MISSING = "there-is-no-such-file"


class SkippedError(Exception):
    """A case cannot be run here; the text says why."""


class Cases:
    """The cases of a judge, in the order of definition."""

    def __init__(self):
        #: What is expected, and why it matters, by the name of the case.
        self.expected = {}
        self.reasons = {}
        self._functions = {}

    def case(self, name, expected):
        """Register a function as a case. It gets the program and returns (passed, what was found).

        Its docstring says why the case matters.

        Args:
            name: of the case, as in the catalog's known_faults.
            expected: what a correct program does; follows the word "expected" in a message.

        """

        def add(function):
            self.expected[name] = expected
            self.reasons[name] = function.__doc__
            self._functions[name] = function
            return function

        return add

    def judge(self, subject, names):
        """Run the named cases (default: all), and print the result of each at once as a line of JSON.

        A result is {case, ok, found}; `ok` is true, false, or null for a case that could not be run.
        """
        for name in names or self._functions:
            try:
                good, found = self._functions[name](subject)
            except SkippedError as reason:
                good, found = None, str(reason)
            json.dump({"case": name, "ok": good, "found": found}, sys.stdout)
            print(flush=True)


@contextlib.contextmanager
def scratch():
    """Work in a temporary directory on a disk: /tmp may be in memory, which is limited here."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        os.chdir(directory)
        try:
            yield directory
        finally:
            os.chdir("/")


def payload(size):
    """Make binary content that reveals repeated and misplaced blocks.

    It repeats after a prime number of bytes, which is no multiple of any program's block size.

    Args:
        size: number of bytes; the same size always gives the same bytes.

    """
    period = 1000003
    once = hashlib.shake_256(b"uring-lab").digest(min(size, period))
    return (once * (size // period + 1))[:size]


def write(path, data):
    """Write bytes to a file and return its path."""
    Path(path).write_bytes(data)
    return path


def read(path):
    """Return a file's bytes, or None when there is no such file."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def write_sparse(path, size):
    """Write a sparse file with 4 KiB of data at its start, in its middle and at its end."""
    with open(path, "wb") as file:
        for offset in (0, size // 2, size - 4096):
            file.seek(offset)
            file.write(payload(4096))
    return path


@contextlib.contextmanager
def memory():
    """Make a directory for sparse files in memory, and remove it: holes on a disk fill the page cache.

    Reading 3 GiB of holes took 17 s there and 1.5 s here.
    """
    shared = "/dev/shm"  # noqa: S108 -- where it is, not a name in it
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else os.curdir) as directory:
        yield os.path.abspath(directory)


def write_unreadable(path):
    """Write a file with mode 0 and return its path."""
    write(path, b"unreadable")
    os.chmod(path, 0)
    if os.access(path, os.R_OK):
        raise SkippedError("this user may read every file")
    return path


def need_short_file():
    """Return a file that is shorter than its stated size; skip the case if there is none."""
    if not os.path.exists(SHORT_FILE):
        raise SkippedError("no " + SHORT_FILE + " here")
    return SHORT_FILE


def need_pace(first):
    """Skip the case if SPARSE bytes would take too long on this machine.

    Args:
        first: does the same with 64 MiB; called once to measure.

    """
    start = time.monotonic()
    first()
    seconds = (time.monotonic() - start) * SPARSE / (64 * MIB)
    if seconds > PACE_LIMIT:
        raise SkippedError(f"at this machine's pace it would take {seconds:.0f} s")


class Outcome:
    """How a program ended, and how its output compares with what was expected."""

    def __init__(self, status, output, errors, said=b""):
        #: The exit status; negative for a signal, None for a program that had to be killed.
        self.status = status
        #: The output's length and the first byte that differs (None: none does); None: no output.
        self.output = output
        #: Standard error.
        self.errors = errors
        #: Standard output, if that is not the output compared.
        self.said = said

    @property
    def right(self):
        """Whether it succeeded, with the right output and no messages."""
        return self.status == 0 and self.same and not self.errors and not self.said

    @property
    def same(self):
        """Whether its output is as expected."""
        return self.output is not None and self.output[1] is None

    @property
    def refused(self):
        """Whether it failed properly: with an exit status and a message on standard error."""
        return self.status is not None and self.status > 0 and bool(self.errors.strip()) and not self.said

    def __str__(self):
        if self.output is None:
            output = "no output"
        else:
            output = f"{self.output[0]} bytes"
            if not self.same:
                output += f", first difference at byte {self.output[1]}"
        parts = [tell_status(self.status), output]
        if self.said:
            parts.append(f"{len(self.said)} bytes on standard output")
        return ", ".join(parts) + quote(self.errors)


def tell_status(status):
    """Describe how a program ended."""
    if status is None:
        return "no end in time"
    if status < 0:
        return "killed by " + signal.Signals(-status).name
    return f"exit status {status}"


def quote(errors):
    """Quote a program's error messages, at most the last 200 bytes."""
    text = errors[-200:].decode("ascii", "replace").strip().replace("\n", " | ")
    return ", saying: " + text if text else ""


def run(arguments, expected=os.devnull, copy=None, output=None, seconds=TIMEOUT, deny_uring=False):
    """Run a program to its end and compare its output with a file.

    Args:
        arguments: the program and its arguments.
        expected: the file that its output should equal.
        copy: the file that is its output; None: standard output.
        output: an open file to use as its standard output; None: a pipe.
        seconds: kill it after this time.
        deny_uring: run it with io_uring's system calls failing.

    Returns:
        an Outcome.

    """
    with tempfile.TemporaryFile() as errors, open(expected, "rb") as wanted:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            preexec_fn=deny_io_uring if deny_uring else None,
        )
        late = threading.Event()

        def kill():
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(seconds, kill)
        timer.start()
        said, compared = b"", None
        if process.stdout and copy is None:
            compared = compare(process.stdout, FileReader(wanted))
        elif process.stdout:
            said = process.stdout.read()
        status = process.wait()
        timer.cancel()
        if process.stdout:
            process.stdout.close()
        if copy is not None and os.path.exists(copy):
            with open(copy, "rb") as made:
                compared = compare(FileReader(made), FileReader(wanted))
        errors.seek(0)
        return Outcome(None if late.is_set() else status, compared, errors.read(), said)


def compare(output, wanted):
    """Read two streams to the end; return the length of the first, and where they first differ or None."""
    length, differs = 0, None
    while True:
        block, model = output.read(MIB), wanted.read(MIB)
        if differs is None and block != model:
            pairs = enumerate(zip(block, model))
            differs = length + next((i for i, (a, b) in pairs if a != b), min(len(block), len(model)))
        length += len(block)
        if not block:
            return length, differs


class FileReader:
    """Reads a file from its start without reading holes: 2 GiB of them would take seconds."""

    ZEROS = bytes(MIB)

    def __init__(self, file):
        self._file = file.fileno()
        self._size = os.fstat(self._file).st_size
        self._offset = 0

    def read(self, length):
        """Return the next bytes, at most `length` and at most a MiB."""
        end = min(self._offset + length, self._size)
        try:
            hole = os.lseek(self._file, self._offset, os.SEEK_DATA) >= end
        except OSError:  # ENXIO: only a hole follows
            hole = True
        if hole and end > self._offset:
            block = self.ZEROS[: end - self._offset]
        else:
            block = os.pread(self._file, length, self._offset)
        self._offset += len(block)
        return block


def refusal(outcome):
    """Expect a refusal without any output."""
    return outcome.refused and outcome.same, str(outcome)


def listeners(port):
    """List the addresses, as in /proc/net/tcp, that listen on a port in this network namespace.

    A test connection would not do: some servers leak a descriptor for each.
    """
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (read(table) or b"").decode().splitlines()[1:]:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if number == f"{port:04X}" and fields[3] == "0A":
                found.append(address)
    return found


def descriptors(process):
    """Count the open files of a process."""
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def resident_memory(process):
    """Return the resident memory of a process, in bytes."""
    return int(read(f"/proc/{process.pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def keep_small_pages():
    """Disable transparent huge pages, which look as if memory had grown by MiB."""
    set_thp_disable = 41
    ctypes.CDLL(None).prctl(set_thp_disable, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def deny_io_uring():
    """Make io_uring's system calls (425 to 427 on every architecture) fail with EPERM, by a seccomp filter.

    A program that fails only under this filter uses io_uring: this proof needs no privileges and no tracer.
    The process must already have no_new_privs, which the sandbox sets.
    """
    load, if_at_least, if_greater, leave = 0x20, 0x35, 0x25, 0x06
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (load, 0, 0, 0),  # the system call's number
            (if_at_least, 0, 2, 425),
            (if_greater, 1, 0, 427),
            (leave, 0, 0, 0x00050001),  # SECCOMP_RET_ERRNO, EPERM
            (leave, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        )
    )
    instructions = ctypes.create_string_buffer(program, len(program))

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    set_seccomp, mode_filter = 22, 2
    arguments = Filter(len(program) // 8, ctypes.addressof(instructions))
    if libc.prctl(set_seccomp, ctypes.c_ulong(mode_filter), ctypes.byref(arguments)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp refused the filter")
