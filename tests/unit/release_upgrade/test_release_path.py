"""The hops of an upgrade: which way leads from a release to another one, and why there is none."""

import csv
import sys
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles/release_upgrade"
sys.path.insert(0, str(ROLE / "filter_plugins"))

from release_path import release_path, upgrader_prompt  # noqa: E402

RELEASES = yaml.safe_load((ROLE / "vars/releases.yml").read_text())["__release_upgrade_releases"]
TODAY = "2026-11-22"


def path(distribution, present, target, today=TODAY):
    return release_path(RELEASES[distribution], present, target, today)


def hops(*arguments, **keywords):
    answer = path(*arguments, **keywords)
    assert not answer["problem"]
    return [hop["codename"] for hop in answer["hops"]]


@pytest.mark.parametrize(
    ("distribution", "present", "target", "expected"),
    [
        ("ubuntu", "bionic", "focal", ["focal"]),
        ("ubuntu", "eoan", "focal", ["focal"]),
        ("ubuntu", "focal", "24.04", ["jammy", "noble"]),
        ("ubuntu", "bionic", "lts", ["focal", "jammy", "noble", "resolute"]),
        ("ubuntu", "questing", "26.04", ["resolute"]),
        ("debian", "bullseye", "13", ["bookworm", "trixie"]),
        ("debian", "bookworm", "lts", ["trixie"]),
    ],
)
def test_the_way_takes_the_steps_that_the_upgrader_takes(distribution, present, target, expected):
    assert hops(distribution, present, target) == expected


def test_a_way_through_a_release_that_still_has_updates_is_taken():
    assert hops("ubuntu", "noble", "plucky", today="2025-06-01") == ["oracular", "plucky"]


@pytest.mark.parametrize(
    ("present", "target", "through"), [("cosmic", "focal", "disco"), ("noble", "questing", "oracular")]
)
def test_a_way_through_a_release_past_its_end_is_refused_by_name(present, target, through):
    answer = path("ubuntu", present, target)
    assert answer["hops"] == []
    assert f"({through}), whose updates ended on 20" in answer["problem"]


def test_debian_is_upgraded_through_releases_past_their_end():
    assert hops("debian", "bullseye", "trixie", today="2031-01-01") == ["bookworm", "trixie"]


@pytest.mark.parametrize("distribution", RELEASES)
def test_there_is_never_a_way_back(distribution):
    codenames = [release["codename"] for release in RELEASES[distribution]]
    for place, present in enumerate(codenames):
        for target in codenames[: place + 1]:
            answer = path(distribution, present, target)
            assert (answer["hops"], answer["problem"]) == ([], "")
            assert ("newer than" in answer["note"]) == (target != present)


def test_a_release_newer_than_the_table_is_left_where_it_is():
    answer = path("debian", "forky", "trixie")
    assert answer["hops"] == []
    assert answer["note"] == "forky is no release that 13 (trixie) comes after"


@pytest.mark.parametrize("target", ["jammy", "20.10", "warty", ""])
def test_what_is_no_release_of_the_distribution_is_refused_with_those_that_are(target):
    answer = path("debian", "bookworm", target)
    assert answer["problem"].startswith(
        f"there is no release {target} to upgrade to; known are lts, 11 (bull"
    )


@pytest.mark.parametrize("distribution", RELEASES)
def test_keep_keeps_any_release(distribution):
    assert path(distribution, "anything", "keep") == {"hops": [], "note": "", "problem": ""}


@pytest.mark.parametrize("distribution", RELEASES)
def test_the_table_is_that_of_the_distribution(distribution):
    source = Path(f"/usr/share/distro-info/{distribution}.csv")
    if not source.exists():
        pytest.skip(f"{source} is not there: the package distro-info-data is not installed")
    known = {row["series"]: row for row in csv.DictReader(source.open())}
    for release in RELEASES[distribution]:
        row = known.get(release["codename"])
        if row is None:
            continue  # this computer's copy is older than the release
        assert row["version"].split()[0] == release["version"]
        assert row["version"].endswith("LTS") == release.get("lts", False)
        assert (row.get("eol-esm") or row.get("eol-lts") or row["eol"]) == release["until"]
    released = [
        name for name, row in known.items() if row["version"] and "" < (row["release"] or "") <= TODAY
    ]
    first = released.index(RELEASES[distribution][0]["codename"])
    assert [release["codename"] for release in RELEASES[distribution]][: len(released) - first] == released[
        first:
    ]


@pytest.mark.parametrize(
    ("present", "following", "prompt"),
    [("focal", "jammy", "lts"), ("eoan", "focal", "normal"), ("jammy", "kinetic", "normal")],
)
def test_the_upgrader_is_told_to_offer_the_release_of_the_hop(present, following, prompt):
    assert upgrader_prompt(RELEASES["ubuntu"], present, following) == prompt
