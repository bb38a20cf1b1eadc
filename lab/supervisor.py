"""Supervises one container: boots it, gives it a network, boots it again when it reboots. Runs as root.

A program of its own, without the rest of the package: started by root's Python, it takes what is in this file
and the standard library. It puts itself into the background once its number is in `supervisor.pid`.

Everything of the container lives in namespaces whose first process dies with the supervisor: however
that ends, the kernel removes processes, mounts and network. Only the control groups are left to be tidied up.

Arguments: the container's name, its directory, the port of the loopback address that leads to its ssh.
"""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: How systemd-nspawn --keep-unit ends when the container wants to be booted again.
REBOOT = 133
#: The address that slirp4netns gives a container.
ADDRESS = "10.0.2.100"
#: Seconds for the network's helper to get ready.
PATIENCE = 10
#: Kills a child when its parent dies.
TIED = ("setpriv", "--pdeathsig", "KILL", "--")
#: What nspawn withholds that a host has: io_uring, which its filter of system calls does not know on older
#: releases, and its own network's administration, which sandboxes with a network of their own need.
RIGHTS = (
    "--system-call-filter=io_uring_setup io_uring_enter io_uring_register",
    "--capability=CAP_NET_ADMIN",
)

#: The signals that told us to end.
asked_to_end: list[int] = []


def main() -> None:
    """Keep the container until it powers off or we are told to end."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    name, directory, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if os.fork():
        _wait_until((directory / "supervisor.pid").exists)
        return
    os.setsid()
    os.chdir(directory)
    _redirect(directory / "console.log")
    # A mark, which every wait looks at: an exception could come in the midst of starting a process.
    signal.signal(signal.SIGTERM, lambda number, frame: asked_to_end.append(number))
    groups = _join_groups(name)
    try:
        _publish(directory / "supervisor.pid")
        while _boot(name, port) == REBOOT:
            print("lab: the container reboots", flush=True)
    finally:
        _remove_groups(groups)


def _redirect(log: Path) -> None:
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
        file = os.open("/dev/null" if descriptor == 0 else log, flags, 0o644)
        os.dup2(file, descriptor)
        os.close(file)
    os.dup2(1, 2)


def _publish(pid_file: Path) -> None:
    new = pid_file.with_suffix(".new")
    new.write_text(f"{os.getpid()}\n")
    new.rename(pid_file)


def _boot(name: str, port: int) -> int:
    """Boot the container once, and return the status that systemd-nspawn ends with."""
    command = [
        *TIED,
        *["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
        *["systemd-nspawn", "--quiet", "--directory=root", f"--machine={name}", f"--hostname={name}"],
        # Neither systemd nor systemd-machined need run on this computer.
        *["--register=no", "--keep-unit", "--settings=no"],
        *["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"],
        *RIGHTS,
        "--boot",
    ]
    # The unified hierarchy whatever this computer has: newer releases refuse to boot under the old one.
    environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    guest = subprocess.Popen(command, env=environment)
    network = None
    try:
        ours = Path("/proc/self/ns/net").readlink()
        theirs = Path(f"/proc/{guest.pid}/ns/net")
        _wait_until(lambda: guest.poll() is not None or theirs.readlink() != ours)
        network = _connect(guest.pid, port)
        _wait_until(lambda: guest.poll() is not None, patience=math.inf)
        return guest.returncode
    finally:
        for child in (guest, network):
            if child:
                child.kill()
                child.wait()


def _connect(pid: int, port: int) -> subprocess.Popen:
    """Give a process's network namespace a way out, and its port 22 a way in from this computer."""
    api = Path("slirp.sock")
    api.unlink(missing_ok=True)
    command = [*TIED, "slirp4netns", "--configure", "--mtu=65520", "--api-socket", str(api), str(pid), "eth0"]
    network = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_until(lambda: api.exists() or network.poll() is not None)
    forward = {"proto": "tcp", "host_addr": "127.0.0.1", "host_port": port}
    forward |= {"guest_addr": ADDRESS, "guest_port": 22}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(api))
        connection.sendall(json.dumps({"execute": "add_hostfwd", "arguments": forward}).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = json.loads(connection.recv(4096))
    if "error" in answer:
        raise SystemExit(f"slirp4netns cannot lead port {port} to the container: {answer['error']}")
    return network


def _join_groups(name: str) -> list[Path]:
    """Move into control groups of our own, in every hierarchy where the container makes some."""
    top = Path("/sys/fs/cgroup")
    candidates = [top, top / "systemd", top / "unified"]
    groups = [parent / f"uring-lab-{name}" for parent in candidates if (parent / "cgroup.procs").exists()]
    for group in groups:
        group.mkdir(exist_ok=True)
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
    return groups


def _remove_groups(groups: list[Path]) -> None:
    """Leave our control groups and remove them; what has just been killed may hold them a moment longer."""
    for group in groups:
        (group.parent / "cgroup.procs").write_text(f"{os.getpid()}\n")
        until = time.monotonic() + PATIENCE
        while not _removed(group) and time.monotonic() < until:
            time.sleep(0.02)


def _removed(group: Path) -> bool:
    for below, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(below).rmdir()
    return not group.exists()


def _wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for something. Raises SystemExit when it does not come, or we are asked to end meanwhile."""
    until = time.monotonic() + patience
    while not condition():
        if asked_to_end:
            raise SystemExit(0)
        if time.monotonic() > until:
            raise SystemExit(f"the container's supervisor waited {patience} s for nothing")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
