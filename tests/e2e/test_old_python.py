"""A host whose Python is older than the newest ansible's modules run on, provisioned and verified.

Its /usr/bin/python3 is a real Python of that version, from pyenv's directory on this computer, with Debian's
python-apt built for it on the host.
"""

import subprocess
from pathlib import Path

import pytest

from cli import ansible
from tests.e2e.debian_source import get_source
from tests.e2e.support import lab_host, make

VERSIONS = Path.home() / ".pyenv/versions"
#: `make test` has time for the oldest alone, `make test-kernels` for all.
PYTHONS = [
    "3.6",
    pytest.param("3.7", marks=pytest.mark.kernels),
    pytest.param("3.8", marks=pytest.mark.kernels),
]

pytestmark = pytest.mark.container

BUILD_PYTHON_APT = """
set -e
apt-get install -qq --no-install-recommends build-essential libapt-pkg-dev >/dev/null
cd "$(mktemp -d)"
tar -xz
LDFLAGS=-L/opt/python/lib DEBVER=$(dpkg-parsechangelog -S Version) /usr/bin/python3 setup.py -q build install
"""


@pytest.fixture(scope="module", params=PYTHONS)
def installed(request):
    """Return the directory of a Python on this computer."""
    found = sorted(VERSIONS.glob(f"{request.param}.*"))
    if not found:
        pytest.skip(f"{VERSIONS} has no Python {request.param}")
    return found[-1]


@pytest.fixture(scope="module")
def container(installed, suite):
    """Make a container for each Python."""
    with lab_host(f"e2e-python-{installed.name.replace('.', '-')}", "container", suite) as host:
        yield host


@pytest.fixture(scope="module")
def python(installed, container):
    ssh = ["ssh", "-F", container.ssh_config, container.name]
    source = get_source(container, "python-apt")
    pack = ["tar", "-C", installed, "-c", "bin", "lib", "include"]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        unpack = "sudo mkdir /opt/python && sudo tar -C /opt/python -x"
        subprocess.run([*ssh, unpack], stdin=packed.stdout, check=True)
    container.run("echo /opt/python/lib | sudo tee /etc/ld.so.conf.d/python.conf && sudo ldconfig")
    name = ".".join(installed.name.split(".")[:2])
    container.run(f"sudo ln -sf /opt/python/bin/python{name} /usr/bin/python3")
    subprocess.run([*ssh, f"sudo sh -c '{BUILD_PYTHON_APT}'"], input=source, check=True)
    return container.run("/usr/bin/python3 -V").split()[1]


def test_a_host_with_an_older_python_is_provisioned_and_verified(container, python):
    run = make("provision", f"INVENTORY={container.inventory}")
    assert run.status == 0, run.output
    assert run.checks()["failed"] == []
    older = ansible.numbers(python) < ansible.numbers(ansible.oldest_python())
    assert (f"has Python {python}, and ansible-core {ansible.newest} needs" in run.output) == older
