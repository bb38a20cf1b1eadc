"""What the judges share. Runs on the host, inside the sandbox, under Python 3.6 or later and nothing else."""

import ctypes
import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

#: Seconds one run of a program may take. The largest input is a megabyte: a few seconds under emulation.
TIMEOUT = 60


def payload(size):
    """Make binary content that never repeats, so a block that comes twice, or in the wrong place, shows.

    Args:
        size: number of bytes; the same size always gives the same bytes.

    """
    return hashlib.shake_256(b"uring-lab").digest(size)


def write(path, data):
    """Write bytes to a file and return its path, for use in an argument list."""
    Path(path).write_bytes(data)
    return path


def read(path):
    """Return a file's bytes, or None when there is no such file."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def run(arguments, deny_uring=False):
    """Run a program to its end.

    Args:
        arguments: the program and its arguments.
        deny_uring: run it with io_uring's system calls failing.

    Returns:
        (exit status, standard output, standard error); the status is negative for a signal and the
        word "timeout" for a program that had to be killed.

    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=deny_io_uring if deny_uring else None,
    )
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return "timeout", out, err
    return process.returncode, out, err


def deny_io_uring():
    """Make io_uring's system calls (425 to 427 on every architecture) fail with EPERM from here on.

    What cannot work under this filter used io_uring before: the proof needs no privilege, no tracer and no
    new kernel. The process must already have "no new privileges", which the sandbox gives.
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


def describe(status, data, expected, errors=b""):
    """Say in one line what a run gave and where it first differs from what was expected."""
    found = f"exit status {status}" if isinstance(status, int) else f"no end within {TIMEOUT} s"
    if data is None:
        found += ", no output file"
    else:
        found += f", {len(data)} bytes"
        if data != expected:
            same = next(
                (i for i, pair in enumerate(zip(data, expected, strict=False)) if pair[0] != pair[1]), None
            )
            found += f", first difference at byte {min(len(data), len(expected)) if same is None else same}"
    if errors:
        found += ", saying: " + errors[-200:].decode("utf-8", "replace").strip().replace("\n", " | ")
    return found


class Verdicts:
    """The judge's answer: case by case, whether it went well and what was found."""

    def __init__(self):
        self.cases = {}

    def add(self, case, good, found):
        """Record one case under the name that the test asks for."""
        self.cases[case] = {"ok": bool(good), "found": found}

    def print(self):
        """Print the one line of JSON that the controller reads."""
        json.dump(self.cases, sys.stdout)
        print()
