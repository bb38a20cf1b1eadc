"""Images: a root as a tar, for both kinds of machine, and a disk made from it, for virtual machines.

An image is cached under a hash of its inputs. The archive's package versions are not among them: updating the
host is a step of the provisioning.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lab import archive, disk, lock, paths
from lab import scratch as temporary
from lab.progress import phase
from lab.tool import need, run

CUSTOMIZE = Path(__file__).with_name("customize.sh")

#: Raise it when a change here or in disk.py makes a different image from the same inputs.
FORMAT = 3

#: What a host has to begin with: a minimal server, and what Ansible needs.
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "udev",
    "openssh-server",
    "sudo",
    "python3",
    "python3-apt",
    "ca-certificates",
    "iproute2",
    "e2fsprogs",
    "grub-efi-amd64",
    "initramfs-tools",
    "zstd",
    "lz4",
)


def root(suite: archive.Suite) -> Path:
    """Return a release's root as a tar, built if missing. Raises LabError when that fails."""
    return _cached(suite, "root.tar", lambda directory: _build_root(suite, directory))


def disk_image(suite: archive.Suite) -> Path:
    """Return a release's bootable disk, built if missing. Raises LabError when that fails."""
    root_tar = root(suite)
    return _cached(suite, "disk.raw", lambda directory: _build_disk(suite, root_tar, directory))


def key(suite: archive.Suite, sources: list[str]) -> str:
    """Return a hash of an image's inputs."""
    inputs = {
        "format": FORMAT,
        "suite": suite.name,
        "kernel": suite.kernel,
        "sources": sources,
        "packages": PACKAGES,
        "scripts": [script.read_text() for script in (CUSTOMIZE, disk.SCRIPT)],
        "mebibytes": [disk.ESP_MIB, disk.ROOT_MIB],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _cached(suite: archive.Suite, name: str, build: Callable[[Path], None]) -> Path:
    """Return a file of an image, built in a temporary directory and then renamed, so that it is complete."""
    sources = archive.sources(suite, archive.trusted_targets())
    image = paths.cache() / "images" / f"{suite.name}-{key(suite, sources)}"
    wanted = image / name
    if wanted.exists():
        return wanted
    partial = image / f"{name}.partial"
    with lock.held(partial):
        try:
            # The previous holder of the lock may have built it, or been killed and left a part of it.
            if not wanted.exists():
                _empty(partial)
                build(partial)
                (partial / name).rename(wanted)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return wanted


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()


def _build_root(suite: archive.Suite, directory: Path) -> None:
    sources = archive.sources(suite, archive.trusted_targets())
    settings = directory / "apt.conf"
    settings.write_text(archive.apt_settings("127.0.0.1"))
    what = f"building the root of {suite.name} from {sources[0].split()[2]}"
    with temporary.directory() as scratch, phase(what) as note:
        run(
            [
                *_bootstrap(),
                "--variant=apt",
                "--format=tar",
                f"--include={','.join([*PACKAGES, suite.kernel])}",
                f"--aptopt={settings}",
                f"--customize-hook={CUSTOMIZE.read_text()}",
                suite.name,
                str(directory / "root.tar"),
                *sources,
            ],
            note=note,
            scratch=scratch,
        )
    settings.unlink()


def _bootstrap() -> list[str]:
    """Return the mmdebstrap command: in a user namespace, or as root in a mount namespace of its own."""
    if os.geteuid() == 0:
        return [need("unshare"), "--mount", need("mmdebstrap"), "--mode=root"]
    return [need("mmdebstrap"), "--mode=unshare"]


def _build_disk(suite: archive.Suite, root_tar: Path, directory: Path) -> None:
    with phase(f"making a disk from the root of {suite.name}"):
        disk.build(root_tar, directory, suite.distribution)
