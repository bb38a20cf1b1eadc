"""Debian's kernel, from the archive that this computer trusts, with the few modules a lab host needs."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from lab import lock, paths
from lab.errors import LabError
from lab.progress import phase
from tests.mirror import debian

#: A release whose kernel is compressed by xz and whose modules are not compressed.
SUITE = "bookworm"

#: Not the cloud flavour, which lacks the driver of the lab machines' watchdog (lab/qemu.py).
METAPACKAGE = "linux-image-amd64"

#: The modules that a lab machine needs for booting, networking and a sandboxed service.
MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "qemu_fw_cfg", "button", "i6300esb"),
    *("ext4", "crc32c_generic", "crc32c_intel", "vfat", "nls_ascii", "nls_cp437", "nls_utf8"),
    *(
        "autofs4",
        "binfmt_misc",
        "configfs",
        "efivarfs",
        "efi_pstore",
        "fuse",
        "loop",
        "dm_mod",
        "overlay",
        "ip_tables",
    ),
)

#: Raise it when a change here makes different files.
FORMAT = 2

_DEPENDS = re.compile(rb"\0depends=([\w,-]+)\0")


def fetch() -> Path:
    """Return a directory with `vmlinuz`, `config`, `System.map`, and `modules` as below /lib/modules/RELEASE.

    It is downloaded if it is not in the cache. Raises LabError when that fails.
    """
    directory = paths.cache() / "mirror" / f"donor-{FORMAT}"
    partial = directory.with_suffix(".partial")
    with lock.held(partial):
        try:
            if not directory.exists():
                what = f"getting a kernel to rename, {METAPACKAGE} of {SUITE}"
                with phase(what), debian.release(SUITE) as packages:
                    # The unsigned image, because it will be changed.
                    image = packages.stands_for(METAPACKAGE)
                    _take(packages.unpacked(f"{image}-unsigned"), partial)
                partial.rename(directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return directory


def _take(tree: Path, directory: Path) -> None:
    """Copy the needed parts of a kernel package into a directory."""
    for part in ("vmlinuz", "config", "System.map"):
        shutil.copy(next(tree.glob(f"boot/{part}-*")), directory / part)
    (source,) = tree.glob("lib/modules/*")
    for path in (*source.glob("modules.*"), *closure(source, MODULES)):
        target = directory / "modules" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def closure(tree: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of modules below a directory, and of their dependencies.

    Raises LabError when a module is missing.
    """
    available = {path.stem.replace("-", "_"): path for path in tree.glob("kernel/**/*.ko")}
    found: dict[str, Path] = {}
    todo = list(wanted)
    while todo:
        name = todo.pop().replace("-", "_")
        if name in found:
            continue
        if name not in available:
            raise LabError(f"The kernel has no module {name}, which a lab's machine needs.")
        found[name] = available[name]
        said = _DEPENDS.search(found[name].read_bytes())
        todo += said[1].decode().split(",") if said else []
    return sorted(found.values())
