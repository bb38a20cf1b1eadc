"""Judge of the contract `cat`: `program FILE...` prints the files' bytes, one file after the other.

Arguments: the program, then the sizes in bytes to try.
"""

import os
import sys
import tempfile

from common import Verdicts, describe, payload, run, write


def judge(program, sizes, verdicts):
    """Run the program on every size, on several files, on a missing one, and without io_uring."""
    for size in sizes:
        data = payload(size)
        status, out, errors = run([program, write("input", data)])
        verdicts.add(f"size {size}", status == 0 and out == data, describe(status, out, data, errors))

    parts = [b"text, with a last line that has no end", b"", payload(1025), bytes(range(256)) * 16]
    files = [write(f"part{number}", part) for number, part in enumerate(parts)]
    expected = b"".join(parts)
    status, out, errors = run([program, *files])
    verdicts.add("several files", status == 0 and out == expected, describe(status, out, expected, errors))

    status, out, errors = run([program, "there-is-no-such-file"])
    verdicts.add("missing file", status not in (0, "timeout") and not out, describe(status, out, b"", errors))

    status, out, errors = run([program, files[2]], deny_uring=True)
    verdicts.add("without io_uring", status == 0 and out == parts[2], describe(status, out, parts[2], errors))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        found = Verdicts()
        judge(sys.argv[1], [int(size) for size in sys.argv[2:]], found)
        os.chdir("/")
    found.print()
