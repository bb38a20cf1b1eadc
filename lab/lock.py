"""A lock on a directory: it ends with the process that holds it, and leaves no file behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.progress import say


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the directory, made if missing, waiting for whoever else does.

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
            if _is_still(descriptor, directory):
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


def _is_still(descriptor: int, directory: Path) -> bool:
    try:
        there = directory.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
