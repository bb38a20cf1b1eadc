"""SIGINT, SIGTERM and SIGHUP: one exception for all of them, and none during clean-up."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def as_exception() -> None:
    """Let the first of these signals raise KeyboardInterrupt, and ignore all after it.

    A second Ctrl-C must not interrupt the clean-up that the first one began.
    """
    for number in SIGNALS:
        signal.signal(number, _raise_once)


def _raise_once(number: int, frame: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[None]:
    """Defer these signals while a process is started, until its pid is recorded and clean-up can end it."""
    arrived: list[int] = []
    with _handled_by(lambda number, frame: arrived.append(number)):
        yield
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def shielded() -> Iterator[None]:
    """Ignore these signals during clean-up, also when the caller has its own handlers."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def _handled_by(handler: signal.Handlers | Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # Python handles signals only in the main thread.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
