"""Three hosts of one inventory, each with another liburing, provisioned and verified by one command.

The tests depend on each other.
"""

import contextlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e import liburing
from tests.e2e.support import ROOT, lab_host, make

pytestmark = pytest.mark.container

#: The first has what the profile says, the second what its group says, the third what it says itself.
OF_PROFILE, OF_GROUP, OF_HOST = NAMES = [f"e2e-inventory-{which}" for which in ("a", "b", "c")]
TAG = "liburing-test"
REPOSITORY = "/srv/git/liburing"

UNPACK = f"""
set -eu
sudo mkdir -p {REPOSITORY}
sudo tar -xz --no-same-owner -C {REPOSITORY}
printf '[safe]\\n directory = {REPOSITORY}/.git\\n' | sudo tee -a /etc/gitconfig
"""


@pytest.fixture(scope="module")
def hosts(suite):
    with contextlib.ExitStack() as stack:
        made = {name: stack.enter_context(lab_host(name, "container", suite)) for name in NAMES}
        # The containers share a kernel, which counts the processes of a user by the user's number: those of a
        # program in the sandbox, where 64 are allowed, must not be counted with another container's.
        for place, host in enumerate(made.values()):
            host.run(f"for n in $(seq {2 * place}); do sudo useradd --system own$n; done")
        yield made


@pytest.fixture(scope="module")
def commit(hosts, tmp_path_factory):
    """Give the second and the third host a repository of liburing: a tag, and a commit after it."""
    directory = tmp_path_factory.mktemp("liburing")
    liburing.make_repository(hosts[OF_PROFILE], directory)
    liburing.git(directory, "tag", TAG)
    liburing.git(directory, "commit", "--quiet", "--allow-empty", "--message", "later")
    packed = subprocess.run(["tar", "-cz", "-C", directory, "."], check=True, capture_output=True).stdout
    for name in (OF_GROUP, OF_HOST):
        ssh = ["ssh", "-F", hosts[name].ssh_config, name, UNPACK]
        subprocess.run(ssh, check=True, input=packed, stdout=subprocess.PIPE, timeout=300)
    return liburing.git(directory, "rev-parse", "HEAD").strip()


@pytest.fixture(scope="module")
def inventory(hosts, commit, tmp_path_factory):
    """Write an inventory of a user's own: a directory with group_vars and host_vars."""
    directory = tmp_path_factory.mktemp("inventory")
    known = {}
    for host in hosts.values():
        known |= yaml.safe_load(Path(host.inventory).read_text())["all"]["hosts"]
    group = {"hosts": {OF_GROUP: {}, OF_HOST: {}}}
    files = {
        "hosts.yml": {"all": {"hosts": known, "children": {"pinned": group}}},
        "group_vars/pinned.yml": {
            "liburing_source": "git",
            "liburing_git_url": f"file://{REPOSITORY}",
            "liburing_git_ref": TAG,
        },
        f"host_vars/{OF_HOST}.yml": {"liburing_git_ref": commit},
    }
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(yaml.safe_dump(content))
    return directory


@pytest.fixture(scope="module")
def provisioned(inventory):
    run = make("provision", f"INVENTORY={inventory}")
    assert run.directory, run.output
    return run


def steps(run):
    """Return what each step recorded of each host."""
    return {
        (step["step"], step["host"]): step for step in json.loads((run.directory / "steps.json").read_text())
    }


def test_each_host_gets_the_liburing_that_its_own_variables_name(provisioned, hosts, commit):
    found = {}
    for name, host in hosts.items():
        manifest = json.loads(host.run("cat /var/lib/uring-lab/liburing.json"))
        found[name] = (manifest["source"], manifest.get("ref") or "", manifest.get("commit") or "")
    assert found[OF_PROFILE][0] == "apt"
    assert found[OF_GROUP][:2] == ("git", TAG)
    assert found[OF_HOST] == ("git", commit, commit)
    assert found[OF_GROUP][2] != commit


def test_every_check_passes_on_every_host(provisioned):
    assert provisioned.status == 0, provisioned.output
    checks = provisioned.checks()
    passed = {name: sum(f"[{name}" in check for check in checks["passed"]) for name in NAMES}
    assert min(passed.values()) > 300, passed


def test_the_report_says_what_each_host_was_asked_for(provisioned, commit):
    page = (provisioned.directory / "report.html").read_text()
    for variable, value, who in (
        ("liburing_source", "apt", OF_PROFILE),
        ("liburing_source", "git", f"{OF_GROUP}, {OF_HOST}"),
        ("liburing_git_ref", TAG, OF_GROUP),
        ("liburing_git_ref", commit, OF_HOST),
        ("samples_source", "ours", "all"),
    ):
        assert f"<td>{variable}</td><td>{value}</td><td>{who}</td>" in page


def test_each_host_fails_the_expectation_of_another_one(provisioned, tmp_path):
    """Else the checks above would prove nothing."""
    asked = json.loads((provisioned.directory / "expect.json").read_text())
    expect = tmp_path / "expect.json"
    expect.write_text(json.dumps({name: asked[NAMES[place - 1]] for place, name in enumerate(NAMES)}))
    command = [ROOT / ".venv/bin/pytest", "-q", "tests/verify/test_liburing.py", f"--lab-expect={expect}"]
    command += [f"--lab-hosts={','.join(NAMES)}"]
    command += [f"--lab-inventory-ssh-config={provisioned.directory / 'ssh_config'}"]
    command += ["-k", "test_liburing_comes_from_the_source_asked_for"]
    checks = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    for name in NAMES:
        assert f"{name}: expected liburing " in checks.stdout, checks.stdout


def test_the_command_line_overrides_what_an_inventory_says(provisioned, inventory):
    run = make("provision", f"INVENTORY={inventory}", "LIBURING=apt", "CHECK=1")
    assert run.status == 0, run.output
    would = {name: steps(run)["liburing", name]["status"] for name in NAMES}
    assert would == {OF_PROFILE: "ok", OF_GROUP: "changed", OF_HOST: "changed"}
