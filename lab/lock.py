"""A lock on a directory (flock): it ends with the process that holds it, and leaves no file behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.progress import say


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Lock the directory, made if missing; wait while another process holds the lock.

    The holder may rename or remove the directory; a waiter then starts over with a new one of that name.
    """
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            _wait(descriptor, directory)
            if _unchanged(descriptor, directory):
                yield
                return
        finally:
            os.close(descriptor)


def _wait(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another process that is at work in {directory} …")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _unchanged(descriptor: int, directory: Path) -> bool:
    """Return whether the path still names the directory that was locked."""
    try:
        present = directory.stat()
    except FileNotFoundError:
        return False
    locked = os.fstat(descriptor)
    return (present.st_dev, present.st_ino) == (locked.st_dev, locked.st_ino)
