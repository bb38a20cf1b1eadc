"""What the kernel role makes of apt's simulation: with the headers, and without them."""

import pytest

from tests.unit.ansible_play import ROOT, found

GOOD = {"rc": 0, "stdout": "Inst linux-image-5.6"}
REMOVES = {"rc": 0, "stdout": "Inst linux-image-5.6\nRemv openssh-server"}
UNMET = {"rc": 100, "stdout": " linux-headers-5.6 : Depends: libssl1.1 but it is not installable"}
SKIPPED = {"skipped": True}

#: By name: the two results that Ansible has registered, and whether the debs are refused.
CASES = {
    "whole": (GOOD, SKIPPED, False),
    "headers-unmet": (UNMET, GOOD, False),
    "unmet-without-them-too": (UNMET, UNMET, True),
    "removes": (REMOVES, SKIPPED, True),
    "removes-without-headers-too": (REMOVES, REMOVES, True),
    "headers-unmet-and-removes-without-them": (UNMET, REMOVES, True),
}

TASKS = """
- ansible.builtin.set_fact:
    found: "{{ found | default({}) | combine({item.key: names}) }}"
  vars:
    names: "{{ __kernel_debs_checks | rejectattr('ok') | map(attribute='name') }}"
    __kernel_state: {running: 6.1.0-49-amd64}
    __kernel_folder: {release: 5.6.0-050600-generic}
    __kernel_simulation: "{{ item.value[0] }}"
    __kernel_simulation_bare: "{{ item.value[1] }}"
  loop: "{{ cases | dict2items }}"
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Return what Ansible makes of the cases."""
    return found(tmp_path_factory.mktemp("simulation"), TASKS, CASES, [ROOT / "roles/kernel/vars/main.yml"])


@pytest.mark.parametrize("case", CASES)
def test_debs_that_apt_would_not_install_or_that_remove_a_package_are_refused(refused, case):
    assert refused[case] == (["dependencies"] if CASES[case][2] else [])
