"""A machine's serial console: its log, the lines in it that mean failure, and an interactive connection."""

import os
import re
import select
import socket
import sys
import termios
import tty
from pathlib import Path

#: Lines of the console that an error message shows.
TAIL = 25

FIRST_KERNEL_LINE = re.compile(rb"Linux version \d")
#: GRUB or a kernel that prints one of these has failed for good.
STUCK = re.compile(rb"Failed to boot both default and fallback|grub rescue>|Kernel panic - not syncing.*")

#: Escape sequences that move the cursor; firmware and GRUB use many. Each counts as a line break here.
MOVES = re.compile(r"\x1b\[[0-9;]*[HfJ]|\r+\n?")
#: Other escape sequences and control characters.
CONTROL = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f]")
#: Columns of a line that an error message shows.
WIDTH = 160

#: Ctrl-], as telnet and `virsh console` have it.
ESCAPE = b"\x1d"


def tail(log: Path, lines: int = TAIL) -> str:
    """Return the end of a console's log as plain text, or a sentence that says it is empty."""
    text = CONTROL.sub("", MOVES.sub("\n", read(log).decode(errors="ignore")))
    kept = [line.rstrip()[:WIDTH] for line in text.splitlines() if line.strip()][-lines:]
    if not kept:
        return "Its console said nothing."
    return "\n".join(["The end of its console:", *(f"  | {line}" for line in kept)])


def read(log: Path, since: int = 0) -> bytes:
    """Return a log from a position on, or nothing when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            return file.read()
    except FileNotFoundError:
        return b""


def size(log: Path) -> int:
    """Return the present size of a log in bytes."""
    return log.stat().st_size if log.exists() else 0


def attach(directory: Path) -> None:
    """Connect this terminal to a machine's serial console until Ctrl-] or the machine's end."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(f"/proc/self/fd/{descriptor}/console.sock")
        os.close(descriptor)
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal) if sys.stdin.isatty() else None
        try:
            if before:
                tty.setraw(terminal)
            _copy(terminal, console)
        finally:
            if before:
                termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _copy(terminal: int, console: socket.socket) -> None:
    sources = [terminal, console]
    while console in sources:
        for source in select.select(sources, [], [])[0]:
            data = console.recv(4096) if source is console else os.read(terminal, 4096)
            if source is console:
                if not data:
                    return
                os.write(sys.stdout.fileno(), data)
            elif ESCAPE in data:
                return
            elif data:
                console.sendall(data)
            else:
                sources.remove(terminal)
