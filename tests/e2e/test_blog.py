"""The article, whole: `make provision PROFILE=blog-2020` on a virtual machine, with a real Linux 5.6.

Two things of it are not in reach of a test. A signed mirror on the loopback stands in for the archive of
mainline kernels, with the debs that URING_LAB_KERNELS names; and copies of the two git repositories that
URING_LAB_GIT names, liburing.git and io_uring-by-example.git, stand in for GitHub. Not part of `make test`:
`make test-blog` runs it.
"""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e import bootable
from tests.e2e.support import make

COPIES = Path(os.environ.get("URING_LAB_GIT", "/nonexistent"))
#: The copies' names, and the addresses for which they stand.
REPOSITORIES = {
    "liburing.git": "https://github.com/axboe/liburing.git",
    "io_uring-by-example.git": "https://github.com/shuveb/io_uring-by-example.git",
}

pytestmark = [
    pytest.mark.vm,
    pytest.mark.kernels,
    pytest.mark.skipif(not bootable.REAL_DEBS, reason=bootable.NO_REAL_DEBS),
    pytest.mark.skipif(
        not all((COPIES / name).is_dir() for name in REPOSITORIES),
        reason=f"URING_LAB_GIT names no directory with {' and '.join(REPOSITORIES)}",
    ),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with bootable.real_archive(tmp_path_factory.mktemp("archive")) as served:
        yield served


@pytest.fixture(scope="module")
def inventory(vm, archive, tmp_path_factory):
    """Tell the machine's git and the kernel step where the copies are; return an inventory that says so."""
    for name, address in REPOSITORIES.items():
        packed = subprocess.run(
            ["tar", "-C", COPIES, "-cf", "-", f"{name}/"], check=True, capture_output=True
        )
        unpack = "sudo mkdir -p /srv/git && sudo tar -C /srv/git --no-same-owner -xf -"
        subprocess.run(
            ["ssh", "-F", vm.ssh_config, vm.name, unpack], check=True, input=packed.stdout, timeout=600
        )
        copy = f"/srv/git/{name}"
        lines = f'[url "file://{copy}"]\\n insteadOf = {address}\\n[safe]\\n directory = {copy}\\n'
        vm.run(f"printf '{lines}' | sudo tee -a /etc/gitconfig")
    found = yaml.safe_load(Path(vm.inventory).read_text())
    found["all"]["vars"] = {
        "kernel_mainline_url": archive.server.url,
        "kernel_mainline_key": str(archive.mirror.key),
        "kernel_mainline_fingerprint": archive.mirror.fingerprint,
        "kernel_confirm_timeout": bootable.CONFIRM,
        "kernel_headers": False,
    }
    path = tmp_path_factory.mktemp("inventory") / "inventory.yml"
    path.write_text(yaml.safe_dump(found))
    return path


def provision(archive, inventory):
    given = ["PROFILE=blog-2020", f"KERNEL={bootable.REAL_VERSION}", f"INVENTORY={inventory}"]
    return make("provision", *given, environment=archive.environment, timeout=5400)


def test_the_articles_profile_is_provisioned_and_every_check_passes(vm, archive, inventory, record_property):
    run = provision(archive, inventory)
    assert run.status == 0, run.output
    assert vm.run("uname -r").strip() == bootable.REAL_RELEASE
    checks = run.checks()
    assert checks["failed"] == []
    record_property("checks passed", len(checks["passed"]))
    record_property("seconds", {name: step["seconds"] for name, step in run.steps().items()})


def test_a_second_run_changes_nothing(archive, inventory):
    run = provision(archive, inventory)
    assert run.status == 0, run.output
    assert {step["status"] for step in run.steps().values()} == {"ok"}
