"""Containers: an image's root under systemd-nspawn, with a network of its own and this computer's kernel."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab import access, archive, console, image, timeouts
from lab.errors import LabError
from lab.interrupt import deferred
from lab.privilege import as_root
from lab.process import Process
from lab.progress import phase
from lab.state import State
from lab.tool import need

SUPERVISOR = Path(__file__).with_name("supervisor.py")

#: A shell script: make the directory $1 and unpack the other arguments into it, in their order. The kernel is
#: purged: a container runs this computer's, and update-initramfs would fail in it.
UNPACK = """
set -eu
root=$1; shift
mkdir -m 755 "$root"
for tar; do tar -x --numeric-owner -C "$root" -f "$tar"; done
DEBIAN_FRONTEND=noninteractive chroot "$root" \\
    apt-get --yes --quiet=2 purge 'linux-image-*' 'initramfs-tools*' 'grub-*' >&2
"""

#: A shell script: replace tree $2 by a copy of $1; the old tree is removed only when the copy is complete.
COPY = """
set -eu
mkdir -p "${2%/*}"
rm -rf "$2.new"
cp -a --reflink=auto "$1" "$2.new"
rm -rf "$2"
mv "$2.new" "$2"
"""


def create(state: State, suite: archive.Suite) -> None:
    """Unpack the machine's root."""
    for program in ("systemd-nspawn", "slirp4netns", "setpriv", "unshare"):
        need(program)
    root_tar = image.root(suite)
    state.image = str(root_tar)
    root = state.directory / "root"
    identity_tar = state.directory / "identity.tar"
    with phase(f"unpacking the root of {state.name}"):
        as_root(
            ["sh", "-c", UNPACK, "unpack", str(root), str(root_tar), str(identity_tar)],
            "unpack a container's root with its owners",
        )


def start(state: State) -> None:
    """Start the supervisor, which boots the container, and wait for ssh."""
    with phase(f"booting {state.name} (container, ssh on port {state.port})"):
        pid_file = state.directory / "supervisor.pid"
        pid_file.unlink(missing_ok=True)
        with deferred():
            as_root(
                [sys.executable, "-I", str(SUPERVISOR), state.name, str(state.directory), str(state.port)],
                "start a container",
            )
            state.process = Process.of(int(pid_file.read_text()))
            state.save()
        wait(state)


def stop(state: State) -> None:
    """Stop the container: SIGTERM to its supervisor, then SIGKILL."""
    if state.running:
        as_root(["kill", str(state.process.pid)], "stop a container")
        if not state.process.gone_within(timeouts.seconds("POWER_OFF")):
            as_root(["kill", "-KILL", str(state.process.pid)], "stop a container")
            state.process.gone_within(timeouts.seconds("POWER_OFF"))


def remove(state: State) -> None:
    """Remove all files of the machine."""
    trees = [str(tree) for tree in (state.directory / "root", state.directory / "snapshots") if tree.exists()]
    if trees:
        as_root(["rm", "-rf", "--one-file-system", *trees], "remove a container's root")
    shutil.rmtree(state.directory)


def snapshot(state: State, label: str) -> None:
    """Copy the root under a label; the container is stopped for it and started again."""
    _copy(state, state.directory / "root", _snapshot(state, label), f"saving {state.name} as {label}")


def revert(state: State, label: str) -> None:
    """Restore the root from a label and restart the container. Raises LabError when the label is unknown."""
    saved = _snapshot(state, label)
    if not saved.exists():
        raise LabError(f"{state.name} has no snapshot {label!r}.")
    _copy(state, saved, state.directory / "root", f"putting {state.name} back to {label}")


def _snapshot(state: State, label: str) -> Path:
    return state.directory / "snapshots" / label


def _copy(state: State, source: Path, target: Path, what: str) -> None:
    """Replace tree `target` by a copy of `source` while the container is stopped."""
    sync = access.ssh(state.directory, state.name, "sync")
    subprocess.run(sync, stdin=subprocess.DEVNULL, check=False)
    stop(state)
    with phase(what):
        as_root(
            ["sh", "-c", COPY, "copy", str(source), str(target)],
            "copy a container's root with its owners",
        )
    start(state)


def wait(state: State) -> None:
    """Wait until a command can be run by ssh. Raises LabError when the container ends or takes too long."""
    limit = timeouts.seconds("SSH_ANSWER")
    until = time.monotonic() + limit
    log = state.directory / "console.log"
    while not access.answers(state.directory, state.name, state.port):
        if not state.running:
            raise LabError(f"{state.name}: the container ended while it was starting. {console.tail(log)}")
        if time.monotonic() > until:
            raise LabError(
                f"{state.name}: no answer by ssh within {limit:.0f} s (URING_LAB_TIMEOUT_SSH_ANSWER). "
                f"{console.tail(log)}"
            )
        time.sleep(0.2)
