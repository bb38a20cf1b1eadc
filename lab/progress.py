"""What a person who waits sees: a line when a phase starts, signs of life, a line when it ends."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two signs of life of a phase.
HEARTBEAT = 20


def say(message: str) -> None:
    """Print one line for a person, on stderr: stdout belongs to results."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


@contextmanager
def phase(what: str) -> Iterator[Callable[[str], None]]:
    """Announce a phase and say how long it took.

    Yields a function that takes the latest detail, to be shown with the next sign of life.
    """
    started = time.monotonic()
    latest = [""]
    over = threading.Event()

    def heartbeat() -> None:
        while not over.wait(HEARTBEAT):
            detail = f": {latest[0]}" if latest[0] else ""
            say(f"  … {time.monotonic() - started:.0f} s{detail}")

    say(f"{what} …")
    thread = threading.Thread(target=heartbeat, daemon=True)
    thread.start()
    try:
        yield lambda detail: latest.__setitem__(0, detail)
        say(f"{what}: {time.monotonic() - started:.0f} s")
    finally:
        over.set()
        thread.join()
