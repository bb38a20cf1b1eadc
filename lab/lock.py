"""A lock on a folder: it ends with the process that holds it, and leaves no file behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.progress import say


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder, made if missing, waiting for whoever else does.

    The holder may rename or remove the folder; whoever waited then starts over with a folder of that name.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            _wait(descriptor, folder)
            if _is_still(descriptor, folder):
                yield
                return
        finally:
            os.close(descriptor)


def _wait(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another process that is at work in {folder} …")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(descriptor: int, folder: Path) -> bool:
    try:
        there = folder.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
