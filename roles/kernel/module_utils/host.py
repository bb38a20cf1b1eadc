"""Read what a host's programs can do with a kernel, and what they ask of one."""

import glob
import os
import re
import tempfile

#: A Zstandard frame that unpacks to 1,024 NULs, an empty tar archive: the frame's head with the size (less
#: 256), and one last block that repeats one byte (RFC 8878).
_EMPTY_TAR = b"\x28\xb5\x2f\xfd" + b"\x60\x00\x03" + b"\x03\x20\x00" + b"\x00"
_EMPTY_TAR_SIZE = 1024

_EXTENSION = re.compile(r"\.ko(\.\w+)?$")


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def zstd_deb():
    """Return a deb, bytes, whose two members are packed by zstd and hold nothing."""
    deb = b"!<arch>\n"
    members = (("debian-binary", b"2.0\n"), ("control.tar.zst", _EMPTY_TAR), ("data.tar.zst", _EMPTY_TAR))
    for name, data in members:
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        deb += head.encode() + data + b"\n" * (len(data) % 2)
    return deb


def reads_zstd(run):
    """Return whether the host's dpkg unpacks debs that are packed by zstd, by having it unpack one.

    Its version says little: Debian's can since 1.21.18, Ubuntu's since a security update of 18.04's 1.19.0.5.

    Args:
        run: runs a command, given as a list, and returns its exit status, output and error output.

    """
    with tempfile.NamedTemporaryFile(suffix=".deb") as file:
        file.write(zstd_deb())
        file.flush()
        status, out, _err = run(["dpkg-deb", "--fsys-tarfile", file.name])
    return status == 0 and len(out) == _EMPTY_TAR_SIZE


def dkms(release, root="/"):
    """Return the modules that DKMS has built for a kernel.

    Args:
        release: the kernel's, as ``uname -r`` prints it.
        root: the root of the file system.

    Returns:
        A list of dicts with ``name`` and ``version`` of the source, and ``loaded``, a sorted list of those of
        its kernel modules that are loaded now.

    Source: dkms(8), which keeps /var/lib/dkms/NAME/VERSION/RELEASE/ARCHITECTURE/module/*.ko.

    """
    running = {line.split()[0] for line in _read(os.path.join(root, "proc/modules")).splitlines()}
    tree = os.path.join(root, "var/lib/dkms")
    found = []
    for folder in sorted(glob.glob(os.path.join(tree, "*", "*", glob.escape(release), "*", "module"))):
        name, version = os.path.relpath(folder, tree).split(os.sep)[:2]
        built = {_EXTENSION.sub("", file).replace("-", "_") for file in os.listdir(folder)}
        found.append({"name": name, "version": version, "loaded": sorted(built & running)})
    return found


def headers(root="/"):
    """Return the sorted releases that modules can be built for: /lib/modules/RELEASE/build is there."""
    found = glob.glob(os.path.join(root, "lib/modules/*/build"))
    return sorted(path.split(os.sep)[-2] for path in found if os.path.exists(path))


def manager(run):
    """Return what systemd is and how long it took to bring the host up.

    Args:
        run: runs a command, given as a list, and returns its exit status, output and error output.

    Returns:
        A pair of systemd's version, an integer, and the seconds from power-on to the end of the last boot;
        what firmware and boot loader took is included where they have told it. 0 for what is not known: no
        systemd, or a boot that has not ended yet.

    Source: org.freedesktop.systemd1(5). Microseconds after the kernel's start; those of firmware and loader
    before it.

    """
    names = ("Version", "FinishTimestampMonotonic", "FirmwareTimestampMonotonic", "LoaderTimestampMonotonic")
    out = run(["systemctl", "show", *(f"--property={name}" for name in names)])[1]
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    version, finish, firmware, loader = (
        int((re.findall(r"\d+", found.get(name, "")) or ["0"])[0]) for name in names
    )
    return version, round((finish + max(firmware, loader)) / 1e6, 1) if finish else 0
