"""What the kernel role makes of apt's simulation: with the headers, and without them."""

import sys

import pytest

from tests.unit.ansible_play import ROOT

sys.path.insert(0, str(ROOT / "roles/kernel/filter_plugins"))

from kernel_install import kernel_simulation

DEBS = {"release": "5.6", "debs": [{"package": "linux-image-5.6"}, {"package": "linux-headers-5.6"}]}
GOOD = {"removed": []}
REMOVES = {"removed": ["openssh-server"]}
UNMET = {
    "failed": True,
    "msg": "apt would not install x: linux-headers-5.6 : Depends: libssl1.1 but it is not installable",
}
SKIPPED = {"skipped": True}

#: By name: the two results that Ansible has registered, the packages to be installed, and why not.
CASES = {
    "whole": (GOOD, SKIPPED, 2, None),
    "headers-unmet": (UNMET, GOOD, 1, None),
    "unmet-without-them-too": (UNMET, UNMET, 2, "Depends: libssl1.1 but"),
    "removes": (REMOVES, SKIPPED, 2, "apt would remove openssh-server for it."),
    "removes-without-headers-too": (REMOVES, REMOVES, 2, "apt would remove openssh-server for it."),
    "headers-unmet-and-removes-without-them": (UNMET, REMOVES, 2, "Depends: libssl1.1 but"),
}


@pytest.mark.parametrize("case", CASES)
def test_debs_that_apt_would_not_install_or_that_remove_a_package_are_refused(case):
    result, bare, count, says = CASES[case]
    found = kernel_simulation(result, bare, DEBS)
    assert len(found["debs"]["debs"]) == count
    assert [says in problem["says"] for problem in found["problems"]] == ([] if says is None else [True])


def test_what_the_headers_lack_is_told():
    assert kernel_simulation(UNMET, GOOD, DEBS)["lacks"] == "libssl1.1"
