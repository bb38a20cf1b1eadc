"""Judge of the contract `cp`: `program SOURCE DESTINATION` leaves just the source's bytes in the destination.

Arguments: the program, then the sizes in bytes to try.
"""

import os
import sys
import tempfile

from common import Verdicts, describe, payload, read, run, write


def judge(program, sizes, verdicts):
    """Copy every size, over a larger file, from a missing one, and without io_uring."""
    for size in sizes:
        data = payload(size)
        target = f"copy{size}"
        status, _, errors = run([program, write("source", data), target])
        copy = read(target)
        verdicts.add(f"size {size}", status == 0 and copy == data, describe(status, copy, data, errors))

    data = payload(4096)
    write("source", data)
    status, _, errors = run([program, "source", write("larger", payload(1 << 20))])
    copy = read("larger")
    verdicts.add("larger destination", status == 0 and copy == data, describe(status, copy, data, errors))

    status, _, errors = run([program, "there-is-no-such-file", "copy-of-nothing"])
    verdicts.add(
        "missing file", status not in (0, "timeout"), describe(status, read("copy-of-nothing"), b"", errors)
    )

    status, _, errors = run([program, "source", "denied"], deny_uring=True)
    copy = read("denied")
    verdicts.add("without io_uring", status == 0 and copy == data, describe(status, copy, data, errors))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        found = Verdicts()
        judge(sys.argv[1], [int(size) for size in sys.argv[2:]], found)
        os.chdir("/")
    found.print()
