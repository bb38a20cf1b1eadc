"""Progress messages: a line when a phase starts, a line now and then, a line when it ends."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two progress lines of a phase.
HEARTBEAT = 20


def say(message: str) -> None:
    """Print one line on stderr; stdout is for results."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


@contextmanager
def phase(what: str) -> Iterator[Callable[[str], None]]:
    """Announce a phase and print how long it took.

    Yields a function that takes the latest detail, shown in the next progress line.
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
