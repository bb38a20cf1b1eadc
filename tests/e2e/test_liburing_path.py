"""liburing from a directory on the controller: built as it is, and again only when it changes.

The directory has the archive's source package.
"""

import json
import re
import subprocess

import pytest

from tests.e2e import liburing
from tests.e2e.support import playbook

pytestmark = pytest.mark.container

# Two libraries of an earlier build, one of them needed by another package.
EARLIER_BUILD = r"""
set -eu
cd "$(mktemp -d)"
for package in liburing8 liburing9 needs-liburing8; do
    mkdir -p "$package/DEBIAN"
    printf '%s\n' "Package: $package" 'Version: 1' 'Architecture: all' \
        'Maintainer: nobody <nobody@example.org>' 'Description: made by a test' > "$package/DEBIAN/control"
done
echo 'Depends: liburing8' >> needs-liburing8/DEBIAN/control
for package in liburing8 liburing9 needs-liburing8; do
    dpkg-deb --build "$package" > /dev/null
    sudo dpkg --install "$package.deb" > /dev/null
done
sudo apt-mark hold liburing8 liburing9 > /dev/null
sudo sed -i 's/"packages": {/&"liburing8": "1", "liburing9": "1", /' /var/lib/uring-lab/liburing.json
"""


@pytest.fixture(scope="module")
def tree(container, tmp_path_factory):
    """Make a git work tree of liburing on the controller, with an uncommitted change."""
    directory = tmp_path_factory.mktemp("liburing")
    liburing.make_repository(container, directory)
    (directory / "README").write_text("changed\n")
    return directory


def test_a_directory_is_built_once_and_verified_and_its_debs_are_copied(container, tree, tmp_path):
    variables = {"liburing_source": "path", "liburing_path": str(tree), "liburing_keep_debs": str(tmp_path)}
    # Like on a host where this is the first step.
    container.run("sudo find /var/lib/apt/lists -type f -delete")
    for changed in (True, False):
        code, output = playbook(container, "liburing", "-e", json.dumps(variables))
        assert code == 0, output
        assert bool(re.search(r"changed=[1-9]", output)) == changed, output
    head = subprocess.run(
        ["git", "-C", tree, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    manifest = json.loads(container.run("cat /var/lib/uring-lab/liburing.json"))
    assert manifest["commit"] == f"{head}+changes"
    copied = {path.name.split("_")[0] for path in (tmp_path / container.name).glob("*.deb")}
    assert copied == set(manifest["packages"])
    expect = tmp_path / "expect.json"
    expect.write_text(json.dumps({container.name: variables}))
    checks = container.pytest("tests/verify/test_liburing.py", f"--lab-expect={expect}")
    assert checks.returncode == 0, checks.stdout


def test_a_changed_directory_would_be_built_again(container, tree):
    (tree / "README").write_text("changed again\n")
    variables = {"liburing_source": "path", "liburing_path": str(tree)}
    code, output = playbook(container, "liburing", "--check", "-e", json.dumps(variables))
    assert code == 0, output
    assert f"would build and install {tree}" in output


def test_a_library_of_an_earlier_build_is_removed_unless_another_package_needs_it(container, tree):
    """Such as liburing1, when the next version's library is liburing2."""
    container.run(EARLIER_BUILD)
    code, output = playbook(container, "liburing", "-e", f"liburing_source=path liburing_path={tree}")
    assert code == 0, output
    installed = container.run("dpkg-query --show --showformat='${Package}\\n' 'liburing*'").split()
    assert installed == ["liburing-dev", "liburing2", "liburing8"]
    assert "liburing8" in container.run("apt-mark showhold")
    packages = json.loads(container.run("cat /var/lib/uring-lab/liburing.json"))["packages"]
    assert packages.keys() == {"liburing-dev", "liburing2", "liburing8"}


def test_rollback_removes_it_except_what_another_package_needs(container):
    before = container.run("dpkg-query --show --showformat='${Package}\\n'").split()
    assert "liburing-dev" in before
    code, output = playbook(container, "rollback", "--tags", "liburing")
    assert code == 0, output
    left = {line.split()[0] for line in container.run("dpkg-query --show").splitlines() if "liburing" in line}
    assert left == {"liburing8", "needs-liburing8"}
    assert "liburing" not in container.run("sudo find /var/lib/uring-lab -name '*liburing*'")
