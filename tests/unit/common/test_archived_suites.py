"""Which suites a mirror does not have any more is read from apt's own words."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/common/filter_plugins"))

from archived_suites import lists_failure, missing_suites, optional_suites

#: apt 2.2 and 1.6, as its module hands them on: in one line, without the mark of an error.
GONE = (
    "Failed to update apt cache: E:The repository 'http://deb.debian.org/debian bullseye-backports Release' "
    "does not have a Release file., E:The repository 'http://m.lab/ubuntu cosmic Release' no longer has a "
    "Release file., W:Updating from such a repository can't be done securely"
)
ERRORS = """\
W: GPG error: http://m.lab bookworm InRelease
E: Failed to fetch http://m.lab/InRelease  Could not resolve 'm.lab'
E: Some index files failed to download.
E: A fourth message.
N: A note.
"""


def test_the_suites_that_are_missing_are_found_each_once():
    assert missing_suites(GONE + GONE) == ["bullseye-backports", "cosmic"]
    assert missing_suites("E:Could not get lock /var/lib/apt/lists/lock.") == []


def test_a_host_that_leaves_its_release_can_do_without_some():
    suites = ["bullseye", "bullseye-updates", "bullseye-backports-sloppy", "bullseye-proposed-updates"]
    assert optional_suites(suites) == suites[2:]


def test_the_message_names_the_suites_and_where_they_were_looked_for_and_repeats_apt():
    said = lists_failure(ERRORS, "box", ["cosmic", "cosmic-updates"], "old-releases.ubuntu.com")
    assert said == (
        "The lists of packages of box cannot be had. Not on their mirror any more: cosmic, cosmic-updates; "
        "and old-releases.ubuntu.com, where such suites are kept, does not have them or does not answer. "
        "GPG error: http://m.lab bookworm InRelease "
        "Failed to fetch http://m.lab/InRelease  Could not resolve 'm.lab' "
        "Some index files failed to download. "
        "`apt-get update` on the host shows which source it is; correct it, or the network."
    )


def test_a_network_that_fails_is_not_put_down_to_a_missing_suite():
    assert "mirror any more" not in lists_failure(ERRORS, "box", [], "old-releases.ubuntu.com")
