"""Virtual machines: an overlay over an image's disk, and a QEMU that outlives the command that starts it."""

import shutil
import subprocess
import time
from pathlib import Path

from lab import accelerator, access, archive, console, image, qemu, timeouts
from lab.errors import LabError
from lab.interrupt import deferred
from lab.process import Process
from lab.progress import phase, say
from lab.state import State
from lab.tool import need


class SilentKernelError(LabError):
    """The kernel printed nothing in time; under KVM, KVM is assumed to be the cause."""


def create(state: State, suite: archive.Suite) -> None:
    """Make the machine's disk and its store of EFI variables."""
    backing = image.disk_image(suite)
    state.image = str(backing)
    _, variables = qemu.firmware()
    _qemu_img("create", "-f", "qcow2", "-b", str(backing), "-F", "raw", str(state.directory / "disk.qcow2"))
    # qcow2, because QEMU refuses snapshots when any writable drive does not support them.
    _qemu_img("convert", "-O", "qcow2", str(variables), str(state.directory / "vars.qcow2"))


def start(state: State) -> None:
    """Power on and wait for ssh. If the kernel prints nothing under KVM, try again under emulation."""
    if not Path(state.image).exists():
        raise LabError(
            f"The image under {state.name}'s disk is gone ({state.image}). Make it again: "
            f"`python -m lab down --name {state.name}`, then `up`."
        )
    chosen = accelerator.choose()
    say(f"accelerator: {chosen.name} ({chosen.reason})")
    try:
        _boot(state, chosen)
    except SilentKernelError:
        if chosen.emulated or "URING_LAB_ACCELERATOR" in chosen.reason:
            raise
        stop(state)
        chosen = accelerator.distrust("under KVM the kernel did not say a word, though a boot sector ran")
        say(f"accelerator: {chosen.name} ({chosen.reason})")
        _boot(state, chosen)


def stop(state: State) -> None:
    """Power off at once, without a shutdown."""
    if state.process:
        state.process.end()


def remove(state: State) -> None:
    """Remove all files of the machine."""
    shutil.rmtree(state.directory)


def snapshot(state: State, label: str) -> None:
    """Save the running machine, memory and disk, under a label."""
    with phase(f"saving {state.name} as {label}"):
        qemu.save(state.directory, label, timeouts.seconds("SNAPSHOT", emulated=state.emulated))


def revert(state: State, label: str) -> None:
    """Revert the running machine to a label, and set its clock to the present time."""
    with phase(f"putting {state.name} back to {label}"):
        qemu.load(state.directory, label, timeouts.seconds("SNAPSHOT", emulated=state.emulated))
        wait(state)
        clock = access.ssh(state.directory, state.name, "sudo", "date", "-s", f"@{int(time.time())}")
        subprocess.run(clock, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def _boot(state: State, chosen: accelerator.Accelerator) -> None:
    log = state.directory / "console.log"
    since = console.size(log)
    with phase(f"booting {state.name} (virtual machine, ssh on port {state.port})") as note:
        process = _power_on(state, chosen)
        note("firmware and GRUB")
        _wait_for_kernel(state, log, since, process)
        note("Linux")
        wait(state, since, process)


def _power_on(state: State, chosen: accelerator.Accelerator) -> subprocess.Popen:
    with (state.directory / "qemu.log").open("wb") as errors, deferred():
        process = subprocess.Popen(
            qemu.command(state.name, state.port, chosen),
            cwd=state.directory,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            # QEMU must survive Ctrl-C and the end of this terminal.
            start_new_session=True,
        )
        state.process = Process.of(process.pid)
        state.emulated = chosen.emulated
        state.save()
    return process


def _wait_for_kernel(state: State, log: Path, since: int, process: subprocess.Popen) -> None:
    limit = timeouts.seconds("FIRST_KERNEL_LINE", emulated=state.emulated)
    until = time.monotonic() + limit
    while not console.FIRST_KERNEL_LINE.search(console.read(log, since)):
        _fail_if_lost(state, log, since, process)
        if time.monotonic() > until:
            raise SilentKernelError(
                f"{state.name}: no line of a kernel within {limit:.0f} s "
                f"(URING_LAB_TIMEOUT_FIRST_KERNEL_LINE). {console.tail(log)}"
            )
        time.sleep(0.2)


def wait(state: State, since: int | None = None, process: subprocess.Popen | None = None) -> None:
    """Wait until a command can be run by ssh.

    Failures in the console's log count from position `since` on (default: its present end).
    Raises LabError, with the end of the console, when the machine dies, panics or takes too long.
    """
    log = state.directory / "console.log"
    since = console.size(log) if since is None else since
    limit = timeouts.seconds("SSH_ANSWER", emulated=state.emulated)
    until = time.monotonic() + limit
    while not access.answers(state.directory, state.name, state.port):
        _fail_if_lost(state, log, since, process)
        if time.monotonic() > until:
            raise LabError(
                f"{state.name}: no answer by ssh within {limit:.0f} s (URING_LAB_TIMEOUT_SSH_ANSWER). "
                f"{console.tail(log)}"
            )
        time.sleep(0.5)


def _fail_if_lost(state: State, log: Path, since: int, process: subprocess.Popen | None) -> None:
    stuck = console.STUCK.search(console.read(log, since))
    if stuck:
        raise LabError(f"{state.name}: {stuck[0].decode(errors='replace').strip()}. {console.tail(log)}")
    # poll() reaps our own child when it has ended, and gives its exit status.
    if (process is None or process.poll() is None) and state.running:
        return
    said = (state.directory / "qemu.log").read_text(errors="replace").strip()
    status = f" with status {process.returncode}" if process else ""
    raise LabError(
        f"{state.name}: QEMU ended{status} while the machine was starting. {said}\n{console.tail(log)}"
    )


def _qemu_img(*arguments: str) -> None:
    result = subprocess.run([need("qemu-img"), *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LabError(f"qemu-img {arguments[0]}: {result.stderr.strip()}")
