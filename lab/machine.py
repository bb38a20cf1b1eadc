"""Lab hosts of either kind: make, find, snapshot, revert, remove."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lab import access, archive, console, container, identity, lock, paths, vm
from lab import state as states
from lab.errors import LabError, UsageError
from lab.interrupt import shielded
from lab.progress import phase, say

KINDS: dict[str, ModuleType] = {"vm": vm, "container": container}

SYSTEM_PACKAGES = Path(__file__).with_name("system-packages")


@dataclass(frozen=True)
class Machine:
    """A lab host and the files to reach it by."""

    name: str
    kind: str
    suite: str
    directory: Path
    #: Whether it ran when this was made.
    running: bool

    @property
    def inventory(self) -> Path:
        """An Ansible inventory with this one host."""
        return self.directory / "inventory.yml"

    @property
    def ssh_config(self) -> Path:
        """A configuration for `ssh -F` with an alias of the machine's name."""
        return self.directory / "ssh_config"


def install_packages(name: str = "lab", kind: str | None = None, suite: str | None = None) -> None:
    """Install the system packages that up() needs, with the same arguments, and that are missing here.

    Raises UsageError as up() does, LabError when packages cannot be installed.
    """
    jobs = package_jobs(states.load(paths.machine(name)), kind, suite)
    # The script has said what failed.
    if subprocess.run([SYSTEM_PACKAGES, *jobs], check=False).returncode:
        raise LabError(f"{name} needs system packages that are missing here.")


def package_jobs(existing: states.State | None, kind: str | None, suite: str | None) -> tuple[str, str]:
    """Return the jobs of lab/system-packages for a machine: its kind, and its distribution (the keyring)."""
    _check_kind(kind)
    if existing:
        return existing.kind, archive.suite(existing.suite).distribution
    return kind or "vm", archive.suite(suite).distribution


def up(name: str = "lab", kind: str | None = None, suite: str | None = None) -> Machine:
    """Bring a machine up, made if missing, and return when ssh answers.

    `kind` (vm or container) and `suite` default to those of the existing machine, for a new one to vm and
    this computer's own release. When interrupted, a new machine is removed and an existing one is stopped.
    Raises UsageError when a machine of that name has another kind or suite, LabError when it does not come
    up.
    """
    _check_kind(kind)
    release = archive.suite(suite) if suite else None
    directory = paths.machine(name)
    with lock.held(directory):
        state = states.load(directory)
        if state is None:
            state = states.State(directory, name, kind or "vm", (release or archive.suite()).name)
            _make(state)
        else:
            _check_same(state, kind, release.name if release else None)
            _restart_if_needed(state)
    return _machine(state)


def get(name: str = "lab") -> Machine:
    """Return an existing machine, running or not. Raises UsageError when there is none of that name."""
    return _machine(_existing(name))


def all_machines() -> list[Machine]:
    """Return every machine of this user, sorted by name."""
    found = [states.load(directory) for directory in sorted(paths.machines().glob("*/"))]
    return [_machine(state) for state in found if state]


def down(name: str = "lab") -> bool:
    """Remove a machine with all its files. Returns False when there was none."""
    directory = paths.machine(name)
    if not directory.exists():
        return False
    with lock.held(directory), shielded():
        state = states.load(directory)
        if state is None:
            shutil.rmtree(directory)
            return False
        KINDS[state.kind].stop(state)
        KINDS[state.kind].remove(state)
    return True


def snapshot(name: str, label: str) -> None:
    """Save a running machine under a label; an older snapshot of that label is replaced."""
    with lock.held(_running(name, label).directory):
        state = _running(name, label)
        KINDS[state.kind].snapshot(state, label)


def revert(name: str, label: str) -> None:
    """Put a running machine back to a label; ssh answers when this returns."""
    with lock.held(_running(name, label).directory):
        state = _running(name, label)
        KINDS[state.kind].revert(state, label)


def _make(state: states.State) -> None:
    state.directory.chmod(0o700)
    try:
        identity.create(state.directory, state.name)
        KINDS[state.kind].create(state, archive.suite(state.suite))
        _start(state)
    except BaseException as error:
        with shielded():
            KINDS[state.kind].stop(state)
            if isinstance(error, LabError):
                _save_console(state)
            KINDS[state.kind].remove(state)
        raise


def _restart_if_needed(state: states.State) -> None:
    if state.running and _answers(state):
        say(f"{state.name} is up already")
        return
    say(f"{state.name} exists but does not {'answer' if state.running else 'run'}: starting it again")
    KINDS[state.kind].stop(state)
    try:
        _start(state)
    except BaseException:
        with shielded():
            KINDS[state.kind].stop(state)
        raise


def _answers(state: states.State) -> bool:
    """Return whether a running machine answers within the time of a boot, since it may be booting now."""
    if access.answers(state.directory, state.name, state.port):
        return True
    try:
        with phase(f"waiting for {state.name}, which runs but does not answer"):
            KINDS[state.kind].wait(state)
    except LabError as error:
        say(str(error))
        return False
    return True


def _start(state: states.State) -> None:
    state.port = access.free_port(state.port)
    access.write(state.directory, state.name, state.port)
    state.save()
    KINDS[state.kind].start(state)


def _check_kind(kind: str | None) -> None:
    if kind is not None and kind not in KINDS:
        raise UsageError(f"KIND is {kind!r}: {' or '.join(KINDS)} was expected.")


def _check_same(state: states.State, kind: str | None, suite: str | None) -> None:
    if kind in (None, state.kind) and suite in (None, state.suite):
        return
    raise UsageError(
        f"{state.name} exists and is a {state.kind} with {state.suite}. Take another NAME, or remove it "
        f"first: `python -m lab down --name {state.name}`."
    )


def _save_console(state: states.State) -> None:
    log = state.directory / "console.log"
    if log.exists():
        kept = state.directory.parent.parent / f"{state.name}.console.log"
        kept.write_bytes(console.read(log))
        say(f"the whole console is kept in {kept}")


def _existing(name: str) -> states.State:
    state = states.load(paths.machine(name))
    if state is None:
        known = ", ".join(machine.name for machine in all_machines()) or "none"
        raise UsageError(f"There is no machine {name!r} (there is: {known}). `python -m lab up` makes one.")
    return state


def _running(name: str, label: str) -> states.State:
    if not paths.NAME.fullmatch(label):
        raise UsageError(f"{label!r} cannot be a label: take lower-case letters, digits and hyphens.")
    state = _existing(name)
    if not state.running:
        raise UsageError(f"{name} does not run. `python -m lab up --name {name}` starts it.")
    return state


def _machine(state: states.State) -> Machine:
    return Machine(state.name, state.kind, state.suite, state.directory, state.running)
