"""Processes under test: as whom they run, on which processor, and what they use of it."""

import contextlib
import os
import pwd
import re
import signal
import subprocess
from pathlib import Path


def unprivileged() -> dict:
    """Return subprocess's arguments that give up root's rights; nothing where there are none to give up."""
    if os.getuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def give(path: Path) -> None:
    """Make a file or directory that of the user whom unprivileged() names."""
    if as_whom := unprivileged():
        os.chown(path, as_whom["user"], as_whom["group"])


def pinned(which: int) -> list[str]:
    """Return a command that runs another on one processor only: the first (0) or the last (-1) of ours.

    On a computer with a single one there is nothing to choose.
    """
    processors = sorted(os.sched_getaffinity(0))
    return ["taskset", "--cpu-list", str(processors[which])] if len(processors) > 1 else []


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_time(directory: Path) -> float:
    """Return the processor time, user and system, that a process has used, in seconds: proc(5).

    Raises OSError when there is no such directory in /proc any more.
    """
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Group:
    """A program with all the processes that it starts: a process group of its own."""

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
        """Return the directories in /proc of its processes, ended ones that were not waited for included."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # After the program's name in brackets: state, parent, process group; proc(5).
                if int(stat.read_text().rpartition(")")[2].split()[2]) == self._leader.pid:
                    found.append(stat.parent)
        return found

    def alive(self) -> bool:
        """Return whether the first process still runs; its status is left, so that its times can be read."""
        seen = os.waitid(os.P_PID, self._leader.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return seen is None

    def said(self) -> str:
        """Return the end of what it has printed."""
        return self._log.read_text(errors="replace").strip()[-200:]

    def cpu(self) -> float:
        """Return the processor time that all of it has used, in seconds."""
        seconds = 0.0
        for directory in self._members():
            with contextlib.suppress(OSError):
                seconds += cpu_time(directory)
        return seconds

    def memory(self) -> int:
        """Return its memory in bytes (PSS: what processes share counts once)."""
        kib = 0
        for directory in self._members():
            with contextlib.suppress(OSError):
                found = re.search(r"^Pss: +(\d+) kB", (directory / "smaps_rollup").read_text(), re.MULTILINE)
                kib += int(found[1]) if found else 0
        return kib * 1024

    def end(self, patience: float = 5) -> None:
        """Ask all of it to end, and after so many seconds make it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._leader.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._leader.wait(patience)
                break
        # The first one is gone; what it may have left behind goes now.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._leader.pid, signal.SIGKILL)
