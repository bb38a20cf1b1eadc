"""Processes that outlive the command which started them; later commands identify them reliably."""

import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process by its pid, its start time in ticks since boot, and the boot id, because pids are reused."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Return the process that has this pid now. Raises ProcessLookupError when there is none."""
        stat = _stat(pid)
        if stat is None:
            raise ProcessLookupError(pid)
        return cls(pid=pid, start=stat[1], boot=boot_id())

    def alive(self) -> bool:
        """Return whether it still runs. A zombie does not."""
        stat = _stat(self.pid)
        if stat is None or self.boot != boot_id():
            return False
        letter, start = stat
        return start == self.start and letter not in "ZX"

    def end(self, patience: float = 5) -> None:
        """End it by SIGTERM, after `patience` seconds by SIGKILL. Returns when it is gone."""
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 60)):
            if not self.alive():
                return
            os.kill(self.pid, number)
            self.gone_within(wait)

    def gone_within(self, seconds: float) -> bool:
        """Wait for it to end by itself, and return whether it did."""
        until = time.monotonic() + seconds
        while self.alive() and time.monotonic() < until:
            time.sleep(0.05)
        return not self.alive()

    def as_dict(self) -> dict[str, int | str]:
        """Return it as plain data, for machine.json."""
        return asdict(self)


def boot_id() -> str:
    """Return the identifier of this computer's present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> tuple[str, int] | None:
    """Return a process's state letter and start time, proc(5), or None when there is no such process."""
    try:
        # The second field is the program's name in parentheses, and may contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19])
