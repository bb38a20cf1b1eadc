"""Processes under test: their user, their processor, and the resources that they use."""

import contextlib
import os
import pwd
import re
import signal
import subprocess
from pathlib import Path


def unprivileged() -> dict:
    """Return subprocess's arguments to run a program as nobody if we are root, otherwise none."""
    if os.getuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def give(path: Path) -> None:
    """Give a file or directory to the user of unprivileged()."""
    if arguments := unprivileged():
        os.chown(path, arguments["user"], arguments["group"])


def pinned(which: int) -> list[str]:
    """Return a prefix that runs a command only on the first (0) or the last (-1) of our processors.

    It is empty on a computer with one processor.
    """
    processors = sorted(os.sched_getaffinity(0))
    return ["taskset", "--cpu-list", str(processors[which])] if len(processors) > 1 else []


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_time(directory: Path) -> float:
    """Return the processor time, user and system, that a process has used, in seconds, by proc(5).

    Raises OSError when the process and its directory in /proc are gone.
    """
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Group:
    """A program with all the processes that it starts, in their own process group."""

    def __init__(self, command: list[str], directory: Path, log: Path):
        self._log = log
        with log.open("wb") as output:
            self._leader = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **unprivileged(),
            )

    def _members(self) -> list[Path]:
        """Return the directories in /proc of its processes, including zombies."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # After the program's name in parentheses: state, parent, process group; see proc(5).
                if int(stat.read_text().rpartition(")")[2].split()[2]) == self._leader.pid:
                    found.append(stat.parent)
        return found

    def alive(self) -> bool:
        """Return whether the first process still runs; do not reap it, so that its times can be read."""
        seen = os.waitid(os.P_PID, self._leader.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return seen is None

    def said(self) -> str:
        """Return the end of its output."""
        return self._log.read_text(errors="replace").strip()[-200:]

    def cpu(self) -> float:
        """Return the processor time that all processes have used, in seconds."""
        seconds = 0.0
        for directory in self._members():
            with contextlib.suppress(OSError):
                seconds += cpu_time(directory)
        return seconds

    def memory(self) -> int:
        """Return its memory in bytes (PSS: shared pages count once)."""
        kib = 0
        for directory in self._members():
            with contextlib.suppress(OSError):
                found = re.search(r"^Pss: +(\d+) kB", (directory / "smaps_rollup").read_text(), re.MULTILINE)
                kib += int(found[1]) if found else 0
        return kib * 1024

    def end(self, patience: float = 5) -> None:
        """End all processes by SIGTERM, after `patience` seconds by SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._leader.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._leader.wait(patience)
                break
        # The first process is gone; kill any that it has left behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._leader.pid, signal.SIGKILL)
