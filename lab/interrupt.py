"""Ctrl-C and its relatives: one exception for all of them, and none while we tidy up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def as_exceptions() -> None:
    """Let every signal that asks us to end raise KeyboardInterrupt, even where SIGINT arrived ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Ignore these signals: a second Ctrl-C must not leave behind what the first one is clearing away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
