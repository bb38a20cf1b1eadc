"""What turns an image into one machine: its name, host key, authorized user key, resolver and apt proxy."""

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

from lab.archive import apt_settings
from lab.tool import need

#: In a user-mode network (QEMU's, slirp4netns's): the addresses of this computer and of the resolver.
GATEWAY = "10.0.2.2"
RESOLVER = "10.0.2.3"

#: Uid and gid of the user `lab` in every image: the first that useradd gives.
LAB = 1000


def create(directory: Path, name: str) -> None:
    """Make the user's key pair, the host's key pair, and `identity.tar`, which is unpacked over the root.

    Leaves id_ed25519, id_ed25519.pub, host_key.pub and identity.tar in the directory.
    """
    user = _key_pair(directory / "id_ed25519", "uring-lab")
    with tempfile.TemporaryDirectory() as scratch:
        private = Path(scratch) / "key"
        host = _key_pair(private, name)
        files = {
            "etc/hostname": (f"{name}\n", 0o644, 0),
            "etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n", 0o644, 0),
            "etc/resolv.conf": (f"nameserver {RESOLVER}\n", 0o644, 0),
            "etc/apt/apt.conf.d/91uring-lab-controller": (apt_settings(GATEWAY), 0o644, 0),
            "etc/ssh/ssh_host_ed25519_key.pub": (host, 0o644, 0),
            "home/lab/.ssh/authorized_keys": (user, 0o600, LAB),
            # Last, because uring-lab-identity.service takes this file to mean that all were unpacked.
            "etc/ssh/ssh_host_ed25519_key": (private.read_text(), 0o600, 0),
        }
    (directory / "host_key.pub").write_text(host)
    tar = directory / "identity.tar"
    tar.touch(mode=0o600)
    with tarfile.open(tar, "w") as out:
        ssh_directory = tarfile.TarInfo("home/lab/.ssh")
        ssh_directory.type, ssh_directory.mode = tarfile.DIRTYPE, 0o700
        ssh_directory.uid, ssh_directory.gid = LAB, LAB
        out.addfile(ssh_directory)
        for path, (text, mode, owner) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.uid, entry.gid = len(text.encode()), mode, owner, owner
            out.addfile(entry, io.BytesIO(text.encode()))


def _key_pair(path: Path, comment: str) -> str:
    """Make a key pair without a passphrase and return the public key's line."""
    command = [need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_name(f"{path.name}.pub").read_text()
