"""Set up an io_uring, submit one no-op and reap its completion. Needs only Python 3.6 or later.

Prints one line of JSON: {"ok": bool, "found": text}.
"""

import ctypes
import errno
import json
import mmap
import os
import struct

SETUP, ENTER = 425, 426  # the same on every architecture
ENTRIES = 4
OFFSET_SQ_RING, OFFSET_CQ_RING, OFFSET_SQES = 0, 0x8000000, 0x10000000
GETEVENTS, NOP = 1, 0
COOKIE = 0x1AB

#: struct io_uring_params: ten numbers, then the offsets of the fields of the two rings.
PARAMETERS = struct.Struct("=10I 8IQ 8IQ")


def call(libc, number, *arguments):
    """Make a system call; raise OSError with its name if it fails."""
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        name = "io_uring_setup" if number == SETUP else "io_uring_enter"
        reason = os.strerror(error)
        if error == errno.ENOMEM:  # many kernels count the rings of a user as locked memory
            reason = "too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)"
        raise OSError(error, f"{name}: {reason}")
    return result


def complete_one_no_op():
    """Submit a no-op and wait for its completion.

    Returns:
        The completion's (user data, result).

    Raises:
        OSError: a system call failed.

    """
    libc = ctypes.CDLL(None, use_errno=True)
    parameters = ctypes.create_string_buffer(PARAMETERS.size)
    ring = call(libc, SETUP, ctypes.c_uint(ENTRIES), parameters)
    values = PARAMETERS.unpack(parameters.raw)
    sq_entries, cq_entries = values[0], values[1]
    _, sq_tail, sq_mask, _, _, _, sq_array = values[10:17]
    cq_head, cq_tail, cq_mask, _, _, cqes = values[19:25]

    sq = mmap.mmap(ring, sq_array + sq_entries * 4, offset=OFFSET_SQ_RING)
    cq = mmap.mmap(ring, cqes + cq_entries * 16, offset=OFFSET_CQ_RING)
    sqes = mmap.mmap(ring, sq_entries * 64, offset=OFFSET_SQES)

    # No memory barriers are needed: the kernel accesses the rings within the system call below.
    number = struct.Struct("=I")
    tail = number.unpack_from(sq, sq_tail)[0]
    index = tail & number.unpack_from(sq, sq_mask)[0]
    struct.pack_into("=BBHiQQIIQQQQ", sqes, index * 64, NOP, 0, 0, -1, 0, 0, 0, 0, COOKIE, 0, 0, 0)
    number.pack_into(sq, sq_array + index * 4, index)
    number.pack_into(sq, sq_tail, (tail + 1) & 0xFFFFFFFF)

    call(
        libc, ENTER, ctypes.c_int(ring), ctypes.c_uint(1), ctypes.c_uint(1), ctypes.c_uint(GETEVENTS), None, 0
    )

    head = number.unpack_from(cq, cq_head)[0]
    if number.unpack_from(cq, cq_tail)[0] == head:
        raise OSError("io_uring_enter returned and left no completion")
    return struct.unpack_from("=Qi", cq, cqes + (head & number.unpack_from(cq, cq_mask)[0]) * 16)


def main():
    """Print the result."""
    try:
        cookie, result = complete_one_no_op()
    except OSError as problem:
        answer = {"ok": False, "found": str(problem)}
    else:
        answer = {"ok": (cookie, result) == (COOKIE, 0), "found": f"a no-op completed with result {result}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
