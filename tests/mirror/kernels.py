"""Bootable kernels, as debs with the names of the mainline archive.

They are not built from mainline's sources: they are Debian's kernel (donor.py) with another release
(bzimage.py), a few dozen modules, so that an emulated machine installs them fast, and empty headers. So they
test the installation of such packages and their boot, not the behaviour of a Linux version.
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
    """The properties of a kind of kernel."""

    #: Missing modules, by their file names.
    lacks: tuple[str, ...] = ()
    #: Whether its installation makes an initramfs.
    initramfs: bool = True
    #: Whether it includes a service that makes the machine hang after the boot.
    hangs: bool = False
    #: Additional dependencies of its headers, which cannot be satisfied.
    headers_need: tuple[str, ...] = ()


VARIANTS = {
    "good": Variant(),
    # Without an initramfs it finds no root: the kernel panics within seconds.
    "panic": Variant(initramfs=False),
    # Its initramfs waits for a disk for which it has no driver.
    "no-disk": Variant(lacks=("virtio_blk",)),
    # It boots, but cannot be reached.
    "no-network": Variant(lacks=("virtio_net",)),
    # A service occupies all processors at the highest priority. Only a hardware watchdog helps.
    "hangs": Variant(hangs=True),
    # Like mainline's headers from 4.17 to about 5.14 on a release with OpenSSL 3.
    "headers-unmet": Variant(headers_need=("libssl1.1 (>= 1.1.0)",)),
}


def build(
    directory: Path, version: str, stamp: str = STAMP, variant: str = "good", *, headers: bool = True
) -> list[Path]:
    """Make the debs of a mainline build in a directory and return their paths.

    Args:
        directory: where they are put, made if missing.
        version: the name of the archive's directory without the v: "5.6", "5.6.19", "6.10-rc3". The debs are
            split as since 4.16.4, with the modules in a separate one.
        stamp: the time of the build, as in the file names: "202003292333".
        variant: one of VARIANTS.
        headers: whether to make the two headers packages.

    Raises:
        LabError: Debian's kernel cannot be downloaded or changed.

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
        """Make a deb from a tree of files, maintainer scripts by name, and fields for `control`."""
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
    """Return an image with this release from the cache; making it takes 20 seconds."""
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
    """Add a service that makes the machine hang, only with this kernel."""
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
    """Make the common headers and those of the flavour, both empty."""
    common, own = f"linux-headers-{name}", f"linux-headers-{name}-generic"
    needs = ", ".join((common, "libc6 (>= 2.14)", *kind.headers_need))
    return [
        minimal_deb(
            make.directory, common, make.version, "all", "", {f"usr/src/{common}/Makefile": "all:\n"}
        ),
        minimal_deb(make.directory, own, make.version, "amd64", needs, {f"usr/src/{own}/Makefile": "all:\n"}),
    ]
