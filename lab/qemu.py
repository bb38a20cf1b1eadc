"""QEMU: its command line and its monitor (QMP)."""

import asyncio
import os
import uuid
from pathlib import Path

from qemu.qmp import ExecuteError, QMPClient, QMPError

from lab import accelerator
from lab.errors import LabError
from lab.tool import need

#: The firmware and the template of its variable store, newest packaging first.
FIRMWARE = (
    (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    (Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_VARS.fd")),
)

#: Enough to make an initramfs, and for two compilers in parallel.
MEMORY_MIB = 2048

#: The machine's disk and its node name in the monitor.
#: cache=unsafe: the disk of a disposable machine need not survive a power cut of this computer.
DISK = "file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap"
OVERLAY = "overlay"

#: QEMU listens on the socket and does not wait for a client.
SERVER = "server=on,wait=off"


def firmware() -> tuple[Path, Path]:
    """Return the firmware's code and variable template. Raises LabError when they are not installed."""
    for code, variables in FIRMWARE:
        if code.exists() and variables.exists():
            return code, variables
    raise LabError("The EFI firmware (package ovmf) is not installed here: `lab/system-packages vm` does it.")


def command(name: str, port: int, chosen: accelerator.Accelerator) -> list[str]:
    """Return QEMU's command line, to be run in the machine's directory.

    Its paths are relative to it, because a socket's path may have at most 108 characters.
    """
    code, _ = firmware()
    return [
        need(accelerator.QEMU),
        *["-name", name, "-nodefaults", "-no-user-config", "-display", "none"],
        *chosen.arguments,
        *["-smp", str(accelerator.processors()), "-m", str(MEMORY_MIB)],
        *["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"],
        *["-drive", "if=pflash,unit=1,format=qcow2,file=vars.qcow2"],
        *["-drive", f"if=none,id=disk,node-name={OVERLAY},{DISK}"],
        *["-device", "virtio-blk-pci,drive=disk"],
        *["-netdev", f"user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:{port}-:22"],
        *["-device", "virtio-net-pci,netdev=net,romfile="],
        *["-device", "virtio-rng-pci"],
        # A watchdog: resets a guest that hangs, if its kernel has the driver and a program feeds it.
        *["-device", "i6300esb"],
        *["-chardev", f"socket,id=serial,path=console.sock,{SERVER},logfile=console.log,logappend=on"],
        *["-serial", "chardev:serial"],
        *["-chardev", f"socket,id=monitor,path=qmp.sock,{SERVER}", "-mon", "chardev=monitor,mode=control"],
        *["-fw_cfg", "name=opt/uring-lab/identity,file=identity.tar"],
    ]


def save(directory: Path, label: str, limit: float) -> None:
    """Save the running machine, memory and disk, under a label; an older snapshot of it is replaced.

    Raises LabError when QEMU cannot do it, or not within `limit` seconds.
    """
    asyncio.run(_jobs(directory, ["snapshot-delete", "snapshot-save"], label, limit))


def load(directory: Path, label: str, limit: float) -> None:
    """Revert the running machine to a label.

    Raises LabError when there is no such label, or QEMU does not do it within `limit` seconds.
    """
    asyncio.run(_jobs(directory, ["snapshot-load"], label, limit))


async def _jobs(directory: Path, verbs: list[str], label: str, limit: float) -> None:
    """Run jobs of the machine's monitor, one after the other."""
    client = QMPClient("uring-lab")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        await client.connect(f"/proc/self/fd/{descriptor}/qmp.sock")
        try:
            for verb in verbs:
                await asyncio.wait_for(_job(client, verb, label), limit)
        finally:
            # A failed snapshot-load leaves the machine paused.
            await client.execute("cont")
            await client.disconnect()
    except ExecuteError as error:
        raise LabError(f"QEMU refuses (snapshots take version 6.0 or later): {error}") from error
    except asyncio.TimeoutError as error:
        raise LabError(f"{verbs[-1]} {label} did not end within {limit:.0f} s.") from error
    except (QMPError, OSError) as error:
        raise LabError(f"QEMU's monitor in {directory} does not answer: {error}") from error
    finally:
        os.close(descriptor)


async def _job(client: QMPClient, verb: str, label: str) -> None:
    """Run one job to its end. Raises LabError with QEMU's message when it fails."""
    job = f"{verb}-{uuid.uuid4().hex[:8]}"
    arguments: dict[str, object] = {"job-id": job, "tag": label, "devices": [OVERLAY]}
    if verb != "snapshot-delete":
        arguments["vmstate"] = OVERLAY
    await client.execute(verb, arguments)
    while True:
        state = next(entry for entry in await client.execute("query-jobs") if entry["id"] == job)
        if state["status"] == "concluded":
            break
        await asyncio.sleep(0.1)
    await client.execute("job-dismiss", {"id": job})
    if "error" in state:
        raise LabError(f"{verb} {label}: {state['error']}")
