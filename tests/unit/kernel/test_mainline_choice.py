"""The kernel role's choice among the builds of a mainline archive, by the module itself and over HTTP."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mirror.minimal_debs import minimal_build
from tests.mirror.run_module import ROLE

PARTS = ["image", "modules", "headers", "headers"]


def test_all_that_belongs_to_a_build_is_returned(find, mirror, server):
    folder = mirror.add("5.6")
    answer = find(version="5.6")
    debs = answer.pop("debs")
    answer.pop("invocation", None)  # newer releases of Ansible return none
    assert answer == {
        "version": "5.6",
        "directory": "v5.6",
        "url": f"{server.url}v5.6/",
        "stamp": "202003292333",
        "release": "5.6.0-050600-generic",
        "passed_over": [],
        "builds": [],
        "changed": False,
    }
    assert [deb["part"] for deb in debs] == PARTS
    for deb in debs:
        sums = subprocess.run(["sha256sum", folder / deb["name"]], capture_output=True, text=True, check=True)
        assert deb["sha256"] == sums.stdout.split()[0]
        assert deb["url"] == f"{server.url}v5.6/{deb['name']}"


def test_the_module_runs_under_ansible_as_it_is_packed_there(mirror, server):
    mirror.add("5.6")
    parameters = {
        "url": server.url,
        "version": "5.6",
        "key": str(mirror.key),
        "fingerprint": mirror.fingerprint,
    }
    command = ["localhost", "-c", "local", "-m", "kernel_mainline", "-a", json.dumps(parameters)]
    paths = {"ANSIBLE_LIBRARY": ROLE / "library", "ANSIBLE_MODULE_UTILS": ROLE / "module_utils"}
    run = subprocess.run(
        [
            Path(sys.executable).parent / "ansible",
            *command,
            "-e",
            f"ansible_python_interpreter={sys.executable}",
        ],
        env=os.environ | {name: str(path) for name, path in paths.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5.6.0-050600-generic" in run.stdout, run.stdout + run.stderr


def test_the_list_is_newest_first_without_odd_directories(find, mirror):
    for version in ("5.6", "5.6.19", "6.10-rc3", "4.14.120"):
        mirror.add(version, failed=True)
    for name in ("daily", "v5.12-rc1-dontuse"):
        mirror.add_odd(name)
    assert find(version="")["builds"] == ["6.10-rc3", "5.6.19", "5.6", "4.14.120"]


def test_the_archive_is_found_at_its_old_address_too(find, mirror, server):
    mirror.add("5.6", layout="folder")
    answer = find(url=server.old_url.rstrip("/"), version="5.6")
    assert answer["url"] == f"{server.url}v5.6/amd64/"


@pytest.mark.parametrize("links", [True, False], ids=["by its page", "by its folder"])
def test_debs_in_a_folder_of_the_architecture_are_found(find, mirror, server, links):
    mirror.add("5.4.70", layout="folder", links=links)
    answer = find(version="5.4.70")
    assert answer["url"] == f"{server.url}v5.4.70/amd64/"
    assert [deb["part"] for deb in answer["debs"]] == PARTS
    assert all(deb["url"] == answer["url"] + deb["name"] for deb in answer["debs"])


@pytest.mark.parametrize("layout", ["flat", "folder"])
def test_each_architecture_gets_its_own_debs(find, mirror, layout):
    mirror.add("5.10", layout=layout)
    mirror.add("5.10", layout=layout, architecture="arm64")
    names = [deb["name"] for deb in find(version="5.10", architecture="arm64", headers=False)["debs"]]
    assert len(names) == 2
    assert all(name.endswith("_arm64.deb") for name in names)


def test_the_headers_that_all_architectures_share_are_taken_from_where_they_are(
    find, mirror, server, tmp_path
):
    mirror.add("6.1", layout="folder")
    mine = [
        deb for deb in minimal_build(tmp_path, "6.1", architecture="arm64") if not deb.stem.endswith("_all")
    ]
    mirror.add("6.1", mine, layout="folder", architecture="arm64")
    headers = [
        deb["url"] for deb in find(version="6.1", architecture="arm64")["debs"] if deb["part"] == "headers"
    ]
    assert [url.removeprefix(f"{server.url}v6.1/").partition("/")[0] for url in headers] == ["amd64", "arm64"]


def test_headers_are_left_out_where_they_are_not_whole_or_not_wanted(find, mirror):
    folder = mirror.add("5.6")
    assert len(find(version="5.6", headers=False)["debs"]) == 2
    next(folder.glob("*_all.deb")).unlink()
    mirror.add("5.6", [])
    assert [deb["part"] for deb in find(version="5.6")["debs"]] == ["image", "modules"]


def test_a_flavour_gets_its_own_debs_and_a_missing_one_is_refused_with_those_there_are(
    find, mirror, tmp_path
):
    mirror.add("5.6")
    mirror.add("5.6", minimal_build(tmp_path, "5.6", flavour="lowlatency"))
    answer = find(version="5.6", flavour="lowlatency")
    assert answer["release"] == "5.6.0-050600-lowlatency"
    assert "linux-modules-5.6.0-050600-lowlatency" in answer["debs"][1]["name"]
    refusal = find(version="5.6", flavour="generic-64k")
    assert (
        "it has no image of the flavour generic-64k for amd64, only of generic, lowlatency" in refusal["msg"]
    )


def test_of_two_builds_in_one_directory_the_newest_is_chosen_whole(find, mirror):
    mirror.add("5.16", stamp="202201092355")
    mirror.add("5.16", stamp="202201100000")
    answer = find(version="5.16")
    assert answer["stamp"] == "202201100000"
    assert all("202201100000" in deb["name"] for deb in answer["debs"])


def test_a_newer_build_that_is_not_complete_gives_way_to_the_one_before(find, mirror, tmp_path):
    mirror.add("5.16", stamp="202201092355")
    newer = [deb for deb in minimal_build(tmp_path, "5.16", "202201100000") if "modules" not in deb.name]
    mirror.add("5.16", newer)
    assert find(version="5.16")["stamp"] == "202201092355"


def test_an_image_without_its_modules_is_refused(find, mirror, tmp_path):
    mirror.add("5.6", [deb for deb in minimal_build(tmp_path, "5.6") if "modules" not in deb.name])
    assert (
        "it has an image but no linux-modules of the flavour generic for amd64" in find(version="5.6")["msg"]
    )


def test_an_image_of_the_years_before_holds_its_modules_itself(find, mirror, tmp_path):
    debs = minimal_build(tmp_path, "4.10-rc8", "201702121731", image="image", modules=False)
    mirror.add("4.10-rc8", debs)
    answer = find(version="4.10-rc8")
    assert answer["release"] == "4.10.0-041000rc8-generic"
    assert [deb["part"] for deb in answer["debs"]] == ["image", "headers", "headers"]


def test_a_series_gives_its_newest_and_says_what_was_passed_over(find, mirror):
    mirror.add("5.6.17")
    mirror.add("5.6.18", architecture="arm64", layout="folder")
    mirror.add("5.6.19", failed=True)
    mirror.add("5.7")
    answer = find(version="5.6.x")
    assert answer["version"] == "5.6.17"
    assert answer["passed_over"] == [
        "5.6.19: its build for amd64 failed",
        "5.6.18: it has no kernel for amd64, only for arm64",
    ]


def test_latest_is_no_release_candidate(find, mirror):
    mirror.add("5.7")
    mirror.add("5.8-rc1")
    assert find(version="latest")["version"] == "5.7"


def test_a_series_of_failed_builds_is_refused_with_each_of_them(find, mirror):
    mirror.add("5.6.18", failed=True)
    mirror.add("5.6.19", failed=True)
    assert find(version="5.6.x")["msg"] == (
        "none of the newest 2 builds that fit 5.6.x can be used. 5.6.19: its build for amd64 failed; "
        "5.6.18: its build for amd64 failed"
    )


@pytest.mark.parametrize("layout", ["flat", "folder"])
def test_a_failed_build_is_refused_with_those_near_it(find, mirror, layout):
    mirror.add("5.6.19", failed=True, layout=layout)
    mirror.add("5.6.18", failed=True)
    answer = find(version="5.6.19")
    assert answer["failed"]
    assert answer["temporary"] is answer["out_of_reach"] is False
    assert answer["msg"] == (
        "the mainline archive's 5.6.19: its build for amd64 failed; near it are 5.6.18 (not looked at)"
    )


def test_a_build_without_a_kernel_for_the_architecture_is_refused_with_what_it_has(find, mirror):
    mirror.add("5.6")
    mirror.add("5.6.1", failed=True)
    answer = find(version="5.6", architecture="riscv64")
    assert answer["msg"] == (
        "the mainline archive's 5.6: it has no kernel for riscv64, only for amd64; near it are 5.6.1 (not "
        "looked at)"
    )


def test_an_unknown_version_is_refused_with_those_near_it(find, mirror):
    mirror.add("5.6.18", failed=True)
    assert (
        find(version="5.6.99")["msg"]
        == "the mainline archive has no 5.6.99; near it are 5.6.18 (not looked at)"
    )


def test_a_build_that_is_listed_and_gone_is_passed_over(find, mirror, server):
    mirror.add("5.6.18")
    mirror.add("5.6.19")
    server.status("v5.6.19/", 404)
    assert find(version="5.6.x")["passed_over"] == ["5.6.19: it is listed, but its page is not there (404)"]


def test_things_are_asked_for_one_at_a_time_and_no_deb_is(find, mirror, server):
    mirror.add("5.6.18", layout="folder")
    mirror.add("5.6.19", failed=True)
    find(version="5.6.x")
    folder = "v5.6.18/amd64/CHECKSUMS"
    assert server.requests == ["", "v5.6.19/", "v5.6.18/", folder, f"{folder}.gpg"]
    assert server.most_at_once == 1
