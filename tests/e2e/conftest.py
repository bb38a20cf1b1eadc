"""Lab hosts for complete provisionings, removed after the tests that use them."""

import os

import pytest

from lab import accelerator, console
from lab.archive import suite as known_suite
from tests.e2e import bootable
from tests.e2e.support import lab_host
from tests.e2e.watchdog import Watchdog
from tests.mirror import kernels


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Add the end of the machine's console to a failed test, because the machine is removed afterwards."""
    report = yield
    host = item.funcargs.get("vm") or item.funcargs.get("container")
    if report.failed and host:
        report.sections.append((f"console of {host.name}", console.tail(host.directory / "console.log", 60)))
    return report


@pytest.fixture(scope="session", autouse=True)
def one_processor():
    """Give each machine one processor, because two machines run at the same time.

    Besides, QEMU 7.2 once hung in a boot with two emulated processors: both were at an instruction that the
    kernel had just patched.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator, "processors", lambda: 1)
        yield


@pytest.fixture(scope="module")
def suite():
    """Return the release of a module's lab host: SUITE or this computer's, unless a module overrides it."""
    return known_suite(os.environ.get("SUITE")).name


def lab_host_name(request):
    """Name the lab host of a module: modules run in parallel, so each has its own."""
    return request.path.stem.replace("test_", "e2e-").replace("_", "-")


@pytest.fixture(scope="module")
def container(request, suite):
    with lab_host(lab_host_name(request), "container", suite) as host:
        yield host


@pytest.fixture(scope="module")
def vm(request, suite):
    with lab_host(lab_host_name(request), "vm", suite) as host, Watchdog(host):
        yield host


@pytest.fixture(scope="module")
def release(vm):
    """Return the release of the machine's original kernel."""
    return vm.run("uname -r").strip()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Serve an archive that a module fills with kernels, without headers to save time."""
    with bootable.archive(tmp_path_factory.mktemp("archive"), headers=False) as served:
        yield served


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return the role's variables for a directory of debs of one's own, with a kernel that boots."""
    directory = tmp_path_factory.mktemp("own")
    kernels.build(directory, "6.10", headers=False)
    return {
        "kernel_source": "debs",
        "kernel_debs_folder": str(directory),
        "kernel_confirm_timeout": bootable.CONFIRM,
    }
