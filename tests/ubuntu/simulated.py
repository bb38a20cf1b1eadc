"""Turn a Debian container into a simulated Ubuntu host, and say how its upgrader is to behave.

Simulated are: os-release, lsb-release and `lsb_release`; apt's sources, under Ubuntu's own addresses, which
lead to a server in the container itself; changelogs.ubuntu.com with its meta-release files; and do-release-
upgrade, with the upgrader that it fetches, verifies and runs (host/). apt, dpkg, systemd, ssh and the reboots
are real, and so are the packages of the releases, though there are few. The container's own packages stay as
they are: no list has them, so nothing upgrades or removes them.

The simulation is written anew after what ubuntu-release-upgrader 22.04.10 (commit dd5d72d6 of
mvo5/ubuntu-release-upgrader) and update-manager do, and after the way of 24.04 with sources. It has none of
their code.
"""

import io
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from tests.ubuntu import archive

HERE = Path(__file__).parent / "host"

#: How the upgrader may behave; host/do_release_upgrade.py and host/upgrader.py play them.
BEHAVIOURS = (
    "succeeds",
    "slow",
    "never ends",
    "does nothing",
    "package fails",
    "dies half-way",
    "host dies",
    "crashes",
    # with exit status 0
    "release notes",
    "fetch fails",
    "not authentic",
    # with exit status 1, and a word in main.log alone
    "lock",
    "broken packages",
    "python link",
    "no space",
    "no way",
    "not fetched",
)


def shape(host, release="19.10", *behaviours):
    """Make the container a fresh Ubuntu host of a release, whatever was done to it before.

    Args:
        host: a running lab container of Debian, as tests/e2e/support.Host.
        release: 18.04, 19.10, 20.04, 22.04 or 24.04.
        behaviours: as in `behave`; none = the upgrade succeeds.

    """
    _as_root(host, "mkdir -p /opt/simulated-ubuntu && tar -xzC /opt/simulated-ubuntu", _files())
    codename = archive.RELEASES[release].codename
    _as_root(host, f"sh -eu /opt/simulated-ubuntu/shape.sh {codename} {release}")
    behave(host, *behaviours or ("succeeds",))


def behave(host, *behaviours):
    """Say how the upgrader behaves at its next runs: a behaviour for each, the last for all after it."""
    unknown = set(behaviours) - set(BEHAVIOURS)
    if unknown or not behaviours:
        raise ValueError(f"no such behaviour: {unknown}; there are {', '.join(BEHAVIOURS)}")
    _as_root(host, "tee /var/lib/simulated-ubuntu/behaviour", "\n".join(behaviours).encode())


@cache
def _files():
    """Return what goes to the host, as a packed tar file. Made once for all hosts: so is the key."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as name, tarfile.open(fileobj=packed, mode="w:gz") as tar:
        archive.write(Path(name), HERE)
        tar.add(name, "www")
        for file in ("shape.sh", "server.py", "simulated-archive.service"):
            tar.add(HERE / file, file)
    return packed.getvalue()


def _as_root(host, command, given=b""):
    ssh = ["ssh", "-F", str(host.ssh_config), host.name, f"sudo sh -c '{command}'"]
    run = subprocess.run(ssh, input=given, check=False, capture_output=True, timeout=120)
    if run.returncode:
        raise RuntimeError(f"{command} on {host.name}: {(run.stdout + run.stderr).decode(errors='replace')}")
