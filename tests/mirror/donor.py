"""Debian's own kernel, from the archive that this computer trusts, with the few modules a lab host needs."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lab import archive, lock, paths
from lab.errors import LabError
from lab.progress import phase
from lab.tool import run

#: Its kernel is compressed by xz and its modules are not, whatever this computer's own release does.
SUITE = "bookworm"

#: Not the cloud flavour, which has no driver of the watchdog that the lab's machines have (lab/qemu.py).
METAPACKAGE = "linux-image-amd64"

#: What a lab's machine needs to boot, to be reached, and to run a sandboxed service.
MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "qemu_fw_cfg", "button", "i6300esb"),
    *("ext4", "crc32c_generic", "crc32c_intel", "vfat", "nls_ascii", "nls_cp437", "nls_utf8"),
    *("autofs4", "binfmt_misc", "configfs", "efivarfs", "efi_pstore", "fuse", "loop", "dm_mod", "overlay", "ip_tables"),
)

#: To be raised when the code here begins to make something else.
FORMAT = 2

_DEPENDS = re.compile(rb"\0depends=([\w,-]+)\0")


def fetch() -> Path:
    """Return a folder with `vmlinuz`, `config`, `System.map`, and `modules` as below /lib/modules/RELEASE.

    What is not in the cache is downloaded by apt and verified by its keys, with lists of packages of its own:
    it needs no root, and this computer's lists stay as they are. Raises LabError when that fails.
    """
    folder = paths.cache() / "mirror" / f"donor-{FORMAT}"
    partial = folder.with_suffix(".partial")
    with lock.held(partial):
        try:
            if not folder.exists():
                what = f"getting a kernel to rename, {METAPACKAGE} of {SUITE}"
                with phase(what), tempfile.TemporaryDirectory() as work:
                    _unpack(_download(Path(work)), partial)
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _download(work: Path) -> Path:
    """Download the kernel's deb and return where it is: the unsigned one, since it is going to be changed."""
    (work / "lists").mkdir()
    sources = archive.sources(archive.suite(SUITE), archive.trusted_targets())
    (work / "sources.list").write_text("\n".join(sources) + "\n")
    settings = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work,
        "APT::Sandbox::User": "root",
    }
    options = [f"--option={name}={value}" for name, value in settings.items()]
    run(["apt-get", "update", "--error-on=any", *options])
    ask = ["apt-cache", "depends", "--important", *options, METAPACKAGE]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
    found = re.search(r"Depends: (linux-image-\S+)", answer.stdout)
    if found is None:
        raise LabError(f"The archive of {SUITE} has no {METAPACKAGE} to rename: {answer.stderr.strip()}")
    # apt downloads into the working directory.
    run(["env", f"--chdir={work}", "apt-get", "download", *options, f"{found[1]}-unsigned"])
    return next(work.glob("*.deb"))


def _unpack(deb: Path, folder: Path) -> None:
    """Put the parts of a kernel's deb that are needed into a folder."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        run(["dpkg-deb", "--extract", str(deb), str(tree)])
        for part in ("vmlinuz", "config", "System.map"):
            shutil.copy(next(tree.glob(f"boot/{part}-*")), folder / part)
        (source,) = tree.glob("lib/modules/*")
        for path in (*source.glob("modules.*"), *closure(source, MODULES)):
            target = folder / "modules" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def closure(tree: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of modules below a folder, and of all that these depend on.

    Raises LabError when there is no module of a name.
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
