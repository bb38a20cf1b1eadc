"""Kernels that really boot, as debs under the names of the mainline archive.

What they are not: built from mainline's sources. The code is that of Debian's kernel (donor.py), which calls
itself by another release (bzimage.py). Its modules are a few dozen, so that an emulated machine installs them
soon; the headers hold nothing to build against. So they show what an installer does with such packages and
what comes up of it, and nothing of how some version of Linux behaves.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab import lock
from lab.progress import phase
from tests.mirror import bzimage, donor
from tests.mirror.minimal_debs import STAMP, base, minimal_deb

SCRIPTS = Path(__file__).with_name("scripts")


@dataclass(frozen=True)
class Variant:
    """What is peculiar to a kind of kernel."""

    #: Modules, by their files' names, that it lacks.
    lacks: tuple[str, ...] = ()
    #: Whether its installation makes an initramfs.
    initramfs: bool = True
    #: Whether it brings a service that stands still once the machine is up.
    hangs: bool = False
    #: What its headers need besides; nothing provides it.
    headers_need: tuple[str, ...] = ()


VARIANTS = {
    "good": Variant(),
    # Finds no root, and nobody to ask for one: the kernel itself panics, within seconds.
    "panic": Variant(initramfs=False),
    # Its initramfs waits for a disk that it has no driver of.
    "no-disk": Variant(lacks=("virtio_blk",)),
    # Comes up whole, and nobody can reach it.
    "no-network": Variant(lacks=("virtio_net",)),
    # Played by a service: processors at the highest priority, for ever. Only a hardware watchdog helps.
    "hangs": Variant(hangs=True),
    # As mainline's headers from 4.17 to about 5.14 on a release that has gone over to OpenSSL 3.
    "headers-unmet": Variant(headers_need=("libssl1.1 (>= 1.1.0)",)),
}


def build(
    directory: Path, version: str, stamp: str = STAMP, variant: str = "good", *, headers: bool = True
) -> list[Path]:
    """Make the debs of a mainline build in a directory and return their paths.

    Args:
        directory: where they are put, made if missing.
        version: as the archive's directory has it, without the v: "5.6", "5.6.19", "6.10-rc3". The debs are
            those of 4.16.4 and later, with the modules in one of their own.
        stamp: the time of the build, as in the names: "202003292333".
        variant: one of VARIANTS.
        headers: whether the two headers packages are among them.

    Raises:
        LabError: Debian's kernel cannot be had, or not be renamed.

    """
    directory.mkdir(parents=True, exist_ok=True)
    name = base(version)
    release = f"{name}-generic"
    kind = VARIANTS[variant]
    make = _Maker(directory, f"{name}.{stamp}")
    debs = [_image(make, release, kind), _modules(make, release, kind)]
    return debs + _headers(make, name, kind) if headers else debs


@dataclass
class _Maker:
    """Makes debs of one version in a directory."""

    directory: Path
    version: str

    def deb(self, package: str, tree: Path, scripts: dict[str, str], **fields: str) -> Path:
        """Make a deb out of a tree of files, with control files by name, and fields of `control` itself."""
        size = sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir())
        control = {
            "Package": package,
            "Source": "linux",
            "Version": self.version,
            "Architecture": "amd64",
            "Maintainer": "nobody <nobody@example.org>",
            "Installed-Size": str(size // 1024 + 1),
            "Section": "kernel",
            "Priority": "optional",
            **{key.replace("_", "-"): value for key, value in fields.items()},
            "Description": "a kernel for tests, Debian's under a mainline name",
        }
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()))
        for script, text in scripts.items():
            (tree / "DEBIAN" / script).write_text(text)
            (tree / "DEBIAN" / script).chmod(0o644 if script == "triggers" else 0o755)
        deb = self.directory / f"{package}_{self.version}_amd64.deb"
        build = ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", str(tree), str(deb)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        return deb


def _image(make: _Maker, release: str, kind: Variant) -> Path:
    scripts = {name: (SCRIPTS / f"image.{name}").read_text() for name in ("postinst", "prerm", "postrm")}
    scripts["triggers"] = f"interest linux-update-{release}\n"
    if not kind.initramfs:
        scripts["postinst"] = scripts["postinst"].replace("INITRD=Yes", "INITRD=No")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        (tree / "boot").mkdir()
        shutil.copy(_vmlinuz(release), tree / f"boot/vmlinuz-{release}")
        if kind.hangs:
            _add_hang(tree, release)
        return make.deb(
            f"linux-image-unsigned-{release}",
            tree,
            scripts,
            Depends=f"kmod, linux-base (>= 4.5ubuntu1~16.04.1), linux-modules-{release}",
            Recommends="grub-pc | grub-efi-amd64, initramfs-tools | linux-initramfs-tool",
            Suggests=f"linux-headers-{release}",
            Conflicts=f"linux-image-{release}",
            Provides="linux-image",
        )


def _vmlinuz(release: str) -> Path:
    """Return an image that calls itself so, made first where the cache has none: that takes 20 seconds."""
    source = donor.fetch()
    wanted = source / "renamed" / f"vmlinuz-{release}"
    with lock.held(source):
        if not wanted.exists():
            with phase(f"renaming a kernel to {release}"):
                wanted.parent.mkdir(exist_ok=True)
                partial = wanted.with_name(f"{wanted.name}.partial")
                partial.write_bytes(bzimage.rename((source / "vmlinuz").read_bytes(), release))
                partial.rename(wanted)
    return wanted


def _add_hang(tree: Path, release: str) -> None:
    """Add a service that stands still, under this kernel alone."""
    units = tree / "lib/systemd/system"
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True)
    unit = units / "uring-lab-hangs.service"
    unit.write_text((SCRIPTS / "hangs.service").read_text().replace("@release@", release))
    (wants / unit.name).symlink_to(f"../{unit.name}")


def _modules(make: _Maker, release: str, kind: Variant) -> Path:
    source = donor.fetch()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        (tree / "boot").mkdir()
        for part in ("config", "System.map"):
            shutil.copy(source / part, tree / f"boot/{part}-{release}")
        lacking = [f"{module}.ko" for module in kind.lacks]
        shutil.copytree(
            source / "modules", tree / f"lib/modules/{release}", ignore=shutil.ignore_patterns(*lacking)
        )
        scripts = {"postrm": (SCRIPTS / "modules.postrm").read_text()}
        return make.deb(f"linux-modules-{release}", tree, scripts)


def _headers(make: _Maker, name: str, kind: Variant) -> list[Path]:
    """Make the headers of all flavours and those of this one, with nothing to build against."""
    common, own = f"linux-headers-{name}", f"linux-headers-{name}-generic"
    needs = ", ".join((common, "libc6 (>= 2.14)", *kind.headers_need))
    return [
        minimal_deb(
            make.directory, common, make.version, "all", "", {f"usr/src/{common}/Makefile": "all:\n"}
        ),
        minimal_deb(make.directory, own, make.version, "amd64", needs, {f"usr/src/{own}/Makefile": "all:\n"}),
    ]
