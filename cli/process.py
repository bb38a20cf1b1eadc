"""Run a program in the foreground and, when we are told to stop, stop it with everything it started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cli.errors import Interrupted

#: Which signal a program gets when we are told to stop, and the seconds it has to obey it. Ansible and pytest
#: tidy up on SIGINT, which may mean to end a connection to a host that is just rebooting.
_PERSUASION = ((signal.SIGINT, 20), (signal.SIGTERM, 5), (signal.SIGKILL, 5))


def run(command: Sequence[str], environment: Mapping[str, str], directory: Path, umask: int = -1) -> int:
    """Run a program to its end and return its exit status; umask -1 is our own.

    It gets a session of its own: so a Ctrl-C reaches it once, through us, and ssh finds no terminal to ask
    questions on.
    """
    child = None
    try:
        with _signals_held_back():
            child = subprocess.Popen(
                command,
                env=environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                umask=umask,
            )
        return child.wait()
    except BaseException:
        if child is not None:
            _stop(child)
        raise


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Raise Interrupted at the end, not in the midst: a program that was started must become known to us.

    Handlers and no mask: a mask would be handed on to the program.
    """
    caught = []
    before = {
        number: signal.signal(number, lambda caught_number, _frame: caught.append(caught_number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        raise Interrupted(caught[0])


def _stop(child: subprocess.Popen) -> None:
    """End the program, then whatever is left of its process group."""
    for signal_number, patience in _PERSUASION:
        if not _signal_group(child.pid, signal_number):
            break
        # A second Ctrl-C: no more patience with this signal.
        with contextlib.suppress(Interrupted):
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and _signal_group(child.pid, 0):
                child.poll()
                time.sleep(0.05)
    child.poll()


def _signal_group(group: int, signal_number: int) -> bool:
    """Send a signal to a process group; return whether the group still exists."""
    try:
        os.killpg(group, signal_number)
    except ProcessLookupError:
        return False
    return True
