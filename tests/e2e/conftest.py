"""Lab hosts for whole provisionings, removed when the tests that use them are done."""

import pytest
from support import Host

from lab import machine


def lab_host(name, kind):
    """Make a lab host, in place of one that an earlier run may have left."""
    machine.down(name)
    try:
        yield Host(machine.up(name, kind))
    finally:
        machine.down(name)


@pytest.fixture(scope="module")
def container():
    yield from lab_host("e2e-container", "container")


@pytest.fixture(scope="module")
def vm():
    yield from lab_host("e2e-vm", "vm")
