"""What the kernel role makes of apt's simulation: with the headers, and without them."""

import sys

import pytest

from tests.unit.ansible_play import ROOT

sys.path.insert(0, str(ROOT / "roles/kernel/filter_plugins"))

from kernel_plan import kernel_installs

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


@pytest.mark.parametrize("case", CASES)
def test_debs_that_apt_would_not_install_or_that_remove_a_package_are_refused(case):
    result, bare, refused = CASES[case]
    assert kernel_installs(result, bare) != refused
