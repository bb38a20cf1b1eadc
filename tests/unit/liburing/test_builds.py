"""What the liburing role decides by itself: what a version needs to build, and how a directory is packed."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles/liburing"
sys.path.insert(0, str(ROLE / "filter_plugins"))

from liburing import liburing_build, liburing_tests  # noqa: E402

TABLE = yaml.safe_load((ROLE / "vars/builds.yml").read_text())
BUILDS, RELEASES = TABLE["__liburing_builds"], TABLE["__liburing_releases"]

BIONIC = {"libc6": "2.27-3ubuntu1", "debhelper": "11.1.6ubuntu1", "linux-libc-dev": "4.15.0-20.21"}
FOCAL = {"libc6": "2.31-0ubuntu9", "debhelper": "12.10ubuntu1", "linux-libc-dev": "5.4.0-26.30"}
BULLSEYE = {"libc6": "2.31-13+deb11u11", "debhelper": "13.3.4", "linux-libc-dev": "5.10.223-1"}
BOOKWORM = {"libc6": "2.36-9+deb12u10", "debhelper": "13.11.4", "linux-libc-dev": "6.1.128-1"}


def build(version, host):
    return liburing_build(BUILDS, version, host, RELEASES)


@pytest.mark.parametrize(
    ("version", "host", "files"),
    [
        ("0.4", BULLSEYE, ["debian/rules"]),
        ("0.6", BOOKWORM, ["examples/ucontext-cp.c", "debian/rules"]),
        ("0.7", BOOKWORM, ["examples/ucontext-cp.c", "debian/rules", "debian/rules"]),
        ("2.0", BOOKWORM, ["examples/ucontext-cp.c"]),
        ("2.3", BOOKWORM, []),
        ("2.4", BOOKWORM, ["debian/liburing-dev.manpages"]),
        ("2.5", BOOKWORM, []),
        ("2.9", BOOKWORM, []),
        ("2.9", FOCAL, ["debian/control"]),
        ("2.13", BOOKWORM, []),
        ("2.14", BOOKWORM, ["debian/liburing-dev.manpages"]),
        ("2.15", FOCAL, ["debian/liburing-dev.manpages", "debian/control"]),
        ("2.3", BIONIC, []),
        ("2.9", {"debhelper": "13"}, []),
        ("0.6", {}, ["debian/rules"]),
    ],
)
def test_a_version_gets_the_edits_that_it_needs_on_a_host(version, host, files):
    answer = build(version, host)
    assert answer["problem"] == ""
    assert [row["edit"]["file"] for row in answer["edits"]] == files


def test_a_refused_version_is_reported_with_the_reasons_and_the_nearest_that_can_be_built():
    assert build("2.9", BIONIC)["problem"] == (
        "liburing 2.9 cannot be built: its packages are made by debhelper 12 or later, and its "
        "liburing-dev needs linux-libc-dev 5.1 or later; the nearest version that can is 2.3: "
        "LIBURING=liburing-2.3"
    )


def test_a_refusal_names_no_version_where_there_is_none():
    row = {"why": "it is Tuesday", "refuse": True}
    assert (
        liburing_build([row], "2.9", {}, RELEASES)["problem"] == "liburing 2.9 cannot be built: it is Tuesday"
    )


@pytest.mark.parametrize(
    "profile", sorted((ROLE / "../../profiles").glob("*.yml")), ids=lambda path: path.stem
)
def test_the_version_of_a_profiles_commit_is_known_before_the_download(profile):
    named = yaml.safe_load(profile.read_text())
    known = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__liburing_asked"]["commits"]
    assert named.get("liburing_git_ref", next(iter(known))) in known


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("\tunsigned char stack_buf[SIGSTKSZ];\n", "\tunsigned char stack_buf[8192];\n"),
        ("\tlibdevdir=/usr/lib/$A\n\n", "\tlibdevdir=/usr/lib/$A relativelibdir=/lib/$A/\n\n"),
        (
            "\tlibdevdir=/usr/lib/$A \\\n\trelativelibdir=/lib/$A\n",
            "\tlibdevdir=/usr/lib/$A \\\n\trelativelibdir=/lib/$A/\n",
        ),
        ("usr/share/man/man3/io_uring_*.3\n", "usr/share/man/man3/*.3\n"),
        ("usr/share/man/man7/io_uring.7\n", "usr/share/man/man7/*.7\n"),
        ("  debhelper-compat (= 13)\n", "  debhelper-compat (= 12)\n"),
        ("stack_buf = malloc(SIGSTKSZ);\n", "stack_buf = malloc(SIGSTKSZ);\n"),
    ],
)
def test_the_edits_change_only_their_targets_and_are_idempotent(text, becomes):
    text, becomes = (side.replace("$A", "$(DEB_HOST_MULTIARCH)") for side in (text, becomes))
    for _ in range(2):
        for row in BUILDS:
            if "edit" in row:
                text = re.sub(f"(?m){row['edit']['pattern']}", row["edit"]["text"], text)
        assert text == becomes


# ---- Output of upstream's runtests.sh, before and since 2.1 ----

OLD = """\
make: Entering directory '/tmp/liburing/test'
Running test poll
Running test accept
accept not supported
Test accept failed with ret 1
Running test stdout
This is a pipe test
Running test timeout
Test timeout timed out (may not be a failure)
Running test statx:
Test skipped
Tests  accept failed
"""
NEW = """\
Running test 232c93d07b74.t                                         0 sec
Running test accept-non-empty.t                                     Skipped
Running test defer.t           ring setup failed: -12
Test defer.t failed with ret 1
Running test hang.t           Test hang.t timed out (may not be a failure)
Running test nop.t                                                  1 sec [0]
"""


def test_the_results_of_upstreams_tests_are_parsed_from_their_output():
    assert liburing_tests(OLD) == {
        "passed": 2,
        "failed": ["accept"],
        "timed_out": ["timeout"],
        "skipped": ["statx"],
        "unfinished": "",
    }
    assert liburing_tests(NEW + "Tests failed (1): <defer.t>\n") == {
        "passed": 2,
        "failed": ["defer.t"],
        "timed_out": ["hang.t"],
        "skipped": ["accept-non-empty.t"],
        "unfinished": "",
    }


def test_the_test_that_was_running_when_the_run_was_cut_off_is_named():
    assert liburing_tests(NEW)["unfinished"] == "nop.t"
    assert liburing_tests("make: *** no rule\n") == {
        "passed": 0,
        "failed": [],
        "skipped": [],
        "timed_out": [],
        "unfinished": "",
    }


# ---- A directory on the controller ----


@pytest.fixture
def tree(tmp_path):
    directory = tmp_path / "tree"
    (directory / "debian").mkdir(parents=True)
    (directory / "debian/control").write_text("Source: liburing\n")
    (directory / "liburing.spec").write_text("Name: liburing\nVersion: 2.9\n")
    (directory / "configure").write_text("#!/bin/sh\n")
    (directory / "configure").chmod(0o755)
    (directory / ".gitignore").write_text("*.o\n")
    return directory


def pack(directory, archive="/dev/null"):
    done = subprocess.run(
        ["sh", ROLE / "files/pack.sh", directory, archive], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def git(directory, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", "-C", directory, *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def work_tree(tree):
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "all")
    return tree


def test_the_digest_depends_only_on_names_contents_and_x_bits(tree):
    status, first, _ = pack(tree)
    assert status == 0
    assert first[1:] == ["2.9", ""]
    os.utime(tree / "configure", (0, 0))
    (tree / "liburing.spec").chmod(0o600)
    assert pack(tree)[1] == first
    (tree / "configure").chmod(0o644)
    assert pack(tree)[1][0] != first[0]
    (tree / "configure").chmod(0o755)
    (tree / "configure").write_text("#!/bin/bash\n")
    assert pack(tree)[1][0] != first[0]


def test_tracked_and_untracked_files_of_a_git_tree_are_packed_but_not_ignored_ones(work_tree, tmp_path):
    commit = git(work_tree, "rev-parse", "HEAD")
    _, first, _ = pack(work_tree)
    assert first[1:] == ["2.9", commit]
    (work_tree / "queue.o").touch()
    assert pack(work_tree)[1] == first
    (work_tree / "new file.c").touch()
    (work_tree / ".gitignore").unlink()
    (work_tree / "queue.o").unlink()
    (work_tree / "link").symlink_to("configure")
    status, second, _ = pack(work_tree, tmp_path / "archive.tar")
    assert status == 0
    assert second[0] != first[0]
    assert second[1:] == ["2.9", f"{commit}+changes"]
    with tarfile.open(tmp_path / "archive.tar") as archive:
        assert sorted(archive.getnames()) == [
            "configure",
            "debian/control",
            "liburing.spec",
            "link",
            "new file.c",
        ]
        assert archive.getmember("configure").mode == 0o755
        assert archive.getmember("link").issym()


def test_a_directory_that_is_no_liburing_tree_is_refused(tree):
    (tree / "debian/control").unlink()
    status, said, why = pack(tree)
    assert (status, said) == (2, [])
    assert why.startswith(f"{tree} is no liburing tree: it must have debian/control")


@pytest.mark.parametrize(
    "setting", [("core.fsmonitor", "{0}"), ("filter.x.clean", "{0}; cat"), ("core.hooksPath", "{1}")]
)
def test_the_configuration_of_a_git_tree_cannot_run_commands_on_the_controller(work_tree, tmp_path, setting):
    """A tree from an untrusted source may have its own .git/config."""
    witness = tmp_path / "witness"
    script = tmp_path / "hooks/post-index-change"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\ntouch {witness}\n")
    script.chmod(0o755)
    (work_tree / ".gitattributes").write_text("* filter=x\n")
    name, value = setting
    git(work_tree, "config", name, value.format(script, script.parent))
    (work_tree / "debian/control").touch()
    status, said, why = pack(work_tree)
    assert status == 0, why
    assert said[2].endswith("+changes")
    assert not witness.exists()
