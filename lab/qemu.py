"""QEMU: its command line, and its monitor."""

import asyncio
import os
import uuid
from pathlib import Path

from qemu.qmp import ExecuteError, QMPClient, QMPError

from lab import accelerator
from lab.errors import LabError
from lab.tool import need

#: Firmware and the empty store of its variables, newest packaging first.
FIRMWARE = (
    (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    (Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_VARS.fd")),
)

#: Enough for a kernel's initramfs and two compilers side by side.
MEMORY_MIB = 2048

#: The machine's disk, and what the monitor calls it.
#: unsafe: the disk of a machine that is thrown away need not survive a power cut of this computer.
DISK = "file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap"
OVERLAY = "overlay"

#: A socket that QEMU listens on, without waiting for anybody.
SERVER = "server=on,wait=off"


def firmware() -> tuple[Path, Path]:
    """Return the firmware's code and the template of its variables. Raises LabError when neither is there."""
    for code, variables in FIRMWARE:
        if code.exists() and variables.exists():
            return code, variables
    raise LabError("The EFI firmware (package ovmf) is not installed here: `lab/system-packages vm` does it.")


def command(name: str, port: int, chosen: accelerator.Accelerator) -> list[str]:
    """Return QEMU's command line, to be run in the machine's directory.

    Its paths are relative to that: a socket's may have 108 characters at most, and a home's can be longer.
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
        # Resets a guest whose kernel stands still, where that kernel has the driver and somebody feeds it.
        *["-device", "i6300esb"],
        *["-chardev", f"socket,id=serial,path=console.sock,{SERVER},logfile=console.log,logappend=on"],
        *["-serial", "chardev:serial"],
        *["-chardev", f"socket,id=monitor,path=qmp.sock,{SERVER}", "-mon", "chardev=monitor,mode=control"],
        *["-fw_cfg", "name=opt/uring-lab/identity,file=identity.tar"],
    ]


def save(directory: Path, label: str, limit: float) -> None:
    """Save the running machine, memory and disk, under a label; an older one of that label is replaced.

    Raises LabError when QEMU cannot, or does not within `limit` seconds.
    """
    asyncio.run(_jobs(directory, ["snapshot-delete", "snapshot-save"], label, limit))


def load(directory: Path, label: str, limit: float) -> None:
    """Put the running machine back to a label.

    Raises LabError when there is none, or QEMU does not do it within `limit` seconds.
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
            # A machine that was stopped for a snapshot that does not exist stays so.
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
    """Run one job to its end. Raises LabError with QEMU's words when it fails."""
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
