"""`python -m cli VERB`: the command line behind the Makefile. Everything else comes by environment."""

import contextlib
import os
import signal
import sys
from types import FrameType

from cli import commands
from cli.errors import CliError, Interrupted
from cli.plain import plain
from lab.errors import LabError

COMMANDS = {
    "provision": commands.provision,
    "verify": commands.verify,
    "rollback": commands.rollback,
    "report": commands.report,
    "kernels": commands.kernels,
}


def main(arguments: list[str]) -> int:
    """Run one command and return the exit status; what goes wrong is told in a line of its own."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m cli {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    command = arguments[0]
    try:
        return COMMANDS[command](os.environ)
    except (CliError, LabError, Interrupted) as error:
        _say(command, str(error))
        return error.exit_status
    except OSError as error:
        # A full disk, a directory that is not ours: the world's fault, not this program's.
        _say(command, f"{error.filename or ''}: {error.strerror}".lstrip(": "))
        return 1


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def _say(command: str, text: str) -> None:
    # What was drawn in place on the terminal's last line goes first.
    erase = "\r\033[K" if sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        for line in text.splitlines():
            print(f"{erase}{command}: {plain(line)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
