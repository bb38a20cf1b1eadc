"""What the verification makes of a known fault that is bound to a range of kernels."""

import json
import warnings
from types import SimpleNamespace

import pytest

from tests.verify.verdicts import Verdicts

HOST = SimpleNamespace(backend=SimpleNamespace(hostname="box"))
FAULTS = {"many connections": {"fault": "it ends", "before": "5.7"}}


def verdicts(kernel, passed):
    sample = {"source": "upstream", "name": "05", "known_faults": FAULTS, "kernel": kernel}
    line = json.dumps({"case": "many connections", "ok": passed, "found": "0 right answers"})
    return Verdicts(HOST, sample, "/program", [line], SimpleNamespace(stderr="", rc=0))


def test_a_fault_of_this_kernel_is_expected():
    with pytest.raises(pytest.xfail.Exception, match=r"known fault: it ends \(Linux before 5.7\)"):
        verdicts("5.6.4-050604-generic", passed=False).check("many connections", "an answer")


def test_a_fault_that_this_kernel_should_show_and_does_not_is_told():
    with pytest.warns(UserWarning, match=r"fixed \(it ends \(Linux before 5.7\)\): samples/catalog.yml"):
        verdicts("5.6.4-050604-generic", passed=True).check("many connections", "an answer")


def test_a_fault_of_older_kernels_fails_on_a_newer_one():
    with pytest.raises(AssertionError, match="box: upstream/05, many connections: expected an answer"):
        verdicts("5.10.0-32-cloud-amd64", passed=False).check("many connections", "an answer")


def test_a_fault_of_older_kernels_is_not_missed_on_a_newer_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdicts("5.10.0-32-cloud-amd64", passed=True).check("many connections", "an answer")
