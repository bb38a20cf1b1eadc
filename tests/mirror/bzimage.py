"""Changes the release of a Linux image (`uname -r`) within its compressed kernel.

`uname -r` prints a field of a structure in the kernel's data. Two other copies of the release stay unchanged:
the banner at boot, and the "vermagic" that modules are checked against, so the modules still load.
"""

import lzma
import struct

from lab.errors import LabError

# Fields of the setup header, Documentation/arch/x86/boot.rst of Linux.
_SETUP_SECTORS = 0x1F1
_MAGIC = 0x202
_PAYLOAD = 0x248
_SECTOR = 512

#: Bytes of a field of `struct new_utsname` (include/uapi/linux/utsname.h), including the final NUL.
_FIELD = 65

#: The filters of scripts/xz_wrap.sh with a higher preset, because the result must not become longer.
_FILTERS = [
    {"id": lzma.FILTER_X86},
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 32 << 20},
]


def rename(image: bytes, release: str) -> bytes:
    """Return the bzImage with another release, of the same length and otherwise unchanged.

    Raises LabError if it is not a bzImage compressed by xz, or if the result would become longer.
    """
    start, size = _payload(image)
    # The stream is followed by the uncompressed length in four bytes.
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
    """Return the offset and the length of the compressed kernel."""
    if image[_MAGIC : _MAGIC + 4] != b"HdrS":
        raise LabError("This is no bzImage: the signature of its setup header is missing.")
    offset, size = struct.unpack_from("<II", image, _PAYLOAD)
    # 0 means 4, by the boot protocol.
    start = ((image[_SETUP_SECTORS] or 4) + 1) * _SECTOR + offset
    if size <= len(b"size") or start + size > len(image):
        raise LabError("The bzImage is cut short: its kernel does not lie within it.")
    return start, size


def _pack(kernel: bytes) -> bytes:
    return lzma.compress(kernel, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=_FILTERS)


def _rename(kernel: bytes, release: str) -> bytes:
    """Overwrite the release in every `struct new_utsname` of an uncompressed kernel."""
    name = release.encode()
    if not 0 < len(name) < _FIELD:
        raise LabError(f"{release!r} cannot be a release: it has {len(name)} bytes, not 1 to {_FIELD - 1}.")
    mark = b"Linux".ljust(_FIELD, b"\0") + b"(none)".ljust(_FIELD, b"\0")
    # There are two, both from init/version.c; the linker uses the second.
    head, *rest = kernel.split(mark)
    if not rest:
        raise LabError("The kernel has no name of itself: no struct new_utsname was found.")
    return mark.join([head, *(name.ljust(_FIELD, b"\0") + piece[_FIELD:] for piece in rest)])
