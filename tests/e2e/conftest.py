"""Lab hosts for whole provisionings, removed when the tests that use them are done."""

import pytest

from lab import accelerator, console, machine
from tests.e2e import bootable
from tests.e2e.support import Host
from tests.e2e.watchdog import Watchdog


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Show the end of the machine's console with a failed test: the machine is gone when somebody asks."""
    report = yield
    host = item.funcargs.get("vm") or item.funcargs.get("container")
    if report.failed and host:
        report.sections.append((f"console of {host.name}", console.tail(host.directory / "console.log", 60)))
    return report


@pytest.fixture(scope="session", autouse=True)
def one_processor():
    """Give each machine one processor: two of them run at a time.

    With two, QEMU 7.2 was once seen to emulate a boot that went round in circles: both processors stood at an
    instruction that the kernel had just patched.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator, "processors", lambda: 1)
        yield


@pytest.fixture(scope="module")
def suite():
    """Name the release that a module's lab host is made of; none, unless the module says: this computer's."""


def lab_host(request, kind, suite):
    """Make a lab host for a module, in place of one that an earlier run may have left.

    Modules run side by side, so each has one of its own.
    """
    name = request.path.stem.replace("test_", "e2e-").replace("_", "-")
    machine.down(name)
    try:
        yield Host(machine.up(name, kind, suite))
    finally:
        machine.down(name)


@pytest.fixture(scope="module")
def container(request, suite):
    yield from lab_host(request, "container", suite)


@pytest.fixture(scope="module")
def vm(request, suite):
    for host in lab_host(request, "vm", suite):
        with Watchdog(host):
            yield host


@pytest.fixture(scope="module")
def release(vm):
    """Read which kernel the machine is made with."""
    return vm.run("uname -r").strip()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Serve an archive that a module fills with kernels; their headers are left out, which cost time."""
    with bootable.archive(tmp_path_factory.mktemp("archive"), headers=False) as served:
        yield served
