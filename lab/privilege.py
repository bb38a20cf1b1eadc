"""Root by sudo, for the few steps of a container that need it; the user is told why."""

import os
import subprocess
import sys

from lab.errors import LabError
from lab.progress import say
from lab.tool import need


def as_root(command: list[str], why: str) -> None:
    """Run a command as root, by sudo if needed. `why` completes "root is needed to …".

    Raises LabError when sudo refuses or the command fails.
    """
    if os.geteuid() != 0:
        command = [*_sudo(why), *command]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise LabError(f"Failed to {why}: {result.stderr.strip()}")


def _sudo(why: str) -> list[str]:
    sudo = need("sudo")
    if subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    say(f"root is needed to {why}")
    if not sys.stdin.isatty() or subprocess.run([sudo, "-v"], check=False).returncode != 0:
        raise LabError(
            f"root is needed to {why}, and sudo does not give it. Run this as a user whom sudo lets, or "
            "take a virtual machine (KIND=vm), which needs no root."
        )
    return [sudo, "-n"]
