"""Downloads debs of a Debian release from the archive that this computer trusts."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import archive
from lab.errors import LabError
from lab.tool import run


class Debian:
    """The packages of a release, by an apt with its own lists: without root, and read-only for this host."""

    def __init__(self, directory: Path, options: list[str]):
        self._directory = directory
        self._options = options

    def stands_for(self, metapackage: str) -> str:
        """Return the kernel image that a metapackage depends on. Raises LabError if there is none."""
        command = ["apt-cache", "depends", "--important", *self._options, metapackage]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"Depends: (linux-image-\S+)", answer.stdout)
        if found is None:
            raise LabError(f"The archive has no {metapackage}: {answer.stderr.strip()}")
        return found[1]

    def unpacked(self, package: str) -> Path:
        """Return a directory with a package's files, downloaded and verified by apt, not installed.

        Raises LabError when that fails.
        """
        tree = self._directory / package
        # apt downloads into the working directory.
        run(["env", f"--chdir={self._directory}", "apt-get", "download", *self._options, package])
        (deb,) = self._directory.glob(f"{package}_*.deb")
        run(["dpkg-deb", "--extract", str(deb), str(tree)])
        return tree


@contextmanager
def release(suite: str) -> Iterator[Debian]:
    """Download a release's package lists; unpacked files are removed at the end. Raises LabError."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "lists").mkdir()
        sources = archive.sources(archive.suite(suite), archive.trusted_targets())
        (directory / "sources.list").write_text("\n".join(sources) + "\n")
        settings = {
            "Dir::Etc::SourceList": directory / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": directory / "lists",
            "Dir::Cache": directory,
            "APT::Sandbox::User": "root",
        }
        options = [f"--option={setting}={value}" for setting, value in settings.items()]
        run(["apt-get", "update", "--error-on=any", *options])
        yield Debian(directory, options)
