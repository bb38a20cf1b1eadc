"""Which ansible serves the hosts of a run.

The newest one is in .venv. Hosts whose Python is too old for its modules are served by an older one beside
it, which is installed when it is first needed.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ansible.release import __version__ as newest

from cli.errors import InfrastructureError
from roles.preflight.filter_plugins.host_problems import numbers, oldest_python

ROOT = Path(__file__).resolve().parent.parent
NEWEST = Path(sys.executable).parent
OLDER = ROOT / ".venv/older-hosts/bin"
#: What the Makefile calls the older one; its lock is requirements/older-hosts.lock.
OLDER_TARGET = ".venv/older-hosts.lock"


def directory_for(pythons: Mapping[str, str]) -> Path:
    """Return the directory of the ansible that serves these hosts; say so where it is the older one.

    A run has one ansible, so the host with the oldest Python decides. What even the older one cannot serve,
    preflight tells with the host's other problems.

    Args:
        pythons: the version of each host's Python by the host's name, such as 3.8.10; "" if it has none.

    Raises:
        InfrastructureError: the older one cannot be installed.

    """
    floor = oldest_python()
    old = {name: python for name, python in pythons.items() if python and numbers(python) < numbers(floor)}
    if not old:
        return NEWEST
    _install()
    name, python = min(old.items(), key=lambda item: numbers(item[1]))
    others = f" (and {len(old) - 1} more)" if len(old) > 1 else ""
    print(
        f"ansible: {name}{others} has Python {python}, and ansible-core {newest} needs {floor} there: "
        f"ansible-core {_version()} serves this run",
        flush=True,
    )
    return OLDER


def _install() -> None:
    # Make's own variables would be those of the make that called us.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--silent", OLDER_TARGET], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise InfrastructureError(f"the older ansible could not be installed: `make {OLDER_TARGET}` failed")


def _version() -> str:
    asked = "from ansible.release import __version__; print(__version__)"
    return subprocess.run(
        [OLDER / "python", "-c", asked], capture_output=True, text=True, check=True
    ).stdout.strip()
