"""Whose a source is: the distribution's own, or somebody else's."""

import json
import shutil
from pathlib import Path

import apt_releases
import apt_sources
import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests.unit.common.apt_tree import BASE, SOUND, Host

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt is not installed on this computer")


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.mark.parametrize(
    "origin, own",
    [("Debian", True), ("Debian Backports", True), ("Debian Fast Track", False), ("Docker", False)],
)
def test_the_origin_of_what_apt_has_fetched_tells_whose_it_is(host, origin, own):
    host.write("sources.list", "deb http://mirror.example/some/debian/ bookworm main\n")
    host.fetched("http://mirror.example/some/debian", "bookworm", origin)
    told = host.run()
    assert bool(told["own"]) is own
    assert (told["own"] or told["third_party"])[0]["origin"] == origin


def test_a_stanza_with_a_suite_of_others_is_not_own(host):
    uri = "http://mirror.example/debian"
    host.write(
        "sources.list.d/x.sources",
        f"Types: deb\nURIs: {uri}\nSuites: bookworm bookworm-x\nComponents: main\n",
    )
    host.fetched(uri, "bookworm", "Debian")
    assert host.run()["own"]
    host.fetched(uri, "bookworm-x", "Somebody")
    assert not host.run()["own"]


def test_the_origin_of_ubuntus_extended_support_is_ubuntus(host):
    host.write("sources.list", "deb https://mirror.example/apps bionic-apps-security main\n")
    host.fetched("https://mirror.example/apps", "bionic-apps-security", "UbuntuESMApps")
    assert host.run(distribution="ubuntu", codename="bionic")["own"]


def test_a_source_that_names_another_origin_is_not_own_whatever_its_host(host):
    host.write("sources.list", "deb http://people.debian.org/x bookworm main\n")
    host.fetched("http://people.debian.org/x", "bookworm", "Somebody")
    assert not host.run()["own"]


@pytest.mark.parametrize(
    "source, own",
    [
        ("http://deb.debian.org/debian bookworm main", True),
        ("http://ftp.de.debian.org/debian/ bookworm-updates main", True),
        ("http://security.debian.org/ bookworm/updates main", True),
        ("http://deb.debian.org/debian stable main", True),
        ("http://deb.debian.org/debian sid main", False),
        ("http://notdebian.org/apt bookworm main", False),
        ("http://mirror.example/pub/debian bookworm main contrib", True),
        ("http://mirror.example/pub/debian-security/ bookworm-security main", True),
        ("mirror+file:/etc/apt/mirrors/debian.list bookworm main", True),
        ("http://mirror.example/pub/debian stable main", False),
        ("http://mirror.example/pub/debian trixie main", False),
        ("https://download.docker.com/linux/debian bookworm stable", False),
        ("http://mirror.example/pub/debian ./", False),
        ("[signed-by=/k/debian-archive-keyring.gpg] http://mirror.example/m bookworm main", True),
        ("[signed-by=/k/vpn-archive-keyring.gpg] https://vpn.example/stable/debian bookworm main", False),
        ("cdrom:[Debian GNU/Linux 12 _Bookworm_ - amd64]/ bookworm main", False),
        ("[signed-by=/k/debian-archive-keyring.gpg] cdrom:[Debian GNU/Linux 12]/ bookworm main", False),
        ("[signed-by=/k/ours.gpg] http://archive.example/pub/debian bookworm main", True),
        ("http://[2001:db8::1]:3142/debian bookworm main", True),
        ("http://[x] bookworm main", False),
    ],
)
def test_where_apt_has_fetched_nothing_the_entry_itself_tells_whose_it_is(host, source, own):
    release = apt_releases.Release("debian", "bookworm", "", "archive.example")
    entry = apt_sources.read(f"deb {source}\n", True)
    assert apt_releases.is_own(entry, release, {}) is own


@pytest.mark.parametrize(
    "source, own",
    [
        ("http://de.archive.ubuntu.com/ubuntu focal universe", True),
        ("http://ports.ubuntu.com/ubuntu-ports focal main", True),
        ("https://esm.ubuntu.com/infra/ubuntu focal-infra-security main", True),
        ("http://mirror.example/ubuntu focal restricted", True),
        ("http://ppa.launchpad.net/somebody/ppa/ubuntu focal main", False),
        ("https://ppa.launchpadcontent.net/somebody/ppa/ubuntu focal main", False),
        ("https://private-ppa.launchpadcontent.net/somebody/ppa/ubuntu focal main", False),
        ("http://archive.canonical.com/ubuntu focal partner", False),
        ("http://deb.debian.org/debian focal main", False),
    ],
)
def test_the_same_of_ubuntu(source, own):
    release = apt_releases.Release("ubuntu", "focal", "", "old-releases.ubuntu.com")
    assert apt_releases.is_own(apt_sources.read(f"deb {source}\n", True), release, {}) is own


def test_sources_of_the_release_to_come_are_own_too(host):
    host.write("sources.list", BASE.replace("bookworm", "trixie"))
    assert not host.run()["own"]
    assert len(host.run(to_codename="trixie")["own"]) == 3


def test_a_look_tells_where_each_source_stands_and_changes_nothing(host):
    host.both()
    before = host.texts()
    told = host.run()
    assert [(Path(entry["file"]).name, entry["line"]) for entry in told["own"]] == [
        ("sources.list", 1),
        ("sources.list", 2),
        ("sources.list", 3),
        ("own.sources", 2),
        ("own.sources", 8),
    ]
    assert [(Path(entry["file"]).name, entry["line"]) for entry in told["third_party"]] == [
        ("others.list", 1),
        ("others.list", 3),
        ("others.list", 4),
        ("others.sources", 2),
        ("others.sources", 8),
    ]
    assert told["third_party"][1]["text"] == "  deb https://packages.example/apt stable main # of theirs"
    assert told["own"][3]["components"] == ["main"] and told["own"][3]["format"] == "deb822"
    assert not told["changed"] and not told["archived"] and host.texts() == before


def test_a_password_in_an_address_is_not_told(host):
    host.write("sources.list", "deb https://me:secret@apt.example/x bookworm main\n")
    assert "secret" not in json.dumps(host.run()["third_party"])


def test_sources_that_apt_cannot_read_are_named(host):
    host.write("sources.list", "deb http://deb.debian.org/debian\n")
    told = host.run()
    assert told["failed"] and "Malformed entry 1" in told["msg"] and "Mend" in told["msg"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SOUND)
def test_apt_and_we_read_the_same_in_a_file(host, sample):
    text, one_line = sample
    shutil.rmtree(host.root / "etc/apt/sources.list.d")
    (host.root / "etc/apt/sources.list.d").mkdir()
    host.write("sources.list.d/x." + ("list" if one_line else "sources"), text)
    told = host.run()
    assume("Conflicting values" not in told.get("msg", ""))
    ours = {
        (uri.rstrip("/"), suite)
        for entry in told["own"] + told["third_party"]
        for uri in entry["uri"].split()
        for suite in entry["suites"]
    }
    assert {tuple(source.rsplit(" ", 1)) for source in host.used(warned=True)} == ours


def test_what_apt_passes_over_is_passed_over(host):
    for name in ("x.list.save", "x.sources.distUpgrade", ".hidden.list", "x y.list"):
        host.write(f"sources.list.d/{name}", "deb http://deb.debian.org/debian bookworm main\n")
    assert not host.run()["own"] and not host.used()
