"""Switches an emulated machine off and on when it hangs."""

import threading
import time
import warnings

from lab import access, console, machine, state

#: Seconds without a word on the console after which a machine that does not answer either is switched off.
#: A host on trial finds its way back sooner, and whoever waits for the machine gives it longer.
SILENCE = 180


class Watchdog(threading.Thread):
    """Watches a machine until told that it is over.

    Under QEMU 7.2 a machine now and then hangs on its way up or down: four times in some hundreds.
    What a person then does is done here, and told by a warning; one with its own reason will do so again.
    """

    def __init__(self, host):
        super().__init__(daemon=True)
        self._host = host
        self._over = threading.Event()

    def __enter__(self):
        """Begin to watch."""
        self.start()
        return self

    def __exit__(self, *_):
        """Stop watching, once a machine that is being started has come up."""
        self._over.set()
        self.join()

    def run(self):
        """Look at the console's length, again and again."""
        log = self._host.directory / "console.log"
        length, since = -1, time.monotonic()
        while not self._over.wait(10):
            if console.size(log) != length:
                length, since = console.size(log), time.monotonic()
            elif time.monotonic() - since > SILENCE:
                self._power_cycle_if_silent(log)
                since = time.monotonic()

    def _power_cycle_if_silent(self, log):
        """Ask the machine three times whether it is there, and switch it off and on if not."""
        found = state.load(self._host.directory)
        if any(access.answers(found.directory, found.name, found.port) for _ in range(3)):
            return
        said = console.tail(log, 40)
        found.process.end()
        machine.up(found.name)
        warnings.warn(f"{found.name} hung and was switched off and on. {said}", stacklevel=1)
