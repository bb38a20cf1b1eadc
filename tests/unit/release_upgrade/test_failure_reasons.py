"""Why a hop was not made: the reasons that are found in what Ubuntu's upgrader, apt and dpkg print."""

import sys
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles/release_upgrade"
sys.path.insert(0, str(ROLE / "filter_plugins"))

from failure_reason import failure_message, failure_reason, host_status, next_remedy  # noqa: E402

REASONS = yaml.safe_load((ROLE / "vars/failure_reasons.yml").read_text())["__release_upgrade_failure_reasons"]

#: What a hop that was made leaves behind; the first line of ERROR is of a try that may fail.
MADE = """
2026-11-22 10:00:01,000 INFO release-upgrader version '22.04.10' started
2026-11-22 10:00:09,000 ERROR doUpdate() failed completely
2026-11-22 10:00:12,000 DEBUG entry 'deb http://archive.ubuntu.com/ubuntu jammy main' updated to new dist
2026-11-22 10:00:13,000 DEBUG Foreign: lab-tool
2026-11-22 10:00:20,000 WARNING got a conffile-prompt from dpkg for file: '/etc/lab.conf'
2026-11-22 10:20:00,000 DEBUG confirmRestart() called
"""


def reason(text):
    """Return the name of the first reason in a text, found as the role finds it."""
    return failure_reason(text, REASONS)["name"]


def main_log(words):
    """Return an error as the upgrader's front end for nobody writes it, and what it writes after it."""
    return f"{MADE}2026-11-22 10:21:00,000 ERROR {words} (None)\n2026-11-22 10:21:00,001 DEBUG abort called\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pending updates", "Please install all available updates for your release before upgrading."),
        ("pending reboot", "You have not rebooted after updating a package which requires a reboot."),
        ("way closed", "Release upgrade not possible right now\r\nThe release upgrade can not be"),
        ("prompt never", "Prompt \r\nis set to never so upgrading is not possible."),
        ("no next LTS", "There is no development version of an LTS available."),
        ("no new release", "Checking for a new Ubuntu release\r\nNo new release found.\r\n"),
        ("release notes", "Continue [yN] "),
        ("no release notes", "Could not download the release announcement"),
        ("no upgrader", "Failed to fetch\r\nFetching the upgrade failed. There may be a network problem. "),
        ("upgrader not authentic", "Authentication failed\r\nAuthenticating the upgrade failed. There may"),
        ("upgrader not whole", "Failed to extract\r\nExtracting the upgrade failed."),
        (
            "noexec",
            "Can not run the upgrade\r\nIt usually is caused by a system where /tmp is mounted noexec.",
        ),
    ],
)
def test_what_do_release_upgrade_prints_is_understood(name, text):
    assert reason(text) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong way", "Can not upgrade An upgrade from 'eoan' to 'jammy' is not supported with this tool."),
        ("python link", "Can not upgrade Your python3 install is corrupted. Please fix the"),
        ("python link", "Can not upgrade Your python install is corrupted. Please fix the"),
        ("lock", "Unable to get exclusive lock This usually means that another"),
        ("broken packages", "Broken packages Your system contains broken packages that couldn't be fixed"),
        (
            "package to be reinstalled",
            "Packages in inconsistent state The packages 'a, b' are in an inconsistent state and need to be "
            "reinstalled, but no archive",
        ),
        ("machine barred", "Sorry, no more upgrades for this system There will not be any further"),
        ("machine barred", "Sorry, cannot upgrade this system to 25.10 On Ubuntu 25.10 and later"),
        ("lists not fetched", "Error during update A problem occurred during the update."),
        (
            "no packages of the release",
            "Error during update A problem occurred during the update. ('E:The repository "
            "'http://mirror.lab/ubuntu focal Release' does not have a Release file.')",
        ),
        (
            "no essential package",
            "the essential package 'ubuntu-minimal' could not be located.",
        ),
        ("no way for apt", "Could not calculate the upgrade An unresolvable problem occurred"),
        (
            "packages not authentic",
            "It was not possible to authenticate some packages.",
        ),
        (
            "boot too small",
            "Not enough free disk space It needs a total of 99 M free space on disk '/boot'.",
        ),
        ("no space", "Not enough free disk space It needs a total of 9 G free space on disk '/'."),
        ("packages not fetched", "Could not download the upgrades The upgrade has aborted."),
        ("packages not installed", "Could not install the upgrades The upgrade has aborted."),
    ],
)
def test_what_the_upgrader_writes_to_its_log_alone_is_understood(name, words):
    assert reason(main_log(words)) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lock", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)"),
        ("lock", "E: Unable to lock directory /var/lib/apt/lists/"),
        ("interrupted dpkg", "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"),
        ("no space", "dpkg: error processing archive x.deb: cannot copy: No space left on device"),
        ("release gone", "Err:2 http://deb.debian.org/debian buster/main amd64 Packages\r\n  404  Not Found"),
        (
            "release gone",
            "E: The repository 'http://m.lab/ buster Release' no longer has a Release file.",
        ),
        ("expired", "E: Release file for http://m.lab/InRelease is expired (invalid since 9d)."),
        ("not signed", "The following signatures couldn't be verified: NO_PUBKEY 0E98404D386FA1D9"),
        ("mirror in between", "E: Failed to fetch http://m.lab/Packages.xz  Hash Sum mismatch"),
        ("no network", "E: Failed to fetch http://m.lab/x.deb  Temporary failure resolving 'm.lab'"),
        ("unmet dependencies", "E: Unable to correct problems, you have held broken packages."),
        ("script of a package", "E: Sub-process /usr/bin/dpkg returned an error code (1)"),
    ],
)
def test_what_apt_and_dpkg_print_is_understood(name, text):
    assert reason(text) == name


def test_a_cause_is_told_and_not_what_follows_from_it():
    unreachable = "Failed to connect to https://changelogs.ubuntu.com/meta-release-lts. Check your Internet"
    assert reason(f"{unreachable}\nThere is no development version of an LTS available") == "no meta-release"
    assert reason(f"{unreachable}\r\nNo new release found.") == "no meta-release"
    assert reason(main_log("Upgrade infeasible") + "Traceback (most recent call last):") == "no way for apt"


def test_nothing_is_found_amiss_in_what_a_hop_that_was_made_leaves_behind():
    assert reason(f"== Running do-release-upgrade\nNew release '22.04' available.\n{MADE}") == "unknown"


def test_every_reason_says_something_to_a_person_and_has_a_remedy_that_the_role_knows():
    for reason in REASONS:
        assert reason["says"].endswith("."), reason["name"]
        assert reason["remedy"] in {"", "updates", "reboot", "repair", "clean", "again"}, reason["name"]


def test_every_reason_has_a_name_of_its_own():
    names = [reason["name"] for reason in REASONS]
    assert sorted(set(names)) == sorted(names)


LINES = ["codename=focal\r", "audit=\r", "pending=\r", "packages=1a -\r", "result=success\r", "\r"]


def test_a_hop_is_made_where_the_release_is_there_and_nothing_is_left_to_do():
    assert host_status(LINES, {"to": "focal", "packages": "0b -"})["succeeded"]
    assert not host_status(LINES, {"to": "jammy"})["succeeded"]
    left = host_status([*LINES, "pending=Inst a=1;"], {"to": "focal", "packages": "1a -"})
    assert (left["succeeded"], left["untouched"]) == (False, True)
    assert left["where"] == "it runs focal, left to do: Inst a=1;."


def test_each_remedy_is_tried_once_and_none_after_a_time_out():
    reason = {"remedy": "repair"}
    assert next_remedy(reason, {"result": "success"}, []) == "repair"
    assert next_remedy(reason, {"result": "success"}, ["repair"]) == ""
    assert next_remedy(reason, {"result": "timeout"}, []) == ""


def test_the_message_holds_cause_and_state_and_the_end_of_the_log():
    hop = {"from": "focal", "to": "jammy", "packages": "1a -"}
    status = host_status([*LINES, "result=timeout"], hop)
    message = failure_message(hop, status, {"says": "Why."}, "first\r\n\r\nlast\r\n", "box", 10, "/log")
    assert message.splitlines() == [
        "box was not upgraded from focal to jammy within 10 s (release_upgrade_timeout).",
        "Why.",
        "No package was touched; its sources are as they were.",
        "Its log, /log, ends in:",
        "first",
        "last",
    ]
