"""Power-cycles an emulated machine when it hangs."""

import threading
import time
import warnings

from lab import access, console, machine, state

#: Seconds without console output after which a machine that does not answer is power-cycled. A failed trial
#: boot reboots sooner, and the tests wait longer for a machine.
SILENCE = 180


class Watchdog(threading.Thread):
    """Watches a machine until it is stopped.

    With QEMU 7.2 an emulated machine sometimes hangs during boot or shutdown, four times in some hundreds.
    The watchdog power-cycles it and issues a warning; a machine that hangs for a real reason will hang again.
    """

    def __init__(self, host):
        super().__init__(daemon=True)
        self._host = host
        self._over = threading.Event()

    def __enter__(self):
        """Start watching."""
        self.start()
        return self

    def __exit__(self, *_):
        """Stop watching; wait for a power cycle in progress."""
        self._over.set()
        self.join()

    def run(self):
        """Poll the length of the console's log."""
        log = self._host.directory / "console.log"
        length, since = -1, time.monotonic()
        while not self._over.wait(10):
            if console.size(log) != length:
                length, since = console.size(log), time.monotonic()
            elif time.monotonic() - since > SILENCE:
                self._power_cycle_if_silent(log)
                since = time.monotonic()

    def _power_cycle_if_silent(self, log):
        """Try to reach the machine three times, and power-cycle it if it does not answer."""
        found = state.load(self._host.directory)
        if any(access.answers(found.directory, found.name, found.port) for _ in range(3)):
            return
        said = console.tail(log, 40)
        found.process.end()
        machine.up(found.name)
        warnings.warn(f"{found.name} hung and was power-cycled. {said}", stacklevel=1)
