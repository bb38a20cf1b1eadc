"""The lab's directories (XDG base directories), and the names that a machine may have."""

import os
import re
from pathlib import Path

from lab.errors import UsageError

#: Valid as a host name, a directory, an ssh alias and an Ansible inventory host.
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def cache() -> Path:
    """Return the cache directory: images, and the choice of the accelerator."""
    return _base("XDG_CACHE_HOME", ".cache") / "uring-lab"


def machines() -> Path:
    """Return the directory that holds a directory for every machine."""
    return _base("XDG_STATE_HOME", ".local/state") / "uring-lab" / "machines"


def machine(name: str) -> Path:
    """Return the directory of one machine, whether it exists or not.

    Raises UsageError when the name is not valid.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a machine's name: take up to 31 lower-case letters, digits and hyphens, "
            "a letter first."
        )
    return machines() / name


def _base(variable: str, default: str) -> Path:
    """Return the directory that an XDG variable names, or the default for a relative path, as specified."""
    value = Path(os.environ.get(variable, ""))
    return value if value.is_absolute() else Path.home() / default
