"""Somebody who looks after an emulated machine, and switches off and on one that stands still."""

import subprocess
import threading
import time
import warnings

from lab import console, machine

#: Seconds without a word on the console after which the machine is asked whether it is there. Then
#: `machine.up` gives it the time of a boot: longer in all than a host on trial takes to find its way back.
SILENCE = 240


class Attendant(threading.Thread):
    """Watches a machine until told that it is over.

    QEMU 7.2 now and then emulates a boot that goes round in circles: seen twice in some hundreds. What a
    person then does is done here, and told by a warning; a machine with a reason of its own will do so again.
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
                if not self._answers():
                    self._look_after()
                since = time.monotonic()

    def _look_after(self):
        """Give the machine the time of a boot, and switch it off and on if it does not answer then."""
        said = console.tail(self._host.directory / "console.log", 40)
        state = self._host.directory / "machine.json"
        before = state.read_text()
        machine.up(self._host.name)
        if state.read_text() != before:
            warnings.warn(f"{self._host.name} stood still and was switched off and on. {said}", stacklevel=1)

    def _answers(self):
        ssh = ["ssh", "-F", self._host.ssh_config, "-o", "ConnectTimeout=30", self._host.name, "true"]
        try:
            return subprocess.run(ssh, check=False, capture_output=True, timeout=60).returncode == 0
        except subprocess.TimeoutExpired:
            return False
