"""The archive that a guest is made from and updated from: the one that this computer already trusts."""

import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab.errors import UsageError

TABLE = Path(__file__).with_name("suites.yml")

#: The apt settings of this computer that its guests get, because they use the same network and mirror.
SETTINGS = ("Acquire::http::", "Acquire::https::", "Acquire::Check-Valid-Until", "Acquire::Check-Date")


@dataclass(frozen=True)
class Suite:
    """A release of a distribution, from suites.yml."""

    name: str
    kernel: str
    #: debian or ubuntu.
    distribution: str
    origin: str
    archive: str
    security: str
    #: Whether the mirrors may have dropped it. Archive and security are then where ended releases are kept.
    ended: bool
    components: tuple[str, ...]
    keyring: str


@dataclass(frozen=True)
class Target:
    """A part of an archive that this computer's apt has fetched and verified."""

    origin: str
    uri: str
    release: str


def suite(name: str | None = None) -> Suite:
    """Return a release by its codename (default: this computer's own).

    Raises UsageError when suites.yml does not have it.
    """
    table = yaml.safe_load(TABLE.read_text())
    wanted = name or platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")
    entry = table["suites"].get(wanted)
    if entry is None:
        known = ", ".join(table["suites"])
        whose = "SUITE" if name else "this computer's own release"
        raise UsageError(f"{whose} is {wanted!r}, which is not available for lab hosts. Known: {known}.")
    distribution = table["distributions"][entry["distribution"]]
    ended = entry.get("ended", False)
    return Suite(
        name=wanted,
        kernel=entry["kernel"],
        distribution=entry["distribution"],
        origin=distribution["origin"],
        archive=distribution["ended_archive" if ended else "archive"],
        security=distribution["ended_archive" if ended else "security"],
        ended=ended,
        components=tuple(distribution["components"]),
        keyring=distribution["keyring"],
    )


def sources(of: Suite, targets: list[Target]) -> list[str]:
    """Return the lines of sources.list for a guest: the release, its updates and its security updates.

    A mirror of the distribution that this computer's apt uses is preferred to the public archive, except for
    an ended release. Third-party archives are ignored: only those count whose signed Release file has the
    distribution as Origin.
    """
    ours = [
        target
        for target in targets
        if not of.ended and target.origin == of.origin and target.uri.startswith(("http://", "https://"))
    ]
    archive = next((t.uri for t in ours if "-" not in t.release), of.archive)
    security = next((t.uri for t in ours if t.release.endswith("-security")), of.security)
    options = f"[signed-by={of.keyring}]"
    components = " ".join(of.components)
    return [
        f"deb {options} {uri.rstrip('/')} {of.name}{pocket} {components}"
        for uri, pocket in ((archive, ""), (archive, "-updates"), (security, "-security"))
    ]


def trusted_targets() -> list[Target]:
    """Return what this computer's apt has fetched; nothing without apt or before its first update."""
    fields = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)"
    return parse_targets(_output("apt-get", "indextargets", "--format", fields, "Created-By: Packages"))


def parse_targets(text: str) -> list[Target]:
    """Parse the lines `ORIGIN|URI|RELEASE` that trusted_targets() has `apt-get indextargets` print."""
    rows = [line.split("|") for line in text.splitlines()]
    return [Target(*row) for row in rows if len(row) == len(Target.__dataclass_fields__)]


def apt_settings(host: str) -> str:
    """Return an apt.conf with this computer's proxies and its settings for date checks.

    `host` is the address under which a guest reaches this computer, for a proxy that listens here.
    """
    lines = [line for line in _output("apt-config", "dump").splitlines() if line.startswith(SETTINGS)]
    text = "\n".join(line for line in lines if not line.endswith(' "";'))
    for loopback in ("localhost", "127.0.0.1", "[::1]"):
        text = text.replace(f"//{loopback}:", f"//{host}:")
    return text + "\n" if text else ""


def _output(*command: str) -> str:
    """Return what a program prints, or nothing when it does not exist or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
