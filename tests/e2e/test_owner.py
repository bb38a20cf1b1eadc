"""The owner's packages, users, directories and holds on a host are never removed. In a container.

The tests depend on each other: a failed build leaves its tools behind, the owner continues to work, and only
then a run cleans up, and a rollback removes the lab.
"""

import json
import re
import shlex
import subprocess

import pytest

from tests.e2e.support import make, playbook

pytestmark = pytest.mark.container

#: A tree like liburing's whose build fails after the tools and dependencies were installed.
BROKEN_TREE = {
    "liburing.spec": "Name: liburing\nVersion: 2.3\n",
    "debian/control": "Source: liburing\nMaintainer: nobody <nobody@example.org>\n"
    "Build-Depends: debhelper-compat (= 13)\n"
    "\nPackage: liburing2\nArchitecture: any\nDescription: made by a test\n",
    "debian/changelog": "liburing (2.3-1) unstable; urgency=low\n\n  * test\n\n"
    " -- nobody <nobody@example.org>  Mon, 01 Jan 2024 00:00:00 +0000\n",
    "debian/rules": "#!/bin/sh\nexit 1\n",
}


def packages(host):
    return set(
        host.run(
            "dpkg-query --show --showformat='${db:Status-Status} ${Package}\\n' | sed -n 's/^installed //p'"
        ).split()
    )


def ledger(host, step):
    return json.loads(host.run(f"sudo cat /var/lib/uring-lab/ledger/{step}.json"))


def provision(host, name, **variables):
    return playbook(host, name, "-e", "@profiles/archive.yml", "-e", json.dumps(variables))


def own_package(host, name, depends):
    """Make and install a package of the owner."""
    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nDepends: {depends}\n"
    control += "Maintainer: nobody <nobody@example.org>\nDescription: of the owner\n"
    host.run(
        f"mkdir -p /tmp/{name}/DEBIAN && printf %s {shlex.quote(control)} >/tmp/{name}/DEBIAN/control"
        f" && dpkg-deb --build /tmp/{name} && sudo dpkg --install /tmp/{name}.deb"
    )


@pytest.fixture(scope="module")
def before(container):
    """Return the packages of the untouched host."""
    return packages(container)


def test_a_persons_account_with_the_samples_users_name_is_refused(container, before):
    container.run("sudo useradd --create-home --shell /bin/bash uring-lab")
    code, output = provision(container, "samples")
    assert code != 0
    assert re.search(r"user uring-lab that is not ours", output), output
    make("rollback", f"INVENTORY={container.inventory}")
    assert container.run("getent passwd uring-lab && ls -d /home/uring-lab")
    container.run("sudo userdel --remove uring-lab")


def test_the_owners_directory_with_the_labs_name_is_refused_and_not_removed(container):
    container.run("sudo mkdir -p /opt/uring-lab && echo precious | sudo tee /opt/uring-lab/file")
    code, output = provision(container, "samples")
    assert code != 0
    assert "/opt/uring-lab that is not ours" in output
    make("rollback", f"INVENTORY={container.inventory}")
    assert container.run("cat /opt/uring-lab/file") == "precious\n"
    container.run("sudo rm -r /opt/uring-lab")


def test_a_failed_build_leaves_a_record_of_what_it_has_installed(container, before, tmp_path):
    for name, text in BROKEN_TREE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "debian/rules").chmod(0o755)
    code, output = provision(container, "liburing", liburing_source="path", liburing_path=str(tmp_path))
    assert code != 0, output
    build = {
        name
        for name, entry in ledger(container, "liburing")["packages"].items()
        if entry["purpose"] == "build"
    }
    kept = set(ledger(container, "common")["packages"])
    assert {"devscripts", "equivs", "liburing-build-deps"} <= build
    assert packages(container) - before == build | kept


def test_packages_that_the_owner_uses_survive_the_clean_up(container):
    """The owner installs a package and one of our tools, holds another tool, and a package needs a third."""
    container.run("sudo apt-get install --yes --no-install-recommends cowsay equivs")
    container.run("sudo apt-mark hold patchutils")
    own_package(container, "own", "gettext")
    code, output = provision(container, "liburing")
    assert code == 0, output
    found = packages(container)
    assert {"cowsay", "equivs", "patchutils", "own", "gettext", "liburing2"} <= found
    assert not {"liburing-build-deps", "devscripts", "wdiff"} & found
    assert "patchutils" in container.run("apt-mark showhold").split()
    assert not [
        name
        for name, entry in ledger(container, "liburing")["packages"].items()
        if entry["purpose"] == "build"
    ]


def test_packages_that_the_owner_uses_survive_a_rollback(container):
    """Our library, which a package of the owner needs now, is replaced by the archive's version."""
    own_package(container, "uses", "liburing2")
    run = make("rollback", f"INVENTORY={container.inventory}")
    assert run.status == 0, run.output
    found = packages(container)
    assert {"uses", "liburing2", "cowsay", "own", "equivs"} <= found
    assert "liburing-dev" not in found
    assert "liburing" not in container.run("apt-mark showhold")


def test_a_liburing_that_the_owner_holds_is_refused(container):
    container.run("sudo apt-mark hold liburing2")
    code, output = provision(container, "liburing")
    assert code != 0
    assert "holds liburing2" in output
    container.run("sudo apt-mark unhold liburing2")


@pytest.mark.parametrize("text", ["", '{"format": 1, "step": "libu'])
def test_a_damaged_record_is_reported_and_does_not_prevent_the_rollback(container, text):
    container.run(
        "sudo mkdir -p /var/lib/uring-lab/ledger && sudo sh -c 'cat >/var/lib/uring-lab/ledger/liburing.json'"
        f" <<'END'\n{text}\nEND"
    )
    code, output = provision(container, "liburing")
    assert code != 0
    assert "liburing.json is damaged" in output
    assert "Traceback" not in output
    run = make("rollback", f"INVENTORY={container.inventory}")
    assert run.status == 0, run.output
    assert "is damaged" in (run.directory / "steps.json").read_text()
    assert container.run("sudo ls /var/lib/uring-lab/ledger").split() == ["liburing.json.damaged"]
    container.run("sudo rm -r /var/lib/uring-lab")


def test_symbolic_links_in_a_tree_give_the_build_user_no_file_of_the_host(container, tmp_path):
    for name, text in BROKEN_TREE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "link").symlink_to("/etc/cron.d")
    subprocess.run(["chmod", "+x", tmp_path / "debian/rules"], check=True)
    before = container.run("sudo find /etc/cron.d -printf '%p %u\\n'")
    provision(container, "liburing", liburing_source="path", liburing_path=str(tmp_path))
    assert container.run("sudo find /etc/cron.d -printf '%p %u\\n'") == before
