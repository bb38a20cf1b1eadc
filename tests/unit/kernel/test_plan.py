"""What the kernel step does, remembers, records and takes back, decided from what a host told of itself."""

import sys

import pytest

from tests.unit.ansible_play import ROOT
from tests.unit.kernel.hosts import PARAMETERS, RUNNING, SOUND

sys.path.insert(0, str(ROOT / "roles/kernel/filter_plugins"))

from kernel_install import kernel_images
from kernel_plan import (
    kernel_manifest,
    kernel_plan,
    kernel_record,
    kernel_rollback,
    kernel_trial,
)

NEW = "5.6.0-050600-generic"
BUILD = {"version": "5.6", "stamp": "202003292333", "release": NEW, "url": "http://x/v5.6/", "debs": []}
DEBS = {"release": NEW, "debs": [{"package": f"linux-image-{NEW}", "version": "5.6.0-1", "sha256": "a"}]}
WANTED = {"source": "mainline", "version": "5.6", "flavour": "generic", "headers": True}
MANIFEST = {
    **WANTED,
    "wanted": WANTED,
    "release": NEW,
    "packages": {f"linux-image-{NEW}": "5.6.0-1"},
    "previous": RUNNING,
    "replaces": {},
    "promoted": True,
    "entry": "new",
    "trial": {},
}
UNPROVED = {**MANIFEST, "promoted": False, "entry": ""}
PROVED = {
    "manifest": MANIFEST,
    "installed": [f"linux-image-{NEW}"],
    "running": NEW,
    "entries": {NEW: "new", RUNNING: "old"},
    "saved_entry": "new",
}


def plan(state=None, debs=None, build=None, **parameters):
    return kernel_plan({**SOUND, **(state or {})}, {**PARAMETERS, **parameters}, debs or {}, build or {})


@pytest.mark.parametrize(
    ("found", "report"),
    [
        (plan(source="keep"), f"kept {RUNNING}"),
        (
            plan({"container": "systemd-nspawn"}, source="apt"),
            f"a container runs the kernel of its host, {RUNNING}",
        ),
        (plan(PROVED), f"{NEW}, proved and default already"),
        (
            plan(build=BUILD),
            f"would install mainline 5.6 ({NEW}, 202003292333) beside {RUNNING}, boot it once on trial and "
            "make it the default",
        ),
        (
            plan(source="apt", apt_package="linux-image-amd64"),
            f"would install linux-image-amd64 from the sources of the host beside {RUNNING}, boot it once on "
            "trial and make it the default",
        ),
        (
            plan(source="debs", debs=DEBS, debs_folder="/debs"),
            f"would install {NEW} from /debs beside {RUNNING}, boot it once on trial and make it the default",
        ),
        (
            plan({**PROVED, "running": RUNNING}),
            f"would install {NEW} beside {RUNNING}, boot it once on trial and make it the default",
        ),
    ],
)
def test_the_report_says_what_holds_or_would_be_done(found, report):
    assert found["report"] == report
    assert found["to_change"] == report.startswith("would")


@pytest.mark.parametrize(
    ("spoilt", "is_done"),
    [
        ({}, True),
        ({"running": RUNNING}, False),
        ({"saved_entry": "old"}, False),
        ({"next_entry": "old"}, False),
        ({"installed": []}, False),
        ({"manifest": UNPROVED}, False),
    ],
)
def test_a_kernel_is_done_with_once_it_is_installed_proved_running_and_the_default(spoilt, is_done):
    assert plan({**PROVED, **spoilt})["to_change"] != is_done


@pytest.mark.parametrize(
    ("version", "state", "build", "to_read"),
    [
        ("5.6", {}, {}, True),
        ("5.6", PROVED, {}, False),
        ("5.6.0", PROVED, {}, False),
        ("5.6.x", PROVED, {}, True),
        ("latest", PROVED, {}, True),
        ("latest", {}, BUILD, False),
        ("5.6", {"container": "lxc"}, {}, False),
    ],
)
def test_the_archive_is_asked_only_for_what_is_not_known(version, state, build, to_read):
    assert plan(state, build=build, version=version)["to_read"] == to_read


@pytest.mark.parametrize(
    ("running", "parameters", "suite", "package"),
    [
        (RUNNING, {}, "bookworm-backports", "linux-image-amd64"),
        ("6.1.0-49-cloud-amd64", {}, "bookworm-backports", "linux-image-cloud-amd64"),
        ("6.1.0-49-rt-arm64", {}, "bookworm-backports", "linux-image-rt-arm64"),
        (RUNNING, {"apt_suite": "trixie"}, "trixie", "linux-image-amd64"),
        (RUNNING, {"apt_package": "linux-image-6.12.9-amd64"}, "", "linux-image-6.12.9-amd64"),
        (RUNNING, {"distribution_version": "10"}, "", ""),
        (
            RUNNING,
            {"distribution": "Ubuntu", "distribution_version": "24.04"},
            "",
            "linux-image-generic-hwe-24.04",
        ),
    ],
)
def test_a_kernel_of_the_archive_is_the_newer_one_of_the_release_and_flavour(
    running, parameters, suite, package
):
    newer = {**PARAMETERS["newer"], "Ubuntu": {"24.04": {"package": "linux-image-generic-hwe-24.04"}}}
    found = plan({"running": running}, source="apt", newer=newer, **parameters)
    assert (found["suite"], found["package"]) == (suite, package)


def test_the_debs_are_read_even_for_a_host_that_takes_none():
    assert plan({"container": "lxc"}, source="debs")["to_read"]
    assert not plan(source="debs", debs=DEBS)["to_read"]


@pytest.mark.parametrize(
    ("boot_seconds", "confirm", "boot", "expected"),
    [
        (20, "0", "0", (300, 900)),
        (200.5, "0", "0", (800, 1400)),
        (20, "60", "0", (60, 660)),
        (20, 0, 90, (300, 90)),
    ],
)
def test_the_time_outs_follow_the_host_unless_they_are_given(boot_seconds, confirm, boot, expected):
    found = plan({"boot_seconds": boot_seconds}, confirm_timeout=confirm, boot_timeout=boot)
    assert (found["confirm_seconds"], found["boot_seconds"]) == expected


def test_an_unproved_kernel_goes_only_where_another_is_wanted():
    assert not plan({"manifest": UNPROVED, "installed": [f"linux-image-{NEW}"]})["leftover"]
    assert plan({"manifest": UNPROVED}, version="5.7")["leftover"]
    assert not plan({"manifest": MANIFEST}, version="5.7")["leftover"]


TRIAL = {**UNPROVED, "trial": {"boot_id": "1", "seconds": "300"}}


@pytest.mark.parametrize(
    ("state", "stands"),
    [
        ({}, "none"),
        ({"manifest": MANIFEST}, "none"),
        ({"manifest": TRIAL}, "pending"),
        ({"manifest": TRIAL, "boot_id": "2", "running": NEW}, "passed"),
        ({"manifest": TRIAL, "boot_id": "2"}, "failed"),
    ],
)
def test_how_a_trial_stands(state, stands):
    assert kernel_trial({**SOUND, **state}) == stands


def test_the_kernel_to_go_back_to_is_the_first_one_that_was_there():
    state = {**SOUND, **PROVED}
    made = kernel_manifest(state, plan(PROVED, DEBS, BUILD), DEBS, BUILD)
    assert made["previous"] == RUNNING
    assert made["replaces"] == MANIFEST
    assert (made["promoted"], made["trial"], made["packages"]) == (
        False,
        {},
        {f"linux-image-{NEW}": "5.6.0-1"},
    )
    over_unproved = kernel_manifest({**state, "manifest": made}, plan(PROVED, DEBS, BUILD), DEBS, BUILD)
    assert over_unproved["replaces"] == MANIFEST


@pytest.mark.parametrize(
    ("fallback", "ours", "marks"),
    [
        ({"package": "linux-image-mine", "mark": "auto"}, {}, {"linux-image-mine": "auto"}),
        ({"package": "linux-image-mine", "mark": "manual"}, {}, {}),
        ({"package": "", "mark": ""}, {}, {}),
        ({"package": f"linux-image-{NEW}", "mark": "auto"}, {f"linux-image-{NEW}": {}}, {}),
    ],
)
def test_the_mark_of_the_fallback_kernel_is_recorded_where_it_was_the_owners(fallback, ours, marks):
    record = {**SOUND["record"], "packages": ours}
    state = {**SOUND, "fallback": fallback, "record": record, "saved_entry": "owners"}
    found = kernel_record(state, ["/etc/grub.d/x"])
    assert found["marks"] == marks
    assert found["files"] == ["/etc/grub.d/x"]
    assert found["grub"] == {"previous": RUNNING, "saved_entry": "owners"}


RECORD = {
    "packages": {f"linux-image-{NEW}": {}},
    "holds": [f"linux-image-{NEW}"],
    "marks": {},
    "files": [],
    "grub": {"previous": RUNNING, "saved_entry": ""},
}


@pytest.mark.parametrize(
    ("state", "previous", "unhold", "left"),
    [
        ({**PROVED, "record": RECORD, "held": [f"linux-image-{NEW}"]}, RUNNING, [f"linux-image-{NEW}"], []),
        ({**PROVED, "record": RECORD}, RUNNING, [], []),
        ({}, "", [], []),
        (
            {"record": RECORD, "damaged": ["kernel.json is empty"], "manifest": {}},
            RUNNING,
            [],
            ["kernel.json is empty"],
        ),
        (
            {**PROVED, "damaged": ["ledger is empty"]},
            RUNNING,
            [],
            ["ledger is empty", f"linux-image-{NEW}, which may have been there before"],
        ),
    ],
    ids=["whole", "released-by-the-owner", "nothing", "manifest-damaged", "ledger-damaged"],
)
def test_the_way_back_goes_by_what_is_recorded_and_lists_what_is_not(state, previous, unhold, left):
    found = kernel_rollback({**SOUND, **state}, 0)
    assert (found["previous"], found["unhold"], found["left"]) == (previous, unhold, left)


def test_a_metapackage_stands_for_the_image_and_modules_that_it_depends_on():
    debian = "linux-image-amd64\n  Depends: linux-image-6.1.0-49-amd64\n"
    assert kernel_images(debian, "linux-image-amd64") == ["linux-image-6.1.0-49-amd64"]
    ubuntu = (
        "linux-image-6.8.0-31-generic\n |Depends: linux-modules-6.8.0-31-generic\n  Depends: kmod\n"
        "  Depends: linux-base\n"
    )
    assert kernel_images(ubuntu, "linux-image-6.8.0-31-generic") == [
        "linux-image-6.8.0-31-generic",
        "linux-modules-6.8.0-31-generic",
    ]
