"""Ctrl-C and its relatives: one exception for all of them, and none while we tidy up."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def as_exception() -> None:
    """Let the first signal that asks us to end raise KeyboardInterrupt, and ignore all after it.

    An impatient second Ctrl-C must not leave behind what the first one is clearing away.
    """
    for number in SIGNALS:
        signal.signal(number, _raise_once)


def _raise_once(number: int, frame: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[None]:
    """Hold these signals back for a moment: while something is started, until it is known what to end."""
    arrived: list[int] = []
    with _handled_by(lambda number, frame: arrived.append(number)):
        yield
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def shielded() -> Iterator[None]:
    """Ignore these signals for a while; for callers of the package who have their own way with them."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def _handled_by(handler: signal.Handlers | Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # Python hears of signals in its main thread alone.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
