"""Access to a machine: the files that ssh and Ansible read, and the check whether ssh answers."""

import socket
import subprocess
from pathlib import Path

import yaml

ADDRESS = "127.0.0.1"
USER = "lab"

#: Seconds for one command by ssh: an emulated guest under load needs about five for a login.
PATIENCE = 30


def free_port(preferred: int = 0) -> int:
    """Return a free port of the loopback address, the preferred one if it is free."""
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

    Only the host key that the lab made for this machine is accepted.
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
        # No connection waits forever for a machine that hangs, and open ones end soon after their machine.
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
        # The kernel step shows its end when a boot failed.
        "kernel_console_log": str(directory / "console.log"),
    }
    inventory = {"all": {"hosts": {name: host}}}
    (directory / "inventory.yml").write_text(yaml.safe_dump(inventory, sort_keys=False, width=1000))


def ssh(directory: Path, name: str, *arguments: str) -> list[str]:
    """Return the command that logs in to a machine, or runs `arguments` there."""
    return ["ssh", "-F", str(directory / "ssh_config"), name, *arguments]


def answers(directory: Path, name: str, port: int) -> bool:
    """Return whether a command can be run on the machine by ssh. Takes at most half a minute."""
    # The cheap check first: read sshd's banner. A connection alone proves nothing, because the user-mode
    # network accepts it before the guest does.
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
        # A guest that goes down now does not close the connection, and ssh would go on waiting.
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0
