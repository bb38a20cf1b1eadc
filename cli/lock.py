"""One provisioning of a host at a time, from whichever controller it comes.

The lock is a flock(2) held on the host by a process at the far end of an ssh connection of its own, so it
ends with that connection: a controller that is killed leaves nothing to clean up. A beat goes over the
connection; when it stays out, the far end lets go by itself, for a controller that lost its network.
"""

import contextlib
import getpass
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from cli.errors import InfrastructureError, Interrupted, LockLostError
from cli.probe import ssh_command

#: Seconds between two beats, and between two attempts to come back after the host rebooted.
BEAT = 5
#: Seconds without a beat after which the host gives the lock up.
SILENCE = 90
#: Seconds in which a host has to say whether we got the lock, and in which a connection has to end.
ANSWER_TIMEOUT = 60
END_TIMEOUT = 5

#: In a directory that root alone may write to: no other user of the host can hold, fake or fill the lock.
#: A reboot empties /run, as it should.
LOCK_FILE = "/run/uring-lab/lock"

#: What the far end answers where it cannot become root.
_NO_ROOT = "no root"

_BECOME_ROOT = """
script=$1
shift
[ "$(id -u)" != 0 ] || exec bash -c "$script" hold "$@"
sudo -n bash -c : < /dev/null > /dev/null 2>&1 || { echo "no root"; exit; }
exec sudo -n bash -c "$script" hold "$@"
"""

_HOLD = """
lock=$1 holder=$2
[ -d "${lock%/*}" ] || mkdir -m 0755 "${lock%/*}"
umask 077
exec 9>> "$lock" || exit
flock --nonblock --conflict-exit-code 75 9
case $? in 0) ;; 75) echo "held by $(head -c 200 "$lock")"; exit ;; *) exit ;; esac
echo "$holder" > "$lock"
echo ours
while read -r -t "$3" beat; do :; done
"""


class HostLock:
    """The lock of one host.

    Entering the context raises InfrastructureError when another run holds it. A lock that another run took
    while the host rebooted stops this process by SIGTERM; leaving the context then raises LockLostError.
    """

    def __init__(self, name: str, ssh_config: Path, lock_file: str = LOCK_FILE):
        self._name = name
        since = time.strftime("%F %T %Z")
        self._holder = f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}, since {since}"
        remote = ["exec", "bash", "-c", _BECOME_ROOT, "become-root", _HOLD]
        remote += [lock_file, self._holder, str(SILENCE)]
        # ControlPath=none: Ansible closes its shared connection when it reboots a host.
        self._command = [*ssh_command(ssh_config), "-o", "ControlPath=none"]
        self._command += ["-o", "ServerAliveInterval=15"]
        self._command += [name, shlex.join(remote)]
        self._stop = threading.Event()
        self._lost_to = ""
        self._connection: subprocess.Popen | None = None
        self._heartbeat = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> "HostLock":
        """Take the lock."""
        try:
            answer = self._take()
            if answer.startswith("held"):
                raise InfrastructureError(
                    f"{self._name}: is being provisioned already, {_printable(answer)}; wait for that to end"
                )
            if answer == _NO_ROOT:
                # Without root a run can change nothing, so it needs no lock; preflight refuses it.
                print(f"{self._name}: is not locked, for sudo there wants a password", file=sys.stderr)
                self._end()
                return self
            if answer != "ours":
                reason = _printable(answer) or "no answer"
                raise InfrastructureError(f"{self._name}: cannot be locked for this run: {reason}")
        except BaseException:
            self._end()
            raise
        self._heartbeat.start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Give the lock back. Raises LockLostError when its loss is what interrupted the run."""
        self._stop.set()
        if self._heartbeat.ident is not None:
            self._heartbeat.join(END_TIMEOUT)
            if self._heartbeat.is_alive():
                # It waits for a host that is just rebooting.
                self._connection.kill()
                self._heartbeat.join(END_TIMEOUT)
            self._end()
        if self._lost_to and isinstance(error, Interrupted):
            raise LockLostError(self._lost_to) from None

    def _take(self) -> str:
        """Connect and return what the host answers: `ours`, `held by …`, or an error's text."""
        # A session of its own: Ctrl-C is for us to handle, and the lock is the last thing to go.
        self._connection = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        # Reading has no time-out of its own; ending the connection ends it.
        watchdog = threading.Timer(ANSWER_TIMEOUT, self._connection.kill)
        watchdog.start()
        try:
            lines = iter(self._connection.stdout.readline, "")
            # What a login banner or a shell's start-up file prints comes first.
            text = ""
            for line in lines:
                text = line.strip()
                if text in ("ours", _NO_ROOT) or text.startswith("held by "):
                    break
            return text
        finally:
            watchdog.cancel()

    def _keep(self) -> None:
        """Send the beat; after a lost connection, which is what a reboot looks like, take the lock again."""
        while not self._stop.wait(BEAT):
            try:
                self._connection.stdin.write("\n")
                self._connection.stdin.flush()
                lost = self._connection.poll() is not None
            except OSError:
                lost = True
            if lost:
                self._end()
                answer = self._take()
                if self._is_anothers(answer) and not self._stop.is_set():
                    self._give_up(_printable(answer))
                    return

    def _is_anothers(self, answer: str) -> bool:
        """Tell whether another run has the lock.

        Until it misses our beat, the host may hold it for our own lost connection; and a holder that has no
        name yet is just about to write it.
        """
        holder = answer.removeprefix("held by").strip()
        return answer.startswith("held") and holder != "" and self._holder not in holder

    def _give_up(self, answer: str) -> None:
        """Interrupt our own run: two runs at a time would ruin each other's work."""
        self._lost_to = (
            f"{self._name}: while it was out of reach another run took its lock, {answer}; this run was "
            "stopped: wait for the other to end, then give the same command again"
        )
        # At once, since Ansible takes its time to end.
        print(self._lost_to, file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    def _end(self) -> None:
        """Close the connection, upon which the far end lets go of the lock."""
        if self._connection is None:
            return
        with contextlib.suppress(OSError):
            self._connection.stdin.close()
        try:
            self._connection.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._connection.kill()
            self._connection.wait()
        self._connection.stdout.close()


def _printable(text: str) -> str:
    """Keep what came from the host from steering the terminal."""
    return "".join(character for character in text if character.isprintable())
