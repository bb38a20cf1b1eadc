"""The lab's command line: `python -m lab VERB`."""

import argparse
import os
import sys
from collections.abc import Callable

from lab import access, console, interrupt, machine
from lab.errors import LabError, UsageError
from lab.progress import say

#: What a verb's function is: arguments to exit status.
Verb = Callable[[argparse.Namespace], int]

#: What a shell reports of a program that Ctrl-C ended.
INTERRUPTED = 130


def main() -> int:
    """Run a verb and return its exit status.

    0 is success, 2 wrong usage, 69 a lab that failed, 130 Ctrl-C.
    """
    interrupt.as_exception()
    arguments = _parser().parse_args()
    try:
        return arguments.verb(arguments)
    except LabError as error:
        say(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        say("interrupted; everything unfinished was removed")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description="Disposable hosts on this computer.")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, function: Verb, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(verb=function)
        if name != "list":
            sub.add_argument("--name", default="lab", help="the machine's name (default: lab)")
        return sub

    up = verb("up", _up, "bring a machine up; the path of its Ansible inventory goes to stdout")
    up.add_argument("--kind", help="vm (default) or container")
    up.add_argument("--suite", help="a release by its codename (default: this computer's own)")
    ssh = verb("ssh", _ssh, "enter a machine, or run a command there")
    ssh.add_argument("command", nargs="*", metavar="COMMAND", help="after --")
    verb("console", _console, "connect to the serial console (a container: follow its log)")
    for name, function, text in (
        ("snapshot", _snapshot, "save a running machine under a label"),
        ("revert", _revert, "put a running machine back to a label"),
    ):
        verb(name, function, text).add_argument("label", metavar="LABEL")
    verb("down", _down, "remove a machine with all its files")
    verb("list", _list, "list the machines of this user")
    return parser


def _up(arguments: argparse.Namespace) -> int:
    machine.install_packages(arguments.name, arguments.kind, arguments.suite)
    print(machine.up(arguments.name, arguments.kind, arguments.suite).inventory)
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    found = machine.get(arguments.name)
    command = access.ssh(found.directory, found.name, *arguments.command)
    os.execvp(command[0], command)  # noqa: S606  # ssh takes over the terminal, the signals and the exit status


def _console(arguments: argparse.Namespace) -> int:
    found = machine.get(arguments.name)
    if not found.running:
        raise UsageError(f"{found.name} does not run; its console is in {found.directory / 'console.log'}.")
    if found.kind == "container":
        say("a container has no serial console: following its log; Ctrl-C ends")
        # As ssh does above, tail takes over.
        os.execvp("tail", ["tail", "-n", "+1", "-f", str(found.directory / "console.log")])  # noqa: S606
    say("Enter wakes the console, Ctrl-] leaves it")
    console.attach(found.directory)
    return 0


def _snapshot(arguments: argparse.Namespace) -> int:
    machine.snapshot(arguments.name, arguments.label)
    return 0


def _revert(arguments: argparse.Namespace) -> int:
    machine.revert(arguments.name, arguments.label)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    removed = machine.down(arguments.name)
    say(f"{arguments.name} is removed" if removed else f"there is no machine {arguments.name!r}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    for found in machine.all_machines():
        status = "running" if found.running else "stopped"
        print(f"{found.name}\t{found.kind}\t{found.suite}\t{status}\t{found.inventory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
