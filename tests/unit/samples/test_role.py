"""Which samples the role leaves out and why, and when it builds again."""

import importlib.util

import pytest

from tests.unit.samples.programs import CATALOG, SAMPLES

POLICY = "build-essential:\n  Installed: (none)\n  Candidate: 12.9\n"
LUAJIT = "luajit:\n  Installed: (none)\n  Candidate: 2.1\n"
NO_LUAJIT = "luajit:\n  Installed: (none)\n  Candidate: (none)\n"
LUA = "10_webserver_luajit"

#: By name: the host's architecture, apt-cache's output, the samples left out, and the note about them.
CASES = {
    "all": ("x86_64", POLICY + LUAJIT, [], ""),
    "no package": ("x86_64", POLICY + NO_LUAJIT, [LUA], f", left out: {LUA} (not in the archive: luajit)"),
    "no lists": ("x86_64", "", [], ""),
    "another machine": ("aarch64", POLICY, [LUA], f", left out: {LUA} (not for aarch64)"),
}
FOUND = {
    "manifest": {},
    "whole": True,
    "liburing": "11",
    "pins": {"ours": {"digest": "22"}, "upstream": {"commit": "33"}},
}


@pytest.fixture(scope="module")
def role():
    path = SAMPLES.parent / "roles/samples/filter_plugins/samples_plan.py"
    spec = importlib.util.spec_from_file_location("samples_plan", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", CASES)
def test_a_sample_that_cannot_run_on_the_host_is_left_out_with_the_reason(case, role):
    machine, policy, left_out, note = CASES[case]
    plan = role.samples_plan(role.samples_for(CATALOG, "ours", machine), policy, FOUND)
    count = sum(sample["source"] == "ours" for sample in CATALOG)
    assert [sample["name"] for sample in plan["left_out"]] == left_out
    assert len(plan["chosen"]) == count - len(left_out)
    assert plan["note"] == note


@pytest.mark.parametrize(("source", "sources"), [("upstream", ["upstream"]), ("all", ["ours", "upstream"])])
def test_the_requested_sources_are_built_and_pinned(source, sources, role):
    plan = role.samples_plan(role.samples_for(CATALOG, source, "x86_64"), POLICY + LUAJIT, FOUND)
    assert {sample["source"] for sample in plan["chosen"]} == set(sources)
    assert plan["wanted"]["sources"] == {name: FOUND["pins"][name] for name in sources}


@pytest.mark.parametrize(
    ("change", "installed"),
    [
        ({}, True),
        ({"whole": False}, False),
        ({"liburing": "12"}, False),
        ({"pins": {"ours": {"digest": "23"}}}, False),
    ],
)
def test_installed_samples_are_built_again_if_anything_differs(change, installed, role):
    choice = role.samples_for(CATALOG, "ours", "x86_64")
    plan = role.samples_plan(choice, POLICY + LUAJIT, FOUND)
    assert not plan["installed"]
    numbers = range(len(plan["chosen"]))
    paths, digests = (
        [f"/opt/uring-lab/{number}" for number in numbers],
        [f"{number:064}" for number in numbers],
    )
    manifest = role.samples_manifest(plan, {"paths": paths, "digests": digests})
    assert manifest["samples"][1]["path"] == "/opt/uring-lab/1"
    assert manifest["samples"][1]["name"] == plan["chosen"][1]["name"]
    again = role.samples_plan(choice, POLICY + LUAJIT, {**FOUND, "manifest": manifest, **change})
    assert again["installed"] is installed


@pytest.mark.parametrize(
    ("installed", "check", "said"),
    [
        (True, True, "2 programs (ours, upstream) installed already, left out: c"),
        (False, True, "2 programs (ours, upstream) to build and install, left out: c"),
        (False, False, "2 programs (ours, upstream) built and installed, left out: c"),
    ],
)
def test_the_report_says_what_was_done_or_would_be(role, installed, check, said):
    plan = {"chosen": ["a", "b"], "installed": installed, "note": ", left out: c"}
    assert role.samples_report(plan, ["ours", "upstream"], check) == said


def test_the_programs_are_compared_with_the_digests_of_the_manifest(role):
    manifest = {"samples": [{"sha256": "00", "path": "/a"}, {"sha256": "11", "path": "/b c"}]}
    assert role.samples_digests(manifest) == "00  /a\n11  /b c\n"
    assert role.samples_digests({}) == ""
