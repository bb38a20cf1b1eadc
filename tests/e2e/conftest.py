"""Lab hosts for whole provisionings, removed when the tests that use them are done."""

import pytest
from support import Host

from lab import accelerator, machine


@pytest.fixture(scope="session", autouse=True)
def one_processor():
    """Give each machine one processor: two of them run at a time.

    With two, QEMU 7.2 was once seen to emulate a boot that went round in circles: both processors stood at an
    instruction that the kernel had just patched.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator, "processors", lambda: 1)
        yield


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


@pytest.fixture(scope="module")
def release(vm):
    """Read which kernel the machine is made with."""
    return vm.run("uname -r").strip()
