"""What a host in order answers."""

from tests.unit.kernel.hosts import SOUND

HOST = {
    "id": "debian",
    "name": "Debian GNU/Linux 12 (bookworm)",
    "version": "12",
    "codename": "bookworm",
    "machine": "x86_64",
    "architecture": "amd64",
    "kernel": SOUND["running"],
    "user": "me",
    "sudo": "yes",
    "python": "3.11.2",
    "init": "systemd",
    "container": "none",
    "virtualization": "kvm",
    "free_root": "9000",
    "free_var": "9000",
    "upgrade": "",
    "io_uring_disabled": "0",
    "io_uring_disabled_by": "",
    "io_uring_built": "",
}
BULLSEYE = {"name": "Debian GNU/Linux 11 (bullseye)", "version": "11", "codename": "bullseye"}
