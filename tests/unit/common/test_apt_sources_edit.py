"""What each state of the module release_sources makes of the sources, and what apt makes of that."""

import os
import shutil
import stat

import apt_sources
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.common.apt_tree import BASE, OTHER_STANZAS, STANZAS, TEXTS, Host, edit

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt is not installed on this computer")

UBUNTU = """\
deb http://de.archive.ubuntu.com/ubuntu eoan main universe
deb https://security.ubuntu.com/ubuntu/ eoan-security main
"""


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def ubuntu(host):
    host.defaults.update(distribution="ubuntu", codename="eoan", to_codename="focal")
    host.write("sources.list", UBUNTU)
    return host


def suites(told):
    return [(entry["uri"], *entry["suites"]) for entry in told]


# ---- Others' sources off and on ----------------------------------------------------------------------------


def test_others_sources_are_switched_off_and_apt_sees_it(host):
    host.both()
    told = host.run("disabled")
    assert host.used() == [
        "http://deb.debian.org/debian bookworm",
        "http://deb.debian.org/debian bookworm-backports",
        "http://deb.debian.org/debian bookworm-updates",
        "http://deb.debian.org/debian-security bookworm-security",
        "http://ftp.de.debian.org/debian bookworm",
        "http://ftp.de.debian.org/debian bookworm-updates",
        "http://security.debian.org/debian-security bookworm-security",
    ]
    assert suites(told["affected"]) == suites(told["third_party"]) and len(told["affected"]) == 5
    assert [diff["after_header"] for diff in told["diff"]] == told["files"] and len(told["files"]) == 2


def test_a_person_can_read_what_was_switched_off(host):
    host.both()
    host.run("disabled")
    assert (
        "\n# uring-lab has set aside:   deb https://packages.example/apt stable main # of theirs\n"
        in host.read("sources.list.d/others.list")
    )
    text = host.read("sources.list.d/others.sources")
    assert text.startswith("# Theirs.\n# uring-lab has set aside: Enabled: yes\nEnabled: no\nTypes: deb\n")
    assert (
        "\n\n# uring-lab has set aside: this stanza\nEnabled: no\nTypes: deb\nURIs: https://apt.example/pub"
        in text
    )


@pytest.mark.parametrize("state", ["read", "disabled", "restored", "archived", "returned", "renamed"])
def test_a_state_that_is_reached_is_not_reached_for_again(host, state):
    host.both()
    host.run("disabled")
    host.run(state, to_codename="trixie")
    before = host.texts()
    told = host.run(state, to_codename="trixie")
    assert not told["changed"] and not told["affected"] and not told["files"] and host.texts() == before


def test_what_was_switched_off_and_names_no_release_is_switched_on_again(host):
    host.both()
    host.run("disabled")
    told = host.run("restored", codename="trixie", codenames=["bookworm"])
    assert suites(told["affected"]) == [
        ("https://packages.example/apt", "stable"),
        ("https://packages.example/other", "stable"),
    ]
    assert [entry["uri"][:24] for entry in told["still_disabled"]] == [
        "https://download.docker.",
        "cdrom:[Debian GNU/Linux ",
        "https://apt.example/pub",
    ]
    assert "https://packages.example/apt stable" in host.used()
    assert host.read("sources.list.d/others.sources").startswith(OTHER_STANZAS[: OTHER_STANZAS.index("\n\n")])


@pytest.mark.parametrize("uri", ["https://apt.example/bookworm", "https://apt.example/repos/Debian_12/"])
def test_a_release_may_be_named_by_the_address(host, uri):
    host.write("sources.list", f"deb {uri} ./\n")
    host.run("disabled")
    assert host.run("restored", codenames=["12"])["still_disabled"]


def test_switching_all_off_and_on_leaves_every_byte_as_it_was(host):
    host.both()
    before = host.texts()
    assert host.run("disabled")["changed"]
    host.run("restored", codename="none")
    assert host.texts() == before


@given(TEXTS)
def test_that_is_so_of_any_text(sample):
    text, one_line = sample
    off = edit(text, one_line, "disabled", "bookworm")
    assert edit(off, one_line, "disabled", "bookworm") == off
    assert edit(off, one_line, "restored", "none") == text


# ---- The next release --------------------------------------------------------------------------------------


def test_every_suite_of_the_release_is_renamed_and_nothing_else(host):
    host.both()
    host.run("disabled")
    others = host.read("sources.list.d/others.list"), host.read("sources.list.d/others.sources")
    told = host.run("renamed", to_codename="trixie")
    assert host.read() == BASE.replace("bookworm", "trixie")
    assert host.read("sources.list.d/own.sources") == STANZAS.replace("bookworm", "trixie")
    assert others == (host.read("sources.list.d/others.list"), host.read("sources.list.d/others.sources"))
    assert len(told["affected"]) == 5


@pytest.mark.parametrize(
    "old, new, before, after",
    [
        ("bookworm", "trixie", "stable", "trixie"),
        ("bookworm", "trixie", "stable-updates", "trixie-updates"),
        ("bookworm", "trixie", "oldstable-security", "trixie-security"),
        ("bookworm", "trixie", "bookworm/updates", "trixie-security"),
        ("buster", "bullseye", "buster/updates", "bullseye-security"),
        ("stretch", "buster", "stretch/updates", "buster/updates"),
        ("bookworm", "trixie", "bookworm-backports-sloppy", "trixie-backports-sloppy"),
        ("bookworm", "bookworm", "oldstable-updates", "bookworm-updates"),
    ],
)
def test_a_suite_gets_the_name_that_it_has_in_the_next_release(host, old, new, before, after):
    host.write("sources.list", f"deb http://deb.debian.org/debian {before} main\n")
    host.run("renamed", codename=old, to_codename=new)
    assert host.read() == f"deb http://deb.debian.org/debian {after} main\n"


@pytest.mark.parametrize(
    "old, new, before, after",
    [
        ("bullseye", "bookworm", "main contrib non-free", "main contrib non-free non-free-firmware"),
        ("bullseye", "bookworm", "main non-free non-free-firmware", "main non-free non-free-firmware"),
        ("bullseye", "bookworm", "main contrib", "main contrib"),
        ("bookworm", "trixie", "main non-free", "main non-free"),
    ],
)
def test_firmware_follows_where_debian_has_moved_it(host, old, new, before, after):
    host.write("sources.list.d/x.sources", STANZAS.replace("bookworm", old).replace("main", before))
    host.run("renamed", codename=old, to_codename=new)
    assert host.read("sources.list.d/x.sources") == STANZAS.replace("bookworm", new).replace("main", after)


def test_two_names_of_a_release_become_one(host):
    host.write("sources.list.d/x.sources", STANZAS.replace("bookworm bookworm-updates", "bookworm stable"))
    host.run("renamed", to_codename="trixie")
    assert "\nSuites: trixie\n trixie-backports\n" in host.read("sources.list.d/x.sources")


def test_a_suite_that_the_next_release_has_not_got_is_set_aside_and_told_of_afterwards(host):
    host.write("sources.list", BASE)
    host.write("sources.list.d/own.sources", STANZAS)
    host.run("renamed", to_codename="trixie", drop=["trixie-backports", "trixie-updates"])
    assert host.used() == [
        "http://deb.debian.org/debian trixie",
        "http://deb.debian.org/debian-security trixie-security",
        "http://ftp.de.debian.org/debian trixie",
        "http://security.debian.org/debian-security trixie-security",
    ]
    left = host.run("restored", codename="trixie", codenames=["bookworm"])["still_disabled"]
    assert suites(left) == [
        ("http://ftp.de.debian.org/debian", "bookworm-updates"),
        ("http://deb.debian.org/debian", "bookworm-updates", "bookworm-backports"),
    ]


def test_a_suite_that_is_gone_and_of_no_need_is_set_aside(host):
    backports = "deb http://deb.debian.org/debian bookworm-backports main\n"
    host.write("sources.list", BASE + backports)
    host.run("archived", only=["bookworm-backports"], drop=["bookworm-backports"])
    assert host.read() == BASE + "# uring-lab has set aside: " + backports


def test_a_release_that_is_archived_gives_way_to_one_that_lives(host):
    host.write("sources.list", BASE)
    host.run("archived")
    host.run("renamed", to_codename="trixie")
    assert host.read() == BASE.replace("bookworm", "trixie")


@pytest.mark.parametrize(
    "distribution, old, new, before, after",
    [
        (
            "debian",
            "buster",
            "bullseye",
            "archive.debian.org/debian buster",
            "deb.debian.org/debian bullseye",
        ),
        (
            "debian",
            "buster",
            "bullseye",
            "archive.debian.org/debian-security buster/updates",
            "deb.debian.org/debian-security bullseye-security",
        ),
        ("ubuntu", "eoan", "focal", "old-releases.ubuntu.com/ubuntu eoan", "archive.ubuntu.com/ubuntu focal"),
    ],
)
def test_that_is_so_too_where_somebody_has_taken_it_from_the_archive(
    host, monkeypatch, distribution, old, new, before, after
):
    monkeypatch.setattr(os, "uname", lambda: ("Linux", "lab", "5.6", "1", "x86_64"))
    host.write("sources.list", f"deb [check-valid-until=no] https://{before} main\n")
    assert host.run(distribution=distribution, codename=old)["archived"]
    host.run("renamed", distribution=distribution, codename=old, to_codename=new)
    assert host.read() == f"deb [check-valid-until=no] https://{after} main\n"


def test_ubuntu_for_other_machines_is_at_the_host_of_its_ports(ubuntu, monkeypatch):
    monkeypatch.setattr(os, "uname", lambda: ("Linux", "lab", "5.6", "1", "aarch64"))
    ubuntu.write("sources.list", "deb http://old-releases.ubuntu.com/ubuntu eoan main\n")
    ubuntu.run("renamed")
    assert ubuntu.read() == "deb http://ports.ubuntu.com/ubuntu-ports focal main\n"


def test_a_suite_of_the_next_release_that_has_ended_too_comes_from_the_archive(host):
    host.write("sources.list", BASE)
    host.run("renamed", to_codename="trixie", only=["trixie", "trixie-security"])
    assert host.used() == [
        "http://archive.debian.org/debian trixie",
        "http://archive.debian.org/debian-security trixie-security",
        "http://ftp.de.debian.org/debian trixie-updates",
    ]


@given(TEXTS)
def test_renaming_twice_is_renaming_once(sample):
    text, one_line = sample
    once = edit(text, one_line, "renamed", "bookworm", "trixie")
    assert edit(once, one_line, "renamed", "bookworm", "trixie") == once


# ---- The archive of ended releases -------------------------------------------------------------------------


def test_an_ended_release_of_ubuntu_comes_from_old_releases(ubuntu):
    told = ubuntu.run("archived")
    assert ubuntu.read() == (
        "# uring-lab has moved this source from: http://de.archive.ubuntu.com/ubuntu\n"
        "deb http://old-releases.ubuntu.com/ubuntu eoan main universe\n"
        "# uring-lab has moved this source from: https://security.ubuntu.com/ubuntu/\n"
        "deb https://old-releases.ubuntu.com/ubuntu eoan-security main\n"
    )
    assert not told["archived"] and ubuntu.run()["archived"]


def test_an_ended_release_of_debian_is_taken_although_its_release_files_are_out_of_date(host):
    host.write("sources.list", BASE)
    host.write("sources.list.d/own.sources", STANZAS.replace("deb.debian.org", "mirror.example"))
    host.run("archived", archive_host="archive.example")
    assert host.run(archive_host="archive.example")["archived"]
    assert (
        "deb [arch=amd64 check-valid-until=no] http://archive.example/debian-security bookworm-security"
        in host.read()
    )
    assert "deb [check-valid-until=no] http://archive.example/debian bookworm main non-free\n" in host.read()
    assert host.read("sources.list.d/own.sources").startswith(
        "# Ours.\nTypes: deb deb-src\n# uring-lab has moved this source from: URIs: http://mirror.example/debian\n"
        "Check-Valid-Until: no\nURIs: http://archive.example/debian\nSuites: bookworm bookworm-up"
    )


def test_only_what_has_ended_is_moved_and_a_stanza_is_split_for_it(host):
    host.write("sources.list.d/own.sources", STANZAS)
    host.run("archived", only=["bookworm-backports", "bookworm-security"])
    assert host.used() == [
        "http://archive.debian.org/debian bookworm-backports",
        "http://archive.debian.org/debian-security bookworm-security",
        "http://deb.debian.org/debian bookworm",
        "http://deb.debian.org/debian bookworm-updates",
    ]
    before = host.texts()
    assert not host.run("archived", only=["bookworm-backports", "bookworm-security"])["changed"]
    assert host.texts() == before


def test_nothing_is_moved_where_nothing_has_ended_and_no_suite_of_another_release(host):
    host.write("sources.list.d/own.sources", STANZAS.replace("-backports", "-backports sid"))
    assert not host.run("archived", only=[])["changed"]
    host.run("archived")
    assert "http://deb.debian.org/debian sid" in host.used()


def test_what_was_moved_goes_back_where_it_was(host):
    host.both()
    before = host.texts()
    assert host.run("archived")["changed"]
    told = host.run("returned")
    assert host.texts() == before and told["archived"] and len(told["affected"]) == 5


def test_what_was_split_goes_back_to_the_same_sources(host):
    host.both()
    before = host.used()
    host.run("archived", only=["bookworm-updates"])
    host.run("returned")
    assert host.used() == before


def test_what_the_upgrader_has_given_another_address_keeps_that(ubuntu):
    ubuntu.run("archived")
    text = ubuntu.read().replace("old-releases", "archive").replace("eoan", "focal")
    ubuntu.write("sources.list", text)
    assert not ubuntu.run(codename="focal")["archived"]
    ubuntu.run("returned", codename="focal", to_codename="")
    assert ubuntu.read() == (
        "deb http://archive.ubuntu.com/ubuntu focal main universe\n"
        "deb https://archive.ubuntu.com/ubuntu focal-security main\n"
    )


def test_extended_support_stays_where_it_is_and_debugging_symbols_have_no_archive(ubuntu):
    esm = "deb https://esm.ubuntu.com/infra/ubuntu eoan-infra-security main\n"
    ubuntu.write("sources.list", esm + "deb http://ddebs.ubuntu.com eoan main\n")
    ubuntu.run("archived")
    assert ubuntu.read() == esm + "# uring-lab has set aside: deb http://ddebs.ubuntu.com eoan main\n"


@given(TEXTS, st.booleans())
def test_what_is_archived_stays_so_and_goes_back(sample, part):
    text, one_line = sample
    only = ["bookworm"] if part else None
    moved = edit(text, one_line, "archived", "bookworm", only=only)
    assert edit(moved, one_line, "archived", "bookworm", only=only) == moved
    back = edit(moved, one_line, "returned", "bookworm")
    back = edit(back, one_line, "restored", "none")  # symbols have no archive, and were set aside
    assert back == text or len(apt_sources.split(back, one_line)) > len(apt_sources.split(text, one_line))
    assert pairs(back, one_line) == pairs(text, one_line)


def pairs(text, one_line):
    entries = [apt_sources.read(chunk, one_line) for chunk in apt_sources.split(text, one_line)]
    return {
        (uri, suite)
        for entry in entries
        if entry and entry.enabled
        for uri in entry.uris
        for suite in entry.suites
    }


# ---- A private set -----------------------------------------------------------------------------------------


def test_a_private_set_has_what_would_be_own_and_leaves_the_hosts_as_they_are(host):
    host.both()
    before = host.texts()
    directory = host.root / "private"
    told = host.run("renamed", to_codename="trixie", drop=["trixie-backports"], into=str(directory))
    assert host.texts() == before
    assert "bookworm" not in (directory / "sources.list.d/own.sources").read_text()
    assert told["files"] == [f"{directory}/sources.list", f"{directory}/sources.list.d/own.sources"]
    assert host.used(directory) == [
        "http://deb.debian.org/debian trixie",
        "http://deb.debian.org/debian trixie-updates",
        "http://deb.debian.org/debian-security trixie-security",
        "http://ftp.de.debian.org/debian trixie",
        "http://ftp.de.debian.org/debian trixie-updates",
        "http://security.debian.org/debian-security trixie-security",
    ]
    assert not host.run("renamed", to_codename="trixie", drop=["trixie-backports"], into=str(directory))[
        "changed"
    ]


def test_a_private_set_is_written_anew_as_a_whole(host):
    host.both()
    directory = host.root / "private"
    host.run("archived", into=str(directory))
    (host.root / "etc/apt/sources.list.d/own.sources").unlink()
    host.run("archived", into=str(directory))
    assert [path.name for path in directory.rglob("*") if path.is_file()] == ["sources.list"]
    assert all(source.startswith("http://archive.debian.org/") for source in host.used(directory))


def test_a_private_set_can_be_read_by_apts_own_user(host):
    host.both()
    host.run("archived", into=str(host.root / "private"))
    assert stat.S_IMODE((host.root / "private/sources.list").stat().st_mode) == 0o644


# ---- Files -------------------------------------------------------------------------------------------------


def test_check_mode_says_the_same_and_writes_nothing(host):
    host.both()
    before = host.texts()
    would = host.run("disabled", check=True)
    into = host.run("archived", check=True, into=str(host.root / "private"))
    assert host.texts() == before and into["changed"] and not (host.root / "private").exists()
    assert {**host.run("disabled"), "invocation": ""} == {**would, "invocation": ""}


def test_a_file_keeps_its_mode_a_link_stays_one_and_an_empty_file_stays(host):
    host.write("sources.list", "")
    real = host.root / "etc/real.list"
    real.write_text("deb http://x.example/x stable main\n")
    real.chmod(0o640)
    link = host.root / "etc/apt/sources.list.d/x.list"
    link.symlink_to(real)
    host.run("disabled")
    assert link.is_symlink() and real.read_text().startswith("# uring-lab") and host.read() == ""
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_bytes_that_are_no_utf_8_survive(host):
    path = host.root / "etc/apt/sources.list"
    path.write_bytes(b"# Gr\xfc\xdfe\r\ndeb http://x.example/\xfc stable main\r\n")
    told = host.run("disabled")
    assert (
        path.read_bytes()
        == b"# Gr\xfc\xdfe\r\n# uring-lab has set aside: deb http://x.example/\xfc stable main\r\n"
    )
    assert told["affected"][0]["uri"].startswith("http://x.example/")
