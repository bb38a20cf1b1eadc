"""What stops an upgrade by apt before it begins: made-up forecasts through the table of vars/foreseen.yml."""

import pytest

from tests.unit.ansible_play import ROOT, found

ROLE = ROOT / "roles/release_upgrade"

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

TASKS = """
- ansible.builtin.set_fact:
    found: "{{ found | default({}) | combine({item.key: {'problems': problems, 'foreseen': foreseen}}) }}"
  vars:
    problems: "{{ __release_upgrade_refused }}"
    foreseen: "{{ __release_upgrade_foreseen }}"
    __release_upgrade_hop: {to: trixie}
    __release_upgrade_third_party: {acted: "{{ item.value.aside }}"}
    __release_upgrade_held: {stdout_lines: "{{ item.value.held }}"}
    __release_upgrade_fetched: "{{ item.value.fetched }}"
    __release_upgrade_forecast: "{{ item.value.plan }}"
    __release_upgrade_space: {stdout_lines: "{{ ['Mounted on Avail'] + item.value.space }}"}
    __release_upgrade_missing: [trixie-backports]
  loop: "{{ cases | dict2items }}"
  loop_control: {label: "{{ item.key }}"}
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return what Ansible makes of the cases."""
    cases = {
        name: {
            "plan": {} if given.get("plan", {}) is None else {**PLAN, **given.get("plan", {})},
            "fetched": {"rc": 0, "stderr": ""} | given.get("fetched", {}),
            "held": given.get("held", []),
            "space": given.get("space", ROOMY),
            "aside": [
                {"uri": "http://ppa", "suites": ["bookworm"], "file": "/etc/apt/sources.list.d/p.list"}
            ],
        }
        for name, (given, _expected) in CASES.items()
    }
    vars_files = [ROLE / "vars/main.yml", ROLE / "vars/foreseen.yml"]
    return found(tmp_path_factory.mktemp("foreseen"), TASKS, cases, vars_files)


@pytest.mark.parametrize("case", CASES)
def test_a_hop_that_would_stop_half_way_is_refused_with_the_reason(told, case):
    expected = CASES[case][1]
    problems = told[case]["problems"]
    if expected is None:
        assert problems == []
        return
    begins, holds = expected
    assert len(problems) == 1
    assert problems[0].startswith(begins)
    assert holds in " ".join(problems[0].split())


def test_what_is_known_beforehand_is_said_in_full(told):
    assert " ".join(told["held in the way"]["foreseen"].split()) == (
        "2 packages to upgrade, 1 new, 1 to remove: libold; 100 MiB to fetch, 200 MiB more on disk. "
        "As the host is now, it would be refused: apt finds no way to trixie: E:Unable "
        "Held packages may be in its way: libold; `apt-mark unhold` frees them. "
        "trixie has no trixie-backports, which is left out. "
        "Set aside for it: http://ppa bookworm (p.list). Held, and left as they are: libold."
    )


def test_what_stays_behind_for_the_sake_of_a_held_package_is_named(told):
    assert "Kept back, mostly by held ones: vim-common." in told["vim held"]["foreseen"]


def test_check_says_why_nothing_can_be_foreseen(told):
    assert (
        told["no lists"]["foreseen"].strip().startswith("What it would do cannot be foreseen: The lists of")
    )
