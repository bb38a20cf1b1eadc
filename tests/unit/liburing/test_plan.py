"""The decisions of the liburing role without a host: whether to build, the manifest, the report."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[3] / "roles/liburing/filter_plugins/liburing_plan.py"


@pytest.fixture(scope="module")
def role():
    spec = importlib.util.spec_from_file_location("liburing_plan", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ASKED = {
    "source": "apt",
    "url": "https://example.org/liburing.git",
    "ref": "",
    "path": "",
    "digest": "",
    "version": "",
    "run_tests": False,
    "distribution": "Debian",
    "commits": {"8bee": "0.6"},
}
PACKAGES = {"liburing-dev": "2.3-3", "liburing2": "2.3-3"}
MANIFEST = {
    "wanted": {"source": "apt"},
    "version": "2.3-3",
    "packages": PACKAGES,
    "files": {"/usr/include/liburing.h": "0"},
    "commit": "",
    "edits": [],
    "archive": "2.3-3",
    "below_archive": False,
}
FOUND = {
    "manifest": MANIFEST,
    "installed": PACKAGES,
    "candidate": "2.3-3",
    "ledger": {"packages": {"liburing2": {"purpose": "lab"}, "gcc": {"purpose": "kept"}}, "transactions": {}},
}


def plan(role, asked=None, **found):
    return role.liburing_plan({**ASKED, **(asked or {})}, {**FOUND, **found})


@pytest.mark.parametrize(
    ("asked", "found", "to_build"),
    [
        ({}, {}, False),
        ({}, {"manifest": {}}, True),
        ({}, {"candidate": "2.3-4"}, True),
        ({}, {"installed": {"liburing-dev": "2.3-3"}}, True),
        ({}, {"installed": {**PACKAGES, "liburing2": "2.3-3+b1"}}, True),
        ({}, {"manifest": {key: value for key, value in MANIFEST.items() if key != "files"}}, True),
        ({"run_tests": True}, {}, True),
        ({"run_tests": True}, {"manifest": {**MANIFEST, "tests": {}}}, False),
        ({"source": "git", "ref": "liburing-2.9"}, {}, True),
        (
            {"source": "path", "digest": "1"},
            {"manifest": {**MANIFEST, "wanted": {"source": "path", "digest": "0"}}},
            True,
        ),
        (
            {"source": "path", "digest": "0"},
            {"manifest": {**MANIFEST, "wanted": {"source": "path", "digest": "0"}}},
            False,
        ),
    ],
)
def test_it_is_built_unless_exactly_the_requested_build_is_installed(role, asked, found, to_build):
    assert plan(role, asked, **found)["to_build"] is to_build


@pytest.mark.parametrize(
    ("ledger", "leftovers"),
    [
        (FOUND["ledger"], False),
        ({"packages": {"equivs": {"purpose": "build"}}, "transactions": {}}, True),
        ({"packages": {}, "transactions": {"aa": {}}}, True),
    ],
)
def test_the_ledger_shows_whether_an_earlier_build_left_something(role, ledger, leftovers):
    assert plan(role, ledger=ledger)["leftovers"] is leftovers


@pytest.mark.parametrize(
    ("asked", "version", "what"),
    [
        ({}, "", "liburing 2.3-3 from the source package of Debian"),
        ({"source": "git", "ref": "liburing-2.9"}, "2.9", "https://example.org/liburing.git at liburing-2.9"),
        ({"source": "git", "ref": "8bee"}, "0.6", "https://example.org/liburing.git at 8bee"),
        ({"source": "git", "ref": "master"}, "", "https://example.org/liburing.git at master"),
        ({"source": "path", "path": "/tree", "version": "2.15"}, "2.15", "/tree"),
    ],
)
def test_the_version_is_known_before_the_download_if_the_reference_tells_it(role, asked, version, what):
    found = plan(role, asked)
    assert (found["version"], found["what"]) == (version, what)


def test_packages_that_the_owner_holds_are_distinguished_from_ours(role):
    rows = [
        "liburing-dev 2.3-3 installed hold",
        "liburing2 2.3-3 installed hold",
        "liburing-build-deps 2.3-3 installed install",
        "liburing1 0.7-3 config-files deinstall",
    ]
    assert role.liburing_packages(rows, ["liburing2"]) == {"installed": PACKAGES, "held": ["liburing-dev"]}


def test_a_package_without_a_candidate_is_left_out(role):
    text = "liburing-dev:\n  Installed: (none)\n  Candidate: 2.3-3+b1\n"
    text += "libc6:\n  Installed: 2.36\n  Candidate: (none)\n"
    assert role.apt_candidates(text) == {"liburing-dev": "2.3-3+b1"}
    assert role.source_version("2.3-3+b1") == "2.3-3"


def test_the_manifest_describes_the_build(role):
    edit = {"edit": {"file": "debian/rules"}}
    build = {
        "commit": "a" * 40,
        "upstream": "2.9",
        "versions": ["liburing-dev 2.2-1 2.2-1", "liburing2 2.2-1 2.2-1"],
        "contents": ["00  ./usr/include/liburing.h", "11  ./usr/lib/a file.so", "pkg-config 2.9"],
        "archive": "2.3-3",
        "below_archive": True,
        "edits": [{"changed": True, "item": edit}, {"changed": False, "item": {}}],
        "before": {"liburing2": "2.3-3"},
        "tests": {},
    }
    made = role.liburing_manifest(plan(role, {"source": "git", "ref": "liburing-2.9"}), build)
    assert made["wanted"] == {"source": "git", "url": ASKED["url"], "ref": "liburing-2.9"}
    assert (made["source"], made["ref"], made["version"]) == ("git", "liburing-2.9", "2.2-1")
    assert made["packages"] == {"liburing-dev": "2.2-1", "liburing2": "2.2-1"}
    assert made["files"] == {"/usr/include/liburing.h": "00", "/usr/lib/a file.so": "11"}
    assert (made["pkg_config"], made["edits"], made["before"]) == ("2.9", [edit], {"liburing2": "2.3-3"})
    assert "tests" not in made
    assert role.liburing_manifest(plan(role), {**build, "tests": {"passed": 1}})["tests"] == {"passed": 1}


def test_the_report_mentions_everything_unusual(role):
    tests = {"passed": 62, "failed": ["a"], "timed_out": ["b", "c"], "skipped": ["d"], "unfinished": "e"}
    manifest = {
        **MANIFEST,
        "commit": "0123456789abcdef+changes",
        "edits": [{"edit": {"file": "debian/rules"}}, {"edit": {"file": "debian/rules"}}],
        "below_archive": True,
        "tests": tests,
    }
    assert role.liburing_report(MANIFEST, {"to_build": False}) == (
        "liburing-dev 2.3-3, liburing2 2.3-3, installed already"
    )
    assert role.liburing_report(manifest, {"to_build": True}) == (
        "liburing-dev 2.3-3, liburing2 2.3-3 at 0123456789ab with changes, built and held, its build "
        "changed: debian/rules, lower than the archive's 2.3-3 on purpose; 62 of upstream's tests passed, "
        "1 failed: a, 2 hung: b c, 1 skipped, cut off in e"
    )


def test_a_check_says_what_would_be_built(role):
    asked = plan(role, manifest={})
    said = "would build and install liburing 2.3-3 from the source package of Debian"
    assert role.liburing_report({}, asked, check=True) == said
    assert "installed already" in role.liburing_report(MANIFEST, plan(role), check=True)


@pytest.mark.parametrize(
    ("manifest", "damaged", "said"),
    [
        ({}, [], "nothing to take back"),
        (MANIFEST, [], "liburing-dev, liburing2 taken back"),
        ({}, ["a is damaged", "b is"], "nothing to take back; left: a is damaged; b is"),
    ],
)
def test_a_rollback_says_what_it_has_taken_back_and_what_it_leaves(role, manifest, damaged, said):
    assert role.liburing_rollback_report(manifest, damaged) == said


@pytest.mark.parametrize(
    ("version", "upstream"), [("2.3-3", "2.3"), ("4:2.3-3", "2.3"), ("2.1-rc1-2", "2.1-rc1"), ("2.5", "2.5")]
)
def test_the_directory_of_a_source_package_is_named_by_upstreams_version(role, version, upstream):
    assert role.upstream_version(version) == upstream


def test_what_was_installed_is_read_from_dpkgs_rows(role):
    rows = ["liburing-dev 2.3-3+b1 2.3-3", "liburing2 2.3-3+b1 2.3-3"]
    assert role.built_packages(rows) == ["liburing-dev", "liburing2"]
    assert role.built_version(rows) == "2.3-3"


def test_packages_are_named_by_their_debs(role):
    assert role.deb_packages(["/b/liburing2_2.3-3_amd64.deb", "/b/liburing-dev_2.3-3_amd64.deb"]) == [
        "liburing-dev",
        "liburing2",
    ]
