"""The way in: the files that ssh and Ansible take, and the wait until somebody answers."""

import socket
import subprocess
from pathlib import Path

import yaml

ADDRESS = "127.0.0.1"
USER = "lab"

#: Seconds for one command by ssh: an emulated guest under load needs about five to log somebody in.
PATIENCE = 30


def free_port(preferred: int = 0) -> int:
    """Return a port of the loopback address that nobody listens on: the preferred one where possible."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OSError("no free port on the loopback address")


def write(directory: Path, name: str, port: int) -> None:
    """Write known_hosts, ssh_config and inventory.yml for a machine that answers on a port of this computer.

    The one host key that is accepted is the one that the lab made for this machine.
    """
    key_type, key = (directory / "host_key.pub").read_text().split()[:2]
    (directory / "known_hosts").write_text(f"[{ADDRESS}]:{port} {key_type} {key}\n")
    options = {
        "UserKnownHostsFile": f'"{directory / "known_hosts"}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
    }
    alias = {
        "HostName": ADDRESS,
        "Port": port,
        "User": USER,
        "IdentityFile": f'"{directory / "id_ed25519"}"',
        "PasswordAuthentication": "no",
        # So that none is waited for where a machine stands still, and one ends some time after its machine.
        "ConnectTimeout": PATIENCE,
        "ServerAliveInterval": 15,
        "ServerAliveCountMax": 8,
        **options,
    }
    lines = [f"Host {name}", *(f"    {option} {value}" for option, value in alias.items())]
    (directory / "ssh_config").write_text("\n".join(lines) + "\n")
    host = {
        "ansible_host": ADDRESS,
        "ansible_port": port,
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(directory / "id_ed25519"),
        "ansible_ssh_common_args": " ".join(f"-o '{option}={value}'" for option, value in options.items()),
        # What the kernel step shows of a boot that failed.
        "kernel_console_log": str(directory / "console.log"),
    }
    inventory = {"all": {"hosts": {name: host}}}
    (directory / "inventory.yml").write_text(yaml.safe_dump(inventory, sort_keys=False, width=1000))


def ssh(directory: Path, name: str, *arguments: str) -> list[str]:
    """Return the command that enters a machine, or runs something there."""
    return ["ssh", "-F", str(directory / "ssh_config"), name, *arguments]


def answers(directory: Path, name: str, port: int) -> bool:
    """Return whether a command can be run on the machine by ssh. Takes half a minute at most."""
    # The user-mode network accepts a connection before the guest does. The cheap question first.
    try:
        with socket.create_connection((ADDRESS, port), timeout=2) as connection:
            connection.settimeout(5)
            if not connection.recv(16).startswith(b"SSH-"):
                return False
    except OSError:
        return False
    command = ssh(directory, name, "true")
    command[1:1] = ["-o", "BatchMode=yes"]
    try:
        # A guest that goes down meanwhile says no goodbye, and ssh would wait for one.
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0
