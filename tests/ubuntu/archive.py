"""Writes the files of Ubuntu's servers (archive, old-releases, changelogs), with only a few packages."""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

from tests.mirror.signer import Signer


@dataclass(frozen=True)
class Release:
    """A release of Ubuntu; `deb822`: its upgrader converts the sources to the deb822 format."""

    version: str
    codename: str
    date: datetime
    upgraded_from: tuple[str, ...] = ()
    lts: bool = True
    supported: bool = True
    deb822: bool = False

    @property
    def host(self):
        """The server that has its packages."""
        return "archive.ubuntu.com" if self.supported else "old-releases.ubuntu.com"


def _day(year, month, day):
    return datetime(year, month, day, tzinfo=timezone.utc)


#: The simulated releases, oldest first. meta-release marks an LTS as supported while it has ESM.
RELEASES = {
    release.version: release
    for release in (
        Release("18.04", "bionic", _day(2018, 4, 26)),
        Release("19.10", "eoan", _day(2019, 10, 17), lts=False, supported=False),
        Release("20.04", "focal", _day(2020, 4, 23), upgraded_from=("bionic", "eoan")),
        Release("22.04", "jammy", _day(2022, 4, 21), upgraded_from=("focal", "impish")),
        Release("24.04", "noble", _day(2024, 4, 25), upgraded_from=("jammy", "mantic"), deb822=True),
    )
}
#: The repository of a third party has one suite for all releases, and one per release.
THIRD_PARTY = "packages.example.com"
COMPONENTS = ("main", "universe")

POSTINST = """#!/bin/sh
set -e
cat >/etc/os-release <<END
NAME="Ubuntu"
ID=ubuntu
ID_LIKE=debian
VERSION="{version} (simulated)"
PRETTY_NAME="Ubuntu {version} (simulated)"
VERSION_ID="{version}"
VERSION_CODENAME={codename}
UBUNTU_CODENAME={codename}
END
cat >/etc/lsb-release <<END
DISTRIB_ID=Ubuntu
DISTRIB_RELEASE={version}
DISTRIB_CODENAME={codename}
DISTRIB_DESCRIPTION="Ubuntu {version} (simulated)"
END
"""
LSB_RELEASE = """#!/bin/sh
# Supports -c -s and -r -s, which scripts use.
. /etc/lsb-release
case $* in *c*) echo "$DISTRIB_CODENAME" ;; *) echo "$DISTRIB_RELEASE" ;; esac
"""
SETTINGS = ("meta-release", "release-upgrades")
META_RELEASE = """[METARELEASE]
URI = http://changelogs.ubuntu.com/meta-release
URI_LTS = http://changelogs.ubuntu.com/meta-release-lts
"""
# The simulated upgrader makes the configuration of this package fail or hang by writing that word to a file.
SERVICE_POSTINST = """#!/bin/sh
hindrance=$(cat /run/simulated-ubuntu-hindrance 2>/dev/null) || exit 0
rm /run/simulated-ubuntu-hindrance
case $hindrance in
    fails) echo "lab-service: cannot be configured now" >&2; exit 1 ;;
    hangs) sleep 600 ;;
esac
"""


def write(directory, programs):
    """Write every server's files to a directory named after it, and the public key.

    Args:
        directory: where to write them.
        programs: the directory with the simulated do-release-upgrade and upgrader.

    """
    signer = Signer()
    (directory / "ubuntu-archive-keyring.asc").write_bytes(signer.key)
    for release in RELEASES.values():
        root = directory / release.host / "ubuntu"
        first, later = _packages(root, release, programs)
        _suite(root, signer, release, "", first)
        _suite(root, signer, release, "-updates", later)
        _suite(root, signer, release, "-security", [])
        _upgrader(root, signer, release, programs / "upgrader.py")
        third = directory / THIRD_PARTY / "apt"
        tool = [_deb(third, "lab-tool", "1.0")]
        _suite(third, signer, release, "", tool, origin="Third Party")
    _suite(third, signer, Release("1", "stable", _day(2020, 1, 1)), "", tool, origin="Third Party")
    (directory / "security.ubuntu.com").symlink_to("archive.ubuntu.com")
    changelogs = directory / "changelogs.ubuntu.com"
    changelogs.mkdir()
    (changelogs / "meta-release").write_text(_meta_release(RELEASES.values()))
    (changelogs / "meta-release-lts").write_text(_meta_release(r for r in RELEASES.values() if r.lts))


def _packages(root, release, programs):
    """Make a release's packages; return the original ones and the updates."""
    names = {"version": release.version, "codename": release.codename}
    prompt = "lts" if release.lts else "normal"
    first = [
        _deb(
            root,
            "ubuntu-minimal",
            release.version,
            {"DEBIAN/postinst": POSTINST.format(**names), "usr/bin/lsb_release": LSB_RELEASE},
            # Configured last: this package writes the new release to os-release.
            depends=f"lab-service (>= {release.version})",
        ),
        _deb(
            root,
            "ubuntu-release-upgrader-core",
            f"1:{release.version}.1",
            {
                "usr/bin/do-release-upgrade": (programs / "do_release_upgrade.py").read_text(),
                "etc/update-manager/meta-release": META_RELEASE,
                "etc/update-manager/release-upgrades": f"[DEFAULT]\nPrompt={prompt}\n",
                "DEBIAN/conffiles": "".join(f"/etc/update-manager/{name}\n" for name in SETTINGS),
            },
        ),
        _service(root, f"{release.version}.0", release),
        _deb(root, "lab-held", release.version),
    ]
    return first, [_service(root, f"{release.version}.1", release)]


def _service(root, version, release):
    files = {
        "etc/lab-service.conf": f"# the setting of {release.codename}\ncolour = blue\n",
        "DEBIAN/conffiles": "/etc/lab-service.conf\n",
        "DEBIAN/postinst": SERVICE_POSTINST,
    }
    return _deb(root, "lab-service", version, files)


def _deb(root, package, version, files=(), depends=""):
    """Make a deb in an archive's pool, and return its path. Files that begin with #! are executable."""
    deb = root / "pool" / f"{package}_{version.partition(':')[2] or version}_all.deb"
    deb.parent.mkdir(parents=True, exist_ok=True)
    control = (
        f"Package: {package}\nVersion: {version}\nArchitecture: all\n"
        + (f"Depends: {depends}\n" if depends else "")
        + "Maintainer: nobody <nobody@example.org>\nDescription: part of a simulated Ubuntu\n"
    )
    with tempfile.TemporaryDirectory() as tree:
        for name, content in {"DEBIAN/control": control, **dict(files)}.items():
            file = Path(tree, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            file.chmod(0o755 if content.startswith("#!") else 0o644)
        command = ["dpkg-deb", "--build", "-Zgzip", "--root-owner-group", tree, str(deb)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return deb


def _suite(root, signer, release, pocket, debs, origin="Ubuntu"):
    """Write a suite: its package lists and its signed Release file."""
    suite = root / "dists" / f"{release.codename}{pocket}"
    machine = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    architecture = machine.stdout.strip()
    sums = []
    for component in COMPONENTS:
        packages = suite / component / f"binary-{architecture}" / "Packages"
        packages.parent.mkdir(parents=True)
        packages.write_text("".join(_stanza(root, deb) for deb in debs if component == "main"))
        data = packages.read_bytes()
        sums.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {packages.relative_to(suite)}\n")
    (suite / "Release").write_text(
        f"Origin: {origin}\nLabel: {origin}\nSuite: {suite.name}\nVersion: {release.version}\n"
        f"Codename: {release.codename}\nDate: {format_datetime(release.date, usegmt=True)}\n"
        f"Architectures: {architecture}\nComponents: {' '.join(COMPONENTS)}\nSHA256:\n{''.join(sums)}"
    )
    signer.sign(suite / "Release", armour=True)


def _stanza(root, deb):
    control = subprocess.run(["dpkg-deb", "--field", str(deb)], check=True, capture_output=True, text=True)
    data = deb.read_bytes()
    return (
        f"{control.stdout}Filename: {deb.relative_to(root)}\nSize: {len(data)}\n"
        f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    )


def _upgrader(root, signer, release, program):
    """Write what do-release-upgrade downloads: a signed tar file with a program named after the release."""
    directory = root / "dists" / f"{release.codename}-updates/main/dist-upgrader-all/current"
    directory.mkdir(parents=True)
    packed = directory / f"{release.codename}.tar.gz"
    with tempfile.TemporaryDirectory() as tree, tarfile.open(packed, "w:gz") as tar:
        settings = Path(tree, "settings.json")
        settings.write_text(
            json.dumps({"from": release.upgraded_from, "to": release.codename, "deb822": release.deb822})
        )
        tar.add(settings, settings.name)
        script = Path(tree, release.codename)
        script.write_text(program.read_text())
        script.chmod(0o755)
        tar.add(script, script.name)
    signer.sign(packed)


def _meta_release(releases):
    stanzas = []
    for release in releases:
        current = f"http://archive.ubuntu.com/ubuntu/dists/{release.codename}-updates/main/dist-upgrader-all/current"
        stanzas.append(
            f"Dist: {release.codename}\nName: {release.codename.title()}\n"
            f"Version: {release.version}{' LTS' if release.lts else ''}\n"
            f"Date: {format_datetime(release.date, usegmt=True)}\nSupported: {int(release.supported)}\n"
            f"UpgradeTool: {current}/{release.codename}.tar.gz\n"
            f"UpgradeToolSignature: {current}/{release.codename}.tar.gz.gpg\n"
        )
    return "\n".join(stanzas)
