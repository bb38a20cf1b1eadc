"""Which accelerator QEMU gets: the one that has proved itself, since a /dev/kvm that opens proves nothing.

There are computers where KVM makes machines and processors, and then `-cpu max` aborts QEMU, or other models
stand still in silence. So something is booted: a boot sector that writes to the isa-debug-exit device.
"""

import json
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab import paths, timeouts
from lab.errors import UsageError
from lab.process import boot_id
from lab.tool import need

QEMU = "qemu-system-x86_64"
MACHINE = "q35"

#: The emulated processor: a plain one, for an emulator pays for what one of today has besides: AVX, XSAVE.
#: Without cx16: QEMU 7.2 damages the flags after cmpxchg16b when it emulates several processors, and Linux
#: 6.12 panics of it in five seconds.
EMULATED_PROCESSOR = "qemu64,-cx16"
#: MiB for translated code. The translations of the boot before stay until this is full, and each write to
#: where they came from goes through them: too much makes reboots slow. bench/emulation.py measures both.
TRANSLATIONS = 256

#: Port of the device; a byte B written there ends QEMU with status 2 * B + 1.
PORT = 0xF4
BYTE = 0x10
#: mov dx, PORT; mov al, BYTE; out dx, al; hlt; jump back to hlt: 510 bytes with padding, and the BIOS's mark.
SECTOR = bytes([0xBA, PORT, 0x00, 0xB0, BYTE, 0xEE, 0xF4, 0xEB, 0xFD]).ljust(510, b"\0") + b"\x55\xaa"


@dataclass(frozen=True)
class Accelerator:
    """An accelerator, the processor that goes with it, and why it was chosen."""

    name: str
    reason: str

    @property
    def emulated(self) -> bool:
        """Whether the guest's processor is emulated: everything takes longer."""
        return self.name == "tcg"

    @property
    def arguments(self) -> list[str]:
        """QEMU's arguments for it: the same in the proof as in the machine."""
        if self.emulated:
            emulation = f"tcg,thread=multi,tb-size={TRANSLATIONS}"
            return ["-machine", MACHINE, "-accel", emulation, "-cpu", EMULATED_PROCESSOR]
        return ["-machine", MACHINE, "-accel", "kvm", "-cpu", "max"]


def choose() -> Accelerator:
    """Return the accelerator for virtual machines here; the verdict is kept until QEMU or this boot changes.

    URING_LAB_ACCELERATOR (kvm or tcg) overrides it. Raises UsageError on another value of that.
    """
    wanted = os.environ.get("URING_LAB_ACCELERATOR", "")
    if wanted in ("kvm", "tcg"):
        return Accelerator(wanted, "URING_LAB_ACCELERATOR says so")
    if wanted:
        raise UsageError(f"URING_LAB_ACCELERATOR={wanted!r}: kvm or tcg was expected, or nothing.")
    file = paths.cache() / "accelerator.json"
    basis = _basis()
    try:
        verdict = json.loads(file.read_text())
        if verdict["basis"] == basis:
            return Accelerator(verdict["name"], verdict["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # No verdict yet, or none that can be read: there will be one below.
    chosen = _judge()
    remember(chosen, basis)
    return chosen


def distrust(why: str) -> Accelerator:
    """Remember that KVM passed the proof and yet failed a real machine, and return emulation instead."""
    chosen = Accelerator("tcg", why)
    remember(chosen, _basis())
    return chosen


def remember(chosen: Accelerator, basis: list[str]) -> None:
    """Keep a verdict, with what it depends on."""
    file = paths.cache() / "accelerator.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"basis": basis, "name": chosen.name, "reason": chosen.reason}))


def _judge() -> Accelerator:
    device = Path("/dev/kvm")
    if not device.exists():
        return Accelerator("tcg", "this computer has no /dev/kvm")
    if not os.access(device, os.R_OK | os.W_OK):
        return Accelerator("tcg", "/dev/kvm may not be opened by this user (its group is usually `kvm`)")
    fault = prove(Accelerator("kvm", ""))
    if fault is None:
        return Accelerator("kvm", "a boot sector ran under it")
    return Accelerator("tcg", f"/dev/kvm opens, but a boot sector did not run under KVM: {fault}")


def prove(candidate: Accelerator) -> str | None:
    """Boot a sector under an accelerator. Return None when it ran, or what went wrong in one line."""
    with tempfile.NamedTemporaryFile() as image:
        image.write(SECTOR)
        image.flush()
        command = [
            need(QEMU),
            *candidate.arguments,
            *["-smp", str(processors()), "-m", "64"],
            *["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
            *["-device", f"isa-debug-exit,iobase={PORT:#x},iosize=1"],
            *["-drive", f"file={image.name},format=raw,if=ide,snapshot=on"],
        ]
        limit = timeouts.seconds("ACCELERATOR_PROOF")
        try:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            return f"nothing happened within {limit:.0f} s"
    if result.returncode == 2 * BYTE + 1:
        return None
    said = result.stderr.decode(errors="replace").strip().splitlines()
    return said[0] if said else f"QEMU ended with status {result.returncode}"


def processors() -> int:
    """Return how many processors a machine gets: this computer's, and four at most."""
    return min(os.cpu_count() or 1, 4)


def _basis() -> list[str]:
    """Return what a verdict depends on: QEMU, this boot of the kernel, the user's rights."""
    version = subprocess.run([need(QEMU), "--version"], capture_output=True, text=True, check=True).stdout
    rights = str(os.access("/dev/kvm", os.R_OK | os.W_OK))
    return [version.splitlines()[0], platform.release(), boot_id(), str(processors()), rights]
