"""A temporary key to sign a mainline archive with. Needs the packages gpg and gpg-agent."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path


class Signer:
    """A temporary RSA-2048 key, like the archive's, in a temporary GNUPGHOME."""

    def __init__(self):
        for program in ("gpg", "gpgconf"):
            if not shutil.which(program):
                raise RuntimeError(f"there is no {program} here: install the packages gpg and gpg-agent")
        # Not in pytest's directory: gpg-agent's socket is in here, and its path may have 107 characters.
        self._home = tempfile.TemporaryDirectory(prefix="uring-lab-gpg-", ignore_cleanup_errors=True)
        self._gpg(
            "--passphrase",
            "",
            "--quick-generate-key",
            "mirror <nobody@example.org>",
            "rsa2048",
            "sign",
            "never",
        )
        self.key = self._gpg("--armor", "--export")
        listing = self._gpg("--with-colons", "--fingerprint").decode()
        self.fingerprint = re.search(r"^fpr:+([0-9A-F]{40}):", listing, re.MULTILINE)[1]

    def sign(self, data: Path, *, armour: bool = False) -> None:
        """Write a detached signature of a file beside it, with the suffix `.gpg`."""
        form = ["--armor"] if armour else []
        self._gpg("--yes", *form, "--output", f"{data}.gpg", "--detach-sign", str(data))

    def _gpg(self, *arguments: str) -> bytes:
        environment = {**os.environ, "GNUPGHOME": self._home.name, "LC_ALL": "C"}
        command = ["gpg", "--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", *arguments]
        try:
            run = subprocess.run(command, env=environment, capture_output=True, check=False)
        finally:
            # Otherwise gpg-agent would outlive us.
            subprocess.run(["gpgconf", "--kill", "all"], env=environment, capture_output=True, check=False)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)}: {run.stderr.decode(errors='replace')}")
        return run.stdout
