"""QEMU: its command line, and its monitor."""

import asyncio
import os
import time
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


def firmware() -> tuple[Path, Path]:
    """Return the firmware's code and the template of its variables. Raises LabError when neither is there."""
    for code, variables in FIRMWARE:
        if code.exists() and variables.exists():
            return code, variables
    raise LabError("No EFI firmware (package ovmf) is installed: `lab/system-packages vm` installs what is missing.")


def command(name: str, port: int, chosen: accelerator.Accelerator) -> list[str]:
    """Return QEMU's command line, to be run in the machine's folder.

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
        # unsafe: the disk of a machine that is thrown away need not survive this computer's power cut.
        *["-drive", "if=none,id=disk,node-name=overlay,file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap"],
        *["-device", "virtio-blk-pci,drive=disk"],
        *["-netdev", f"user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:{port}-:22"],
        *["-device", "virtio-net-pci,netdev=net,romfile="],
        *["-device", "virtio-rng-pci"],
        # Resets a guest whose kernel stands still, where that kernel has the driver and somebody feeds it.
        *["-device", "i6300esb"],
        *["-chardev", "socket,id=serial,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on"],
        *["-serial", "chardev:serial"],
        *["-chardev", "socket,id=monitor,path=qmp.sock,server=on,wait=off", "-mon", "chardev=monitor,mode=control"],
        *["-fw_cfg", "name=opt/uring-lab/identity,file=identity.tar"],
    ]


def save(folder: Path, label: str, limit: float) -> None:
    """Save the running machine, memory and disk, under a label; an older one of that label is replaced."""
    asyncio.run(_jobs(folder, [("snapshot-delete", label), ("snapshot-save", label)], limit))


def load(folder: Path, label: str, limit: float) -> None:
    """Put the running machine back to a label. Raises LabError when there is none."""
    asyncio.run(_jobs(folder, [("snapshot-load", label)], limit))


def power_button(folder: Path) -> None:
    """Ask the guest to switch itself off."""
    asyncio.run(_execute(folder, "system_powerdown"))


def _address(folder: int) -> str:
    return f"/proc/self/fd/{folder}/qmp.sock"


async def _execute(folder: Path, verb: str) -> object:
    return await _with_monitor(folder, lambda client: client.execute(verb))


async def _with_monitor(folder: Path, action):  # noqa: ANN001, ANN202
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    client = QMPClient("uring-lab")
    try:
        await client.connect(_address(descriptor))
        try:
            return await action(client)
        finally:
            await client.disconnect()
    except QMPError as error:
        raise LabError(f"QEMU's monitor in {folder} does not answer: {error}") from error
    finally:
        os.close(descriptor)


async def _jobs(folder: Path, jobs: list[tuple[str, str]], limit: float) -> None:
    async def action(client: QMPClient) -> None:
        for verb, label in jobs:
            await _job(client, verb, label, limit)
        # After loading, QEMU leaves the machine stopped if it was so.
        await client.execute("cont")

    await _with_monitor(folder, action)


async def _job(client: QMPClient, verb: str, label: str, limit: float) -> None:
    """Run one job of the monitor to its end. Raises LabError with QEMU's words when it fails."""
    job = f"{verb}-{uuid.uuid4().hex[:8]}"
    arguments: dict[str, object] = {"job-id": job, "tag": label, "devices": ["overlay"]}
    if verb != "snapshot-delete":
        arguments["vmstate"] = "overlay"
    try:
        await client.execute(verb, arguments)
    except ExecuteError as error:
        raise LabError(f"QEMU cannot do {verb} (it takes version 6.0 or later): {error}") from error
    until = time.monotonic() + limit
    while True:
        state = next(entry for entry in await client.execute("query-jobs") if entry["id"] == job)
        if state["status"] == "concluded":
            break
        if time.monotonic() > until:
            raise LabError(f"{verb} {label} did not end within {limit:.0f} s.")
        await asyncio.sleep(0.1)
    await client.execute("job-dismiss", {"id": job})
    if "error" in state:
        raise LabError(f"{verb} {label}: {state['error']}")
