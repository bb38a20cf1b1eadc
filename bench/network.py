"""A private network namespace: nobody else can connect to the servers under test."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

from bench.errors import BenchError

# From sched.h, sys/ioctl.h and net/if.h; Python before 3.12 has no names for them.
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def leave() -> None:
    """Move this process and its future children to a network namespace with only a loopback interface.

    Without root also to a user namespace, in which it keeps its uid. Call it before the first thread starts.

    Raises:
        BenchError: this computer does not allow it.

    """
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if user else 0)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if user:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    except OSError as problem:
        raise BenchError(
            f"this user may not make a network namespace ({problem.strerror}): run it as root"
        ) from problem
