"""Which samples the role leaves out on a host, and the reason it gives."""

import pytest
import yaml

from tests.unit.ansible_play import ROOT, found

POLICY = "build-essential:\n  Installed: (none)\n  Candidate: 12.9\n"
LUAJIT = "luajit:\n  Installed: (none)\n  Candidate: 2.1\n"
NO_LUAJIT = "luajit:\n  Installed: (none)\n  Candidate: (none)\n"
LUA = "10_webserver_luajit"

#: By name: the host's architecture, what apt-cache says, what is left out, and the note about that.
CASES = {
    "all": ("x86_64", POLICY + LUAJIT, [], ""),
    "no package": ("x86_64", POLICY + NO_LUAJIT, [LUA], f"left out: {LUA} (not in the archive: luajit)"),
    "no lists": ("x86_64", "", [], ""),
    "another machine": ("aarch64", POLICY, [LUA], f"left out: {LUA} (not for aarch64)"),
}

TASKS = """
- ansible.builtin.set_fact:
    found: "{{ found | default({}) | combine({item.key: seen}) }}"
  vars:
    seen: "{{ [left_out, __samples_chosen | length, __samples_note if left_out else ''] }}"
    left_out: "{{ __samples_left_out | map(attribute='name') }}"
    ansible_facts: {architecture: "{{ item.value[0] }}"}
    samples_source: ours
    __samples_policy: {stdout: "{{ item.value[1] }}"}
    role_path: "@ROOT@/roles/samples"
  loop: "{{ cases | dict2items }}"
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Return what Ansible makes of the cases."""
    tasks = TASKS.replace("@ROOT@", str(ROOT))
    return found(tmp_path_factory.mktemp("samples"), tasks, CASES, [ROOT / "roles/samples/vars/main.yml"])


@pytest.mark.parametrize("case", CASES)
def test_a_sample_that_cannot_run_on_the_host_is_left_out_with_the_reason(case, seen):
    catalog = yaml.safe_load((ROOT / "samples/catalog.yml").read_text())["samples"]
    count = sum(sample["source"] == "ours" for sample in catalog)
    _, _, left_out, note = CASES[case]
    assert seen[case][:2] == [left_out, count - len(left_out)]
    assert seen[case][2].lstrip(", ").strip() == note
