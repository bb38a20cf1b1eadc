"""The release that a Linux image calls itself, written over in the compressed kernel inside it.

`uname -r` prints a field of a structure in the kernel's data. The release stands in two more kinds of places,
which stay as they are: the first line of the boot, and the "vermagic" that modules are held to, so that the
modules of the kernel as it was built still load.
"""

import lzma
import struct

from lab.errors import LabError

# Fields of the setup header, Documentation/arch/x86/boot.rst of Linux.
_SETUP_SECTORS = 0x1F1
_MAGIC = 0x202
_PAYLOAD = 0x248
_SECTOR = 512

#: Bytes of a field of `struct new_utsname` (include/uapi/linux/utsname.h), the closing NUL among them.
_FIELD = 65

#: What the kernel's decoder knows (scripts/xz_wrap.sh), with more effort: the result must not be longer.
_FILTERS = [
    {"id": lzma.FILTER_X86},
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 32 << 20},
]


def rename(image: bytes, release: str) -> bytes:
    """Return a bzImage that calls itself `release`, of the same length and otherwise the same.

    Raises LabError when this is no bzImage compressed by xz, or the changed kernel, compressed, is longer.
    """
    start, size = _payload(image)
    # Behind the stream stands the length of what is in it, in four bytes, for the code that unpacks it.
    packed, length = image[start : start + size - 4], image[start + size - 4 : start + size]
    try:
        kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed)
    except lzma.LZMAError as error:
        raise LabError(f"The bzImage's kernel is damaged, or not compressed by xz: {error}.") from error
    if len(kernel) != int.from_bytes(length, "little"):
        raise LabError(f"The bzImage's kernel has {len(kernel)} bytes, not those it speaks of.")
    renamed = _pack(_rename(kernel, release))
    if len(renamed) > len(packed):
        raise LabError(f"The kernel under its new name is {len(renamed) - len(packed)} bytes too long.")
    return image[:start] + renamed.ljust(len(packed), b"\0") + image[start + len(packed) :]


def _payload(image: bytes) -> tuple[int, int]:
    """Return where the compressed kernel begins, and its length."""
    if image[_MAGIC : _MAGIC + 4] != b"HdrS":
        raise LabError("This is no bzImage: the mark of its setup header is missing.")
    offset, size = struct.unpack_from("<II", image, _PAYLOAD)
    # 0 stands for 4, for the sake of very old boot loaders.
    start = ((image[_SETUP_SECTORS] or 4) + 1) * _SECTOR + offset
    if size <= len(b"size") or start + size > len(image):
        raise LabError("The bzImage is cut short: its kernel does not lie within it.")
    return start, size


def _pack(kernel: bytes) -> bytes:
    return lzma.compress(kernel, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=_FILTERS)


def _rename(kernel: bytes, release: str) -> bytes:
    """Write a release over that of every `struct new_utsname` of an unpacked kernel."""
    name = release.encode()
    if not 0 < len(name) < _FIELD:
        raise LabError(f"{release!r} cannot be a release: it has {len(name)} bytes, not 1 to {_FIELD - 1}.")
    mark = b"Linux".ljust(_FIELD, b"\0") + b"(none)".ljust(_FIELD, b"\0")
    # More than one: of init/version.c's two, the linker takes the second.
    head, *rest = kernel.split(mark)
    if not rest:
        raise LabError("The kernel holds no name of itself where it was looked for.")
    return mark.join([head, *(name.ljust(_FIELD, b"\0") + piece[_FIELD:] for piece in rest)])
