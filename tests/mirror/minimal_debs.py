"""Nearly empty debs, and complete builds of them, with the names of the mainline archive."""

import functools
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: The stamp of the archive's real v5.6.
STAMP = "202003292333"


def base(version: str) -> str:
    """Return the common part of a version's package names: `5.6.0-050600` for 5.6.

    It does not use the role's code, so that the tests check that.
    """
    numbers, _, rc = version.partition("-")
    major, minor, micro = (*(int(number) for number in numbers.split(".")), 0)[:3]
    return f"{major}.{minor}.{micro}-{major:02}{minor:02}{micro:02}{rc}"


def minimal_deb(
    directory: Path,
    package: str,
    version: str,
    architecture: str,
    depends: str = "",
    files: Mapping[str, str | bytes] | None = None,
) -> Path:
    """Make a nearly empty deb.

    Args:
        directory: where it is put, with the archive's file name.
        package: its name.
        version: its version.
        architecture: dpkg's name of it.
        depends: its Depends field.
        files: contents by path.

    Returns:
        Its path.

    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{package}_{version}_{architecture}.deb"
    path.write_bytes(_built(package, version, architecture, depends, tuple((files or {}).items())))
    return path


@functools.cache
def _built(
    package: str, version: str, architecture: str, depends: str, files: tuple[tuple[str, str | bytes], ...]
) -> bytes:
    """Return the bytes of a deb; cached, because many tests use the same."""
    with tempfile.TemporaryDirectory() as tree:
        control = Path(tree, "DEBIAN", "control")
        control.parent.mkdir()
        control.write_text(
            f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n"
            + (f"Depends: {depends}\n" if depends else "")
            + "Maintainer: nobody <nobody@example.org>\nDescription: made by a test\n"
        )
        for name, content in files:
            file = Path(tree, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        deb = Path(tree + ".deb")
        command = ["dpkg-deb", "--build", "-Zxz", "-z1", "--root-owner-group", tree, str(deb)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        try:
            return deb.read_bytes()
        finally:
            deb.unlink()


def minimal_build(
    directory: Path,
    version: str,
    stamp: str = STAMP,
    *,
    flavour: str = "generic",
    architecture: str = "amd64",
    image: str = "image-unsigned",
    modules: bool = True,
    headers: bool = True,
) -> list[Path]:
    """Make the debs of a build with the right names, but without a kernel.

    Args:
        directory: where they are put.
        version: such as `5.6` or `6.10-rc3`.
        stamp: the build's time stamp.
        flavour: such as `generic`.
        architecture: dpkg's name of it.
        image: `image-unsigned`, or `image` as before 4.16.4.
        modules: whether the modules are in a separate deb.
        headers: whether to make headers.

    Returns:
        Their paths.

    """
    name = base(version)
    release = f"{name}-{flavour}"
    boot = {f"boot/vmlinuz-{release}": "no kernel\n"}
    module = {f"lib/modules/{release}/kernel/none.ko": "no module\n"}
    debs = [(f"linux-{image}-{release}", architecture, "", boot if modules else boot | module)]
    if modules:
        debs.append((f"linux-modules-{release}", architecture, "", module))
    if headers:
        needs = f"linux-headers-{name}"
        debs.append((needs, "all", "", {f"usr/src/{needs}/Makefile": "all:\n"}))
        debs.append(
            (f"linux-headers-{release}", architecture, needs, {f"usr/src/{needs}-{flavour}/x": "x\n"})
        )
    return [minimal_deb(directory, package, f"{name}.{stamp}", *rest) for package, *rest in debs]
