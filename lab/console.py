"""A machine's console: its log, what in it means trouble, and a person's way to it."""

import os
import re
import select
import socket
import sys
import termios
import tty
from pathlib import Path

#: Lines of a console that an error repeats.
TAIL = 25

FIRST_KERNEL_LINE = re.compile(rb"Linux version \d")
#: After one of these nothing comes any more: from GRUB, and from a kernel.
STUCK = re.compile(rb"Failed to boot both default and fallback|grub rescue>|Kernel panic - not syncing.*")

#: What moves a terminal's cursor to another place: a new line to us. Firmware and GRUB use plenty of it.
MOVES = re.compile(r"\x1b\[[0-9;]*[HfJ]|\r+\n?")
#: Other escape sequences and control characters.
CONTROL = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f]")
#: Columns of a line that an error repeats.
WIDTH = 160

#: Ctrl-], as telnet and `virsh console` have it.
ESCAPE = b"\x1d"


def tail(log: Path, lines: int = TAIL) -> str:
    """Return the end of a console's log as plain text, or a remark where there is nothing."""
    text = CONTROL.sub("", MOVES.sub("\n", read(log).decode(errors="ignore")))
    kept = [line.rstrip()[:WIDTH] for line in text.splitlines() if line.strip()][-lines:]
    if not kept:
        return "Its console said nothing."
    return "\n".join(["The end of its console:", *(f"  | {line}" for line in kept)])


def read(log: Path, since: int = 0) -> bytes:
    """Return what a log holds from a position on; nothing when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            return file.read()
    except FileNotFoundError:
        return b""


def size(log: Path) -> int:
    """Return how long a log is by now, in bytes."""
    return log.stat().st_size if log.exists() else 0


def attach(directory: Path) -> None:
    """Connect this terminal with a machine's serial console until Ctrl-] or the machine's end."""
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
