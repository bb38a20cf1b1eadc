"""Turns a Debian container into a simulated Ubuntu host, and sets the behaviour of its upgrader.

Simulated are: os-release, lsb-release and `lsb_release`; apt's sources, whose addresses are Ubuntu's but lead
to a server in the container; changelogs.ubuntu.com with its meta-release files; and do-release-upgrade, with
the upgrader that it downloads, verifies and runs (host/). apt, dpkg, systemd, ssh and the reboots are real,
and so are the few packages of the releases. The container's own packages are in no package list, so nothing
upgrades or removes them.

The simulation imitates ubuntu-release-upgrader 22.04.10 (commit dd5d72d6 of mvo5/ubuntu-release-upgrader) and
update-manager, and 24.04's treatment of sources. It contains none of their code.
"""

import io
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from tests.ubuntu import archive

HERE = Path(__file__).parent / "host"

#: The behaviours that host/do_release_upgrade.py and host/upgrader.py simulate.
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
    # with exit status 1, and a message only in main.log
    "lock",
    "broken packages",
    "python link",
    "no space",
    "no way",
    "not fetched",
)


def shape(host, release="19.10", *behaviours):
    """Make the container a freshly installed Ubuntu host of a release, whatever its state.

    Args:
        host: a running lab container of Debian, a tests/e2e/support.Host.
        release: 18.04, 19.10, 20.04, 22.04 or 24.04.
        behaviours: as in `behave`; default: the upgrade succeeds.

    """
    _as_root(host, "mkdir -p /opt/simulated-ubuntu && tar -xzC /opt/simulated-ubuntu", _files())
    codename = archive.RELEASES[release].codename
    _as_root(host, f"sh -eu /opt/simulated-ubuntu/shape.sh {codename} {release}")
    behave(host, *behaviours or ("succeeds",))


def behave(host, *behaviours):
    """Set the upgrader's behaviour in its next runs, one per run; the last one also for all later runs."""
    unknown = set(behaviours) - set(BEHAVIOURS)
    if unknown or not behaviours:
        raise ValueError(f"no such behaviour: {unknown}; there are {', '.join(BEHAVIOURS)}")
    _as_root(host, "tee /var/lib/simulated-ubuntu/behaviour", "\n".join(behaviours).encode())


@cache
def _files():
    """Return the host's files as a compressed tar file; cached, so that all hosts share the key."""
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
