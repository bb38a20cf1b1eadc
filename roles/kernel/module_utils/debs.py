"""Read kernel debs: what they are, what they hold, and whether they are whole."""

import hashlib
import os
import re
import subprocess
import tarfile

#: What is installed out of a folder of kernel debs. Headers need a compiler of the right age, symbols a disk.
WANTED = re.compile(r"^linux-(image|modules)-(?!.*-dbg$)")

_CONFIG = re.compile(r"^\.?/?boot/config-[^/]+$")
_VMLINUZ = re.compile(r"^\.?/?boot/vmlinu[xz]-([^/]+)$")


class DebError(Exception):
    """A deb that cannot be used; the text says why."""


def fields(path):
    """Return package, version and architecture of a deb.

    Args:
        path: the file.

    Returns:
        A dict with the keys ``package``, ``version`` and ``architecture``.

    Raises:
        DebError: dpkg-deb cannot read the control part.

    """
    run = subprocess.Popen(
        ["dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    out, err = run.communicate()
    if run.returncode or len(out.split()) != 3:
        raise DebError(f"{os.path.basename(path)} is damaged or not a deb: {err.strip()}")
    return dict(zip(("package", "version", "architecture"), out.split()))


def release(names):
    """Return the kernel release that file names speak of, or None.

    Args:
        names: an iterable of paths inside a deb.

    Returns:
        ``6.12.9-amd64`` for ``./boot/vmlinuz-6.12.9-amd64``: the name that ``uname -r`` will print.

    """
    for name in names:
        match = _VMLINUZ.match(name)
        if match:
            return match.group(1)
    return None


def content(path):
    """Unpack a deb's data to nowhere, and return its files and whether its kernel is built with io_uring.

    All of it is unpacked: a deb that was cut short or changed shows that nowhere but in its compressed data.

    Args:
        path: the file.

    Returns:
        A dict from names such as ``./boot/vmlinuz-6.12.9-amd64`` to sizes in bytes; and a boolean, or None
        without a ``/boot/config-*``.

    Raises:
        DebError: the data is damaged.

    """
    io_uring = None
    run = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        with tarfile.open(fileobj=run.stdout, mode="r|") as tar:
            sizes = {}
            for member in tar:
                sizes[member.name] = member.size
                if member.isfile() and _CONFIG.match(member.name):
                    io_uring = b"CONFIG_IO_URING=y" in tar.extractfile(member).read().splitlines()
        while run.stdout.read(1 << 16):  # the padding behind the last file
            pass
    except (tarfile.TarError, EOFError, OSError) as error:
        sizes = str(error)
    err = run.communicate()[1].decode("utf-8", "replace").strip()
    if run.returncode or not isinstance(sizes, dict):
        reason = err or (sizes if isinstance(sizes, str) else "dpkg-deb failed")
        raise DebError(f"{os.path.basename(path)} is damaged: {reason}")
    return sizes, io_uring


def is_zstd(path):
    """Tell whether a deb is packed by zstd, which an older dpkg cannot read.

    Args:
        path: a deb: an ar archive, whose members each have a header of 60 bytes that begins with the name
            and holds the size in decimal at 48, and which begin at even offsets (deb(5), ar(5)).

    """
    with open(path, "rb") as file:
        file.seek(8)
        while True:
            header = file.read(60)
            if len(header) < 60:
                return False
            if header[:16].rstrip(b" /").endswith(b".zst"):
                return True
            size = int(header[48:58])
            file.seek(size + size % 2, os.SEEK_CUR)


def sha256(path):
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def read_folder(folder, architecture, everything=False, names=None):
    """Read a folder of kernel debs and hold them to what an installation needs.

    Args:
        folder: where the debs are.
        architecture: that of the host, as dpkg names it.
        everything: take every deb; otherwise headers, debug symbols and other packages are passed over.
        names: the names of the files to read; otherwise all that end in ``.deb``.

    Returns:
        A dict: ``release``; ``debs``, a list of dicts with ``path``, ``package``, ``version`` and ``sha256``;
        ``size``, what they hold in ``boot`` and elsewhere (``root``) in MiB; ``zstd``, whether one needs it;
        ``io_uring``, whether the kernel is built with it, or None where its configuration is in none of them.

    Raises:
        DebError: no folder, no kernel or two of them, a damaged deb, or one for another architecture. The
            message names all of them.

    """
    if not os.path.isdir(folder):
        raise DebError(f"{folder} is not a folder")
    debs, releases, problems = [], set(), []
    size, zstd, io_uring = {"boot": 0, "root": 0}, False, None
    for name in sorted(names or os.listdir(folder)):
        if not name.endswith(".deb"):
            continue
        path = os.path.join(folder, name)
        try:
            deb = fields(path)
            if not everything and not WANTED.match(deb["package"]):
                continue
            if deb["architecture"] not in (architecture, "all"):
                problems.append(f"{name} is for {deb['architecture']}, the host is {architecture}")
                continue
            files, has_io_uring = content(path)
        except DebError as error:
            problems.append(str(error))
            continue
        releases.add(release(files))
        for file, count in files.items():
            size["boot" if file.lstrip("./").startswith("boot/") else "root"] += count
        zstd = zstd or is_zstd(path)
        io_uring = io_uring if has_io_uring is None else has_io_uring
        deb.pop("architecture")
        debs.append(dict(deb, path=path, sha256=sha256(path)))
    releases.discard(None)
    if not problems and not releases:
        problems.append(f"{folder} holds no kernel image (a linux-image deb with /boot/vmlinuz-*)")
    if len(releases) > 1:
        found = ", ".join(sorted(releases))
        problems.append(f"{folder} holds {len(releases)} kernels, {found}: leave one")
    if problems:
        raise DebError("; ".join(problems))
    mib = {part: -(-count // (1 << 20)) for part, count in size.items()}
    return {"release": releases.pop(), "debs": debs, "size": mib, "zstd": zstd, "io_uring": io_uring}
