"""Real kernels in a virtual machine: each installed, tried and promoted, then every program judged on it.

Linux 5.6 comes as debs that URING_LAB_KERNELS names, VERSION/*.deb, and under its mainline name from a signed
mirror on the loopback; the others are Debian's own. Not part of `make test`: `make test-kernels` runs them.
Each leaves a report in reports/kernels, which tests/verify/record.py reads.
"""

import json

import pytest

from tests.e2e import bootable
from tests.e2e.support import ROOT, playbook

needs_debs = pytest.mark.skipif(not bootable.REAL_DEBS, reason=bootable.NO_REAL_DEBS)
pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with bootable.real_archive(tmp_path_factory.mktemp("archive")) as served:
        yield served


@pytest.fixture(scope="module")
def provisioned(vm):
    """Build liburing and the programs on the machine's own kernel."""
    for step in ("liburing", "samples"):
        code, output = playbook(vm, step)
        assert code == 0, output
    return vm


def every_program_passes(vm, release):
    assert vm.run("uname -r").strip() == release
    report = ROOT / f"reports/kernels/{release}.xml"
    done = vm.pytest("tests/verify", f"--junit-xml={report}", timeout=1800)
    assert done.returncode == 0, done.stdout


@needs_debs
@pytest.mark.kernels
def test_a_real_5_6_of_the_mirror_runs_every_program(provisioned, archive):
    code, output = archive.step(provisioned, bootable.REAL_VERSION)
    assert code == 0, output
    every_program_passes(provisioned, bootable.REAL_RELEASE)


@needs_debs
@pytest.mark.kernels
def test_a_real_5_6_from_a_directory_of_debs_is_the_same_kernel(provisioned):
    code, output = playbook(provisioned, "rollback", "--tags", "kernel")
    assert code == 0, output
    given = {"kernel_source": "debs", "kernel_debs_folder": str(bootable.REAL_DIRECTORY)}
    code, output = playbook(provisioned, "kernel", "-e", json.dumps(given))
    assert code == 0, output
    assert provisioned.run("uname -r").strip() == bootable.REAL_RELEASE


@pytest.mark.kernels
def test_every_program_passes_on_the_kernel_of_the_release(provisioned, release):
    code, output = playbook(provisioned, "rollback", "--tags", "kernel")
    assert code == 0, output
    every_program_passes(provisioned, release)


@pytest.mark.kernels
@pytest.mark.parametrize("kernel_suite", ["bullseye", "bookworm-backports", "sid"])
def test_every_program_passes_on_debians_kernel_of(provisioned, kernel_suite):
    """Linux 5.10, 6.12 and the newest."""
    chosen = {"source": "apt", "apt_suite": kernel_suite, "apt_package": "linux-image-cloud-amd64"}
    given = json.dumps({f"kernel_{name}": value for name, value in chosen.items()})
    code, output = playbook(provisioned, "kernel", "-e", given)
    assert code == 0, output
    every_program_passes(provisioned, provisioned.run("uname -r").strip())
