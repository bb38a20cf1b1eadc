"""Run another program; an interruption ends it and all its children."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from lab.errors import LabError
from lab.interrupt import shielded

#: Lines of a failed program's stderr that the error message shows.
TAIL = 15


def run(
    command: Sequence[str],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    note: Callable[[str], None] = lambda line: None,
    scratch: Path | None = None,
) -> None:
    """Run a program to its end.

    The program runs in its own session: on Ctrl-C we send it one SIGTERM and wait until it has cleaned up.
    `note` is called with every line it writes to stderr; `scratch` is its TMPDIR.
    Raises LabError with the end of its stderr when it fails, or when it does not exist.
    """
    said: deque[str] = deque(maxlen=TAIL)
    try:
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(scratch)} if scratch else None,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise missing(command[0]) from error
    try:
        for line in process.stderr:
            said.append(line.decode(errors="replace").rstrip())
            note(said[-1])
        status = process.wait()
    except BaseException:
        with shielded():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.stderr.read()
            process.wait()
        raise
    if status != 0:
        raise LabError("\n".join([f"{command[0]} failed (status {status}). The end of its output:", *said]))


def need(program: str) -> str:
    """Return the full path of a program. Raises LabError with the remedy when it is not installed."""
    # An unprivileged user's PATH lacks the sbin directories.
    path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if path is None:
        raise missing(program)
    return path


def missing(program: str) -> LabError:
    """Return the error for a program that is not installed."""
    remedy = "`lab/system-packages vm container` installs what is missing"
    return LabError(f"{program} is not installed here: {remedy}.")
