"""Guests are made only from the archive that this computer trusts."""

from pathlib import Path

import pytest
import yaml

from lab import archive
from lab.errors import UsageError

ROOT = Path(__file__).parents[3]

#: As `apt-get indextargets` answers on a computer with a mirror, third-party sources and a local repository.
RECORDED = """\
Debian|http://mirror.example/debian/|bookworm
Debian|http://mirror.example/debian/|bookworm
Debian|http://mirror.example/debian/|bookworm-updates
Debian|http://mirror.example/debian-security/|bookworm-security
. nodistro|https://deb.nodesource.com/node_20.x/|nodistro
cloud-sdk-bookworm|https://packages.example/apt/|cloud-sdk-bookworm
Debian|file:/srv/debian/|bookworm
"""


def test_sources_are_this_computers_mirror_with_updates_and_security():
    lines = archive.sources(archive.suite("bookworm"), archive.parse_targets(RECORDED))
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert lines == [
        f"deb {signed} http://mirror.example/debian bookworm main",
        f"deb {signed} http://mirror.example/debian bookworm-updates main",
        f"deb {signed} http://mirror.example/debian-security bookworm-security main",
    ]


def test_another_suite_comes_from_the_same_mirror():
    lines = archive.sources(archive.suite("trixie"), archive.parse_targets(RECORDED))
    assert [line.split()[2:4] for line in lines] == [
        ["http://mirror.example/debian", "trixie"],
        ["http://mirror.example/debian", "trixie-updates"],
        ["http://mirror.example/debian-security", "trixie-security"],
    ]


def test_another_distribution_comes_from_its_public_archive():
    lines = archive.sources(archive.suite("noble"), archive.parse_targets(RECORDED))
    assert lines[0] == (
        "deb [signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] "
        "http://archive.ubuntu.com/ubuntu noble main universe"
    )


@pytest.mark.parametrize("ended", ["oracular", "plucky", "questing"])
def test_an_ended_release_comes_from_where_those_are_kept(ended):
    mirror = archive.parse_targets("Ubuntu|http://mirror.example/ubuntu/|noble\n")
    lines = archive.sources(archive.suite(ended), mirror)
    assert {line.split()[2] for line in lines} == {"http://old-releases.ubuntu.com/ubuntu"}
    assert archive.sources(archive.suite("noble"), mirror)[0].split()[2] == "http://mirror.example/ubuntu"


def test_the_ended_releases_of_ubuntu_are_those_of_the_table_of_releases():
    """An LTS stays on the mirrors for as long as it has ESM."""
    table = yaml.safe_load((ROOT / "roles/release_upgrade/vars/releases.yml").read_text())
    until = {row["codename"]: row["until"] for row in table["__release_upgrade_releases"]["ubuntu"]}
    suites = yaml.safe_load(archive.TABLE.read_text())["suites"]
    for name, entry in suites.items():
        if entry["distribution"] == "ubuntu":
            assert entry.get("ended", False) == (until[name] < "2026-11-22"), name


def test_without_apts_lists_the_public_archive_is_used():
    lines = archive.sources(archive.suite("bookworm"), archive.parse_targets(""))
    assert lines[2].split()[2:4] == ["http://deb.debian.org/debian-security", "bookworm-security"]


def test_an_archive_that_a_guest_cannot_reach_is_not_used():
    lines = archive.sources(
        archive.suite("bookworm"), archive.parse_targets("Debian|file:/srv/d/|bookworm\n")
    )
    assert "http://deb.debian.org/debian " in lines[0]


def test_an_unknown_suite_is_refused_and_the_known_ones_are_named():
    with pytest.raises(UsageError, match=r"'hoary'.*bookworm.*noble"):
        archive.suite("hoary")


def test_a_guest_gets_this_computers_proxy_and_date_checks(monkeypatch):
    dump = "\n".join(
        [
            'Acquire::http::Proxy "http://127.0.0.1:3142";',
            'Acquire::https::Proxy "";',
            'Acquire::Check-Valid-Until "false";',
            'APT::Periodic::Enable "1";',
        ]
    )
    monkeypatch.setattr(archive, "_output", lambda *command: dump)
    assert archive.apt_settings("10.0.2.2") == (
        'Acquire::http::Proxy "http://10.0.2.2:3142";\nAcquire::Check-Valid-Until "false";\n'
    )
