"""What is said of an upgrade: before a hop, after it, and at the end of the step."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/release_upgrade/filter_plugins"))

from release_report import announcement, hop_notes, release_report, resume_announcement, rollback_report

HOPS = [{"version": "12", "codename": "bookworm"}, {"version": "13", "codename": "trixie"}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "Debian 11, all updates in"),
        ({"updated": True, "rebooted": True}, "Debian 11, updates installed, rebooted"),
        ({"updated": True, "rebooted": True, "check": True}, "Debian 11, would install updates"),
        ({"hops": HOPS, "check": True}, "Debian 11, would upgrade to 12 and 13"),
        ({"note": "no way back", "notes": ["a", "b"]}, "Debian 11, all updates in; no way back; a; b"),
    ],
)
def test_the_report_says_what_was_done_or_would_be(given, expected):
    path = {"hops": given.pop("hops", []), "note": given.pop("note", "")}
    seen = {"check": False, "updated": False, "rebooted": False, "notes": [], **given}
    assert release_report(path, "Debian 11", **seen) == expected


def test_a_hop_is_announced_with_those_that_follow():
    assert announcement(HOPS, 0, "Debian", True) == "would upgrade Debian to 12 (bookworm), then trixie"
    assert announcement(HOPS, 1, "Debian", False) == "upgrading Debian to 13 (trixie)"


def test_a_check_names_the_hop_that_would_be_resumed():
    said = resume_announcement({"from": "bookworm", "to": "trixie"})
    assert said == "would go on with the upgrade from bookworm to trixie that an earlier run began"
    assert resume_announcement({}) == ""


def test_after_a_hop_what_a_person_has_to_know_is_told():
    source = {"uri": "http://ppa", "suites": ["bookworm"], "file": "/etc/apt/sources.list.d/p.list"}
    hop = {"from": "bookworm", "to": "trixie"}
    assert hop_notes(hop, [], []) == ["upgraded from bookworm to trixie"]
    assert hop_notes(hop, ["/etc/a.dpkg-dist", "/etc/b.ucf-dist"], [source])[1:] == [
        "kept as they were, the new one beside each: /etc/a, /etc/b",
        "left switched off, since they name a release: http://ppa bookworm (p.list)",
    ]


def test_a_rollback_says_what_it_leaves_of_an_upgrade():
    assert rollback_report({"manifest": {}, "damaged": []}, "/kept") == "an upgrade is not taken back"
    said = rollback_report({"manifest": {"from": "bookworm", "to": "trixie"}, "damaged": []}, "/kept")
    assert "an upgrade from bookworm to trixie" in said
    said = rollback_report({"manifest": {}, "damaged": ["x.json is damaged"]}, "/kept")
    assert said.startswith("left: x.json is damaged. ")
    assert "/kept" in said
