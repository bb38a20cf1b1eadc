"""A host whose Python is older than the newest ansible's modules run on, provisioned and verified.

Its /usr/bin/python3 is a real Python of that version, from pyenv's directory on this computer, with Debian's
python-apt built for it on the host.
"""

import subprocess
from pathlib import Path

import pytest

from cli import ansible
from tests.e2e.support import make

VERSIONS = Path.home() / ".pyenv/versions"
#: The only one that `make test` has time for is the oldest.
PYTHONS = [
    "3.6",
    pytest.param("3.7", marks=pytest.mark.kernels),
    pytest.param("3.8", marks=pytest.mark.kernels),
]

pytestmark = pytest.mark.container

BUILD_PYTHON_APT = r"""
set -e
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/source.list
apt-get update -qq
apt-get install -qq --no-install-recommends build-essential libapt-pkg-dev dpkg-dev >/dev/null
cd "$(mktemp -d)"
apt-get source -qq python-apt >/dev/null
cd python-apt-*
LDFLAGS=-L/opt/python/lib DEBVER=$(dpkg-parsechangelog -S Version) /usr/bin/python3 setup.py -q build install
rm /etc/apt/sources.list.d/source.list
"""


@pytest.fixture(scope="module", params=PYTHONS)
def python(request, container):
    found = sorted(VERSIONS.glob(f"{request.param}.*"))
    if not found:
        pytest.skip(f"{VERSIONS} has no Python {request.param}")
    ssh = ["ssh", "-F", container.ssh_config, container.name]
    pack = ["tar", "-C", found[-1], "-c", "bin", "lib", "include"]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        unpack = "sudo mkdir -p /opt/python && sudo tar -C /opt/python -x"
        subprocess.run([*ssh, unpack], stdin=packed.stdout, check=True)
    container.run("echo /opt/python/lib | sudo tee /etc/ld.so.conf.d/python.conf && sudo ldconfig")
    container.run(f"sudo ln -sf /opt/python/bin/python{request.param} /usr/bin/python3")
    subprocess.run([*ssh, "sudo sh -s"], input=BUILD_PYTHON_APT, text=True, check=True)
    return container.run("/usr/bin/python3 -V").split()[1]


def test_a_host_with_an_older_python_is_provisioned_and_verified(container, python):
    run = make("provision", f"INVENTORY={container.inventory}")
    assert run.status == 0, run.output
    assert run.checks()["failed"] == []
    older = ansible.numbers(python) < ansible.numbers(ansible.oldest_python())
    assert (f"has Python {python}, and ansible-core {ansible.newest} needs" in run.output) == older
