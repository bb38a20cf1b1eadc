"""Lab hosts for whole provisionings, removed when the tests that use them are done."""

import pytest
from support import Host

from lab import machine


def lab_host(request, kind):
    """Make a lab host for a module, in place of one that an earlier run may have left.

    Modules run side by side, so each has one of its own.
    """
    name = request.module.__name__.replace("test_", "e2e-").replace("_", "-")
    machine.down(name)
    try:
        yield Host(machine.up(name, kind))
    finally:
        machine.down(name)


@pytest.fixture(scope="module")
def container(request):
    yield from lab_host(request, "container")


@pytest.fixture(scope="module")
def vm(request):
    yield from lab_host(request, "vm")
