"""A mainline archive for tests: directories, pages, checksums and signatures for given debs."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.mirror import pages
from tests.mirror.minimal_debs import STAMP, minimal_build, minimal_deb
from tests.mirror.signer import Signer

__all__ = ["STAMP", "Mirror", "Signer", "checksums_of", "minimal_build", "minimal_deb"]


class Mirror:
    """An archive in a directory.

    Attributes:
        root: the directory.
        key: a file with the armoured public key.
        fingerprint: of the key.
        signer: signs the checksums; tests may share one, because it takes half a second to make.

    """

    def __init__(self, root: Path, signer: Signer | None = None):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.signer = signer or Signer()
        self.fingerprint = self.signer.fingerprint
        self.key = self.root / ".key.asc"
        self.key.write_bytes(self.signer.key)
        self._succeeded: dict[str, dict[str, bool]] = {}
        self._index()

    def add(
        self,
        version: str,
        debs: Iterable[Path] | None = None,
        *,
        layout: str = "flat",
        stamp: str = STAMP,
        architecture: str = "amd64",
        failed: bool = False,
        links: bool = True,
    ) -> Path:
        """Add a build. A second call for the same version adds another build to the same directory.

        Args:
            version: such as `5.6`; its directory is `v5.6`.
            debs: its debs, with the archive's file names; None: those of minimal_build.
            layout: `flat`: the debs are in the version's directory, as until June 2020; `folder`: in a
                subdirectory for the architecture.
            stamp: of the debs made here if none are given.
            architecture: of the build.
            failed: whether the build failed: then there are no debs, only a page that says so.
            links: whether the version's page links to the debs of a subdirectory, as the archive's does, or
                only to the subdirectory, as Apache would do by itself.

        Returns:
            The directory with the debs.

        """
        directory = self.root / f"v{version}"
        build = directory if layout == "flat" else directory / architecture
        build.mkdir(parents=True, exist_ok=True)
        if debs is None and not failed:
            with tempfile.TemporaryDirectory() as made:
                return self.add(
                    version,
                    minimal_build(Path(made), version, stamp, architecture=architecture),
                    layout=layout,
                    architecture=architecture,
                    links=links,
                )
        for deb in debs or ():
            shutil.copy(deb, build)
        self._succeeded.setdefault(version, {})[architecture] = not failed
        if not failed:
            self.seal(build)
        if layout == "flat":
            (directory / f"BUILD.LOG.{architecture}").write_text("a long log\n")
        else:
            (build / "log").write_text("a long log\n")
            pages.write(build, f"/mainline/v{version}/{architecture}")
        header = pages.header(directory, self._succeeded[version], links)
        pages.write(directory, f"/mainline/v{version}", header)
        self._index()
        return build

    def add_odd(self, name: str) -> None:
        """Add a directory that is not a build, such as `daily` or `v5.12-rc1-dontuse`."""
        (self.root / name).mkdir()
        pages.write(self.root / name, f"/mainline/{name}")
        self._index()

    def seal(self, directory: Path, checksums: str | None = None, signer: Signer | None = None) -> None:
        """Write CHECKSUMS and its signature.

        Args:
            directory: where the debs are.
            checksums: what to write; None: the checksums of the debs.
            signer: who signs; None: the archive's own key.

        """
        path = directory / "CHECKSUMS"
        path.write_text(checksums_of(directory) if checksums is None else checksums)
        (signer or self.signer).sign(path)

    def _index(self) -> None:
        pages.write(self.root, "/mainline")


def checksums_of(directory: Path) -> str:
    """Return the archive's CHECKSUMS file for the debs of a directory."""
    blocks = []
    for title, digest in (("Sha1", hashlib.sha1), ("Sha256", hashlib.sha256)):
        lines = [
            f"{digest(deb.read_bytes()).hexdigest()}  {deb.name}" for deb in sorted(directory.glob("*.deb"))
        ]
        blocks.append("\n".join([f"# Checksums-{title}:", *lines]))
    return "\n#\n".join(blocks) + "\n"
