"""Supervises one container: boots it, gives it a network, boots it again when it reboots. Runs as root.

A separate program that uses only the standard library, not the rest of the package, because root runs it. It
daemonizes, and its starter returns once its pid is in `supervisor.pid`.

Everything of the container is in namespaces whose first process dies with the supervisor: however that ends,
the kernel removes processes, mounts and network. Only the control groups have to be removed.

Arguments: the container's name, its directory, the port of the loopback address that is forwarded to its ssh.
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

#: Exit status of systemd-nspawn --keep-unit when the container asks for a reboot.
REBOOT = 133
#: The address that slirp4netns gives a container.
ADDRESS = "10.0.2.100"
#: Seconds that slirp4netns has to get ready.
PATIENCE = 10
#: Kills a child when its parent dies.
TIED = ("setpriv", "--pdeathsig", "KILL", "--")
#: What nspawn withholds by default: io_uring, which the system call filter of older releases does not know,
#: and CAP_NET_ADMIN, which sandboxes with PrivateNetwork= need.
RIGHTS = (
    "--system-call-filter=io_uring_setup io_uring_enter io_uring_register",
    "--capability=CAP_NET_ADMIN",
)

#: Filled by the handler of SIGTERM.
asked_to_end: list[int] = []


def main() -> None:
    """Run the container until it powers off or SIGTERM arrives."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    name, directory, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if os.fork():
        _wait_until((directory / "supervisor.pid").exists)
        return
    os.setsid()
    os.chdir(directory)
    _redirect(directory / "console.log")
    # The handler only records the signal, and every wait checks it: an exception could come while a process
    # is being started.
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
    """Boot the container once and return systemd-nspawn's exit status."""
    command = [
        *TIED,
        *["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
        *["systemd-nspawn", "--quiet", "--directory=root", f"--machine={name}", f"--hostname={name}"],
        # Works without systemd and systemd-machined on this computer.
        *["--register=no", "--keep-unit", "--settings=no"],
        *["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"],
        *RIGHTS,
        "--boot",
    ]
    # cgroup v2 whatever this computer has: newer releases refuse to boot with v1.
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
    """Give a process's network namespace a way out, and forward `port` of this computer to its port 22."""
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
        raise SystemExit(f"slirp4netns cannot forward port {port} to the container: {answer['error']}")
    return network


def _join_groups(name: str) -> list[Path]:
    """Move into a control group of our own in every hierarchy that the container uses."""
    top = Path("/sys/fs/cgroup")
    candidates = [top, top / "systemd", top / "unified"]
    groups = [parent / f"uring-lab-{name}" for parent in candidates if (parent / "cgroup.procs").exists()]
    for group in groups:
        group.mkdir(exist_ok=True)
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
    return groups


def _remove_groups(groups: list[Path]) -> None:
    """Leave our control groups and remove them; processes just killed may occupy them a moment longer."""
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
    """Wait until `condition` holds. Raises SystemExit when it takes too long or SIGTERM arrives."""
    until = time.monotonic() + patience
    while not condition():
        if asked_to_end:
            raise SystemExit(0)
        if time.monotonic() > until:
            raise SystemExit(f"the container's supervisor waited {patience} s in vain")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
