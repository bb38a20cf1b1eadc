"""What stops an upgrade by apt before it begins: made-up forecasts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/release_upgrade/filter_plugins"))

from release_preconditions import divide_missing, release_preconditions, upgrader_preconditions

PLAN = {
    "upgraded": ["bash", "libc6"],
    "installed": ["libc6-new"],
    "removed": ["libold"],
    "held": [],
    "kept_back": [],
    "kept_back_required": [],
    "download_mib": 100,
    "space_mib": 200,
    "problem": "",
}

#: What `df --output=target,avail` prints of /usr, of apt's cache and of /boot.
ROOMY = ("/ 9000", "/ 9000", "/ 9000")
GONE = (
    "E: The repository 'http://deb.debian.org/debian trixie-security Release' does not have a Release file."
)

#: By name: what is found, and what the one reason that is told has to begin with and to hold.
CASES = {
    "sound": ({}, None),
    "no lists": (
        {"fetched": {"rc": 100, "stderr": GONE}, "plan": None},
        ("The lists of trixie cannot be had", GONE[3:]),
    ),
    "no way": ({"plan": {"problem": "E:Unable"}}, ("apt finds no way to trixie", "E:Unable")),
    "held in the way": (
        {"plan": {"problem": "E:Unable"}, "held": ["libold"]},
        ("apt finds no way", "`apt-mark unhold`"),
    ),
    "libc6 held": (
        {"plan": {"held": ["libc6"], "kept_back": ["libc-bin", "vim"], "kept_back_required": ["libc-bin"]}},
        ("The held packages (libc6) would keep back", "2 others, libc-bin among them"),
    ),
    "vim held": ({"plan": {"held": ["vim"], "kept_back": ["vim-common"]}}, None),
    "ssh would go": (
        {"plan": {"removed": ["sudo", "openssh-server"]}},
        ("apt would remove", "openssh-server"),
    ),
    "just fits": ({"space": ("/ 330", "/ 330", "/ 330")}, None),
    "too full": ({"space": ("/ 329", "/ 329", "/ 329")}, ("It needs 100 MiB", "/ has too little free")),
    "cache apart": (
        {"space": ("/ 9000", "/var 109", "/ 9000")},
        ("It needs", "/var has too little free: /: 9000 MiB, /var: 109 MiB."),
    ),
    "each has enough": ({"space": ("/ 220", "/var 110", "/ 220")}, None),
    "boot too small": (
        {"space": ("/ 9000", "/ 9000", "/boot 199"), "plan": {"installed": ["linux-image-6.12"]}},
        ("It needs", "/boot has too little free"),
    ),
    "small boot and no kernel": ({"space": ("/ 9000", "/ 9000", "/boot 199")}, None),
    "it gets less": ({"plan": {"space_mib": -50}, "space": ("/ 110", "/ 110", "/ 110")}, None),
}

ASIDE = {"uri": "http://ppa", "suites": ["bookworm"], "file": "/etc/apt/sources.list.d/p.list"}


def told(case):
    """Return what is made of a case."""
    given = CASES[case][0]
    plan = given.get("plan", {})
    return release_preconditions(
        {} if plan is None else {**PLAN, **plan},
        to="trixie",
        fetched={"rc": 0, "stderr": ""} | given.get("fetched", {}),
        space=["Mounted on Avail", *given.get("space", ROOMY)],
        held=given.get("held", []),
        dropped=["trixie-backports"],
        third_party=[ASIDE],
    )


@pytest.mark.parametrize("case", CASES)
def test_a_hop_that_would_stop_half_way_is_refused_with_the_reason(case):
    expected = CASES[case][1]
    problems = told(case)["failed"]
    if expected is None:
        assert problems == []
        return
    begins, holds = expected
    assert len(problems) == 1
    assert problems[0].startswith(begins)
    assert holds in problems[0]


def test_what_is_known_beforehand_is_said_in_full():
    assert told("held in the way")["forecast"] == (
        "2 packages to upgrade, 1 new, 1 to remove: libold; 100 MiB to fetch, 200 MiB more on disk. "
        "As the host is now, it would be refused: apt finds no way to trixie: E:Unable "
        "Held packages may be in its way: libold; `apt-mark unhold` frees them. "
        "trixie has no trixie-backports, which is left out. "
        "Set aside for it: http://ppa bookworm (p.list). Held, and left as they are: libold."
    )


def test_what_stays_behind_for_the_sake_of_a_held_package_is_named():
    assert "Kept back, mostly by held ones: vim-common." in told("vim held")["forecast"]


def test_ubuntus_upgrader_is_left_to_check_and_what_stays_as_it_is_is_named():
    rest = "Ubuntu's upgrader works out the rest by itself."
    assert upgrader_preconditions([], []) == {"failed": [], "forecast": rest}
    assert upgrader_preconditions([ASIDE], ["vim"])["forecast"] == (
        f"Set aside for it: http://ppa bookworm (p.list). Held, and left as they are: vim. {rest}"
    )


def test_check_says_why_nothing_can_be_foreseen():
    assert told("no lists")["forecast"].startswith("What it would do cannot be foreseen: The lists of")


def test_a_suite_that_is_gone_is_left_out_and_the_release_itself_never():
    expected = {"dropped": ["trixie-backports"], "archived": ["trixie"]}
    assert divide_missing(["trixie-backports", "trixie"], "trixie") == expected
    assert divide_missing([], "trixie") == {"dropped": [], "archived": []}
