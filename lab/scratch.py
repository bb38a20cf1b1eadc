"""A temporary directory for programs in a user namespace, where root is another user than outside of it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.interrupt import shielded
from lab.tool import need


@contextmanager
def directory() -> Iterator[Path]:
    """Make a directory that every user may write to, and remove it with its contents afterwards.

    It is meant as TMPDIR of a program: one that is killed leaves files behind.
    """
    made = Path(tempfile.mkdtemp(prefix="uring-lab-"))
    made.chmod(0o1777)
    try:
        yield made
    finally:
        with shielded():
            left = [str(path) for path in made.iterdir()]
            if left:
                # Files of the namespace's root can be removed only by that root.
                helper = [need("mmdebstrap"), "--unshare-helper", "rm", "-rf", "--one-file-system", *left]
                subprocess.run(helper, capture_output=True, start_new_session=True, check=False)
            shutil.rmtree(made, ignore_errors=True)
