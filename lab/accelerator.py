"""Choose QEMU's accelerator by a test boot, since a /dev/kvm that can be opened proves nothing.

On some computers KVM creates machines and processors, and then `-cpu max` aborts QEMU, or other models hang
silently. So a boot sector is booted that writes to the isa-debug-exit device.
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

#: The emulated processor: a plain one, because AVX, XSAVE and other modern features make emulation slower.
#: Without cx16: QEMU 7.2 corrupts the flags after cmpxchg16b when it emulates several processors, and Linux
#: 6.12 panics because of that within five seconds.
EMULATED_PROCESSOR = "qemu64,-cx16"
#: MiB for translated code. Translations of the previous boot stay until this is full, and each write to the
#: pages they came from has to invalidate them: too large a cache makes reboots slow. bench/emulation.py
#: measures it.
TRANSLATIONS = 256

#: Port of the device; a byte B written there ends QEMU with status 2 * B + 1.
PORT = 0xF4
BYTE = 0x10
#: mov dx, PORT; mov al, BYTE; out dx, al; hlt; jump back to hlt; padding to 510 bytes; the BIOS signature.
SECTOR = bytes([0xBA, PORT, 0x00, 0xB0, BYTE, 0xEE, 0xF4, 0xEB, 0xFD]).ljust(510, b"\0") + b"\x55\xaa"


@dataclass(frozen=True)
class Accelerator:
    """An accelerator, the processor that goes with it, and why it was chosen."""

    name: str
    reason: str

    @property
    def emulated(self) -> bool:
        """Whether the guest's processor is emulated, so that everything takes longer."""
        return self.name == "tcg"

    @property
    def arguments(self) -> list[str]:
        """QEMU's arguments for it: the same in the test boot as for the machine."""
        if self.emulated:
            emulation = f"tcg,thread=multi,tb-size={TRANSLATIONS}"
            return ["-machine", MACHINE, "-accel", emulation, "-cpu", EMULATED_PROCESSOR]
        return ["-machine", MACHINE, "-accel", "kvm", "-cpu", "max"]


def choose() -> Accelerator:
    """Return the accelerator for virtual machines here, cached until QEMU changes or this computer reboots.

    URING_LAB_ACCELERATOR (kvm or tcg) overrides it. Raises UsageError on any other value of that variable.
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
        pass  # Not cached yet, or the file cannot be read.
    chosen = _probe()
    remember(chosen, basis)
    return chosen


def distrust(why: str) -> Accelerator:
    """Remember that KVM passed the test boot but failed a real machine; return emulation instead."""
    chosen = Accelerator("tcg", why)
    remember(chosen, _basis())
    return chosen


def remember(chosen: Accelerator, basis: list[str]) -> None:
    """Cache a choice together with what it depends on."""
    file = paths.cache() / "accelerator.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"basis": basis, "name": chosen.name, "reason": chosen.reason}))


def _probe() -> Accelerator:
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
    """Return how many processors a machine gets: as many as this computer has, at most four."""
    return min(os.cpu_count() or 1, 4)


def _basis() -> list[str]:
    """Return what the choice depends on: QEMU's version, the kernel, its boot, the user's rights."""
    version = subprocess.run([need(QEMU), "--version"], capture_output=True, text=True, check=True).stdout
    rights = str(os.access("/dev/kvm", os.R_OK | os.W_OK))
    return [version.splitlines()[0], platform.release(), boot_id(), str(processors()), rights]
