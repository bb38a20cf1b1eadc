"""Upgrades from Debian 12 to 13 that are interrupted, and completed by the next run."""

import time

import pytest

from lab import container as containers
from lab import machine, paths
from lab import state as states
from tests.e2e.upgrading import FURNISH, LOG, as_root, begun, is_active, is_furnished, is_whole, upgrade

pytestmark = pytest.mark.container

#: True while many packages are unpacked and not configured yet.
MIDDLE = (
    "test $(dpkg-query -Wf '${db:Status-Abbrev}\\n' | grep -c ^iU) -ge 10 && grep -q 'Upgrading, part 2' "
    + LOG
)

# Pauses the upgrade between two runs of dpkg while the file exists, so that speed does not matter.
BRAKE = """
echo 'pre-invoke=while test -e /run/brake; do touch /run/braked; sleep 0.2; done' >/etc/dpkg/dpkg.cfg.d/brake
"""

# The state of a package after a power cut during its unpacking, with its files already there.
TEAR = """
dpkg --unpack /root/bc_*.deb
sed -i '/^Package: bc$/,/^$/s/^Status: .*/Status: install reinstreq unpacked/' /var/lib/dpkg/status
"""

# Cuts all ssh connections and refuses new ones for longer than the role's polling interval, or ssh would just
# reconnect. It runs as a unit, because it cuts our own connection too.
CUT = """
systemd-run --quiet --collect sh -c '
    systemctl stop ssh
    pkill -KILL -f "^sshd(-session)?: lab"
    sleep 8
    systemctl start ssh
'
"""


@pytest.fixture(scope="module")
def suite():
    return "bookworm"


@pytest.fixture(scope="module")
def host(container):
    """Prepare the host, and take a snapshot to start over from."""
    as_root(container, FURNISH + BRAKE)
    machine.snapshot(container.name, "furnished")
    return container


def cut(host):
    """Cut all connections to the host for a while, and return when it can be reached again."""
    as_root(host, CUT, check=False)
    time.sleep(3)
    while host.run("echo back", check=False).strip() != "back":
        time.sleep(0.5)


def switch_off(host):
    """Kill all processes of the host at once, like a power cut."""
    containers.stop(states.load(paths.machine(host.name)))


def test_the_remains_of_an_interrupted_apt_are_completed(host):
    """One package is unpacked without its dependencies; another was being unpacked when dpkg ended."""
    as_root(host, "cd /root && apt-get --quiet=2 download jq bc && dpkg --unpack jq_*.deb")
    as_root(host, TEAR)
    audit = host.run("sudo dpkg --audit")
    assert "jq" in audit
    assert "must be reinstalled" in audit
    code, output = upgrade(host, "keep")
    assert code == 0, output
    assert host.run("sudo dpkg --audit; jq --version").startswith("jq-")
    assert host.run("echo 6*7 | bc") == "42\n"


def test_the_upgrade_continues_when_the_controller_is_killed(host):
    with begun(host, "trixie") as run:
        run.wait_until(host, MIDDLE)
        as_root(host, "touch /run/brake")
        run.wait_until(host, "test -e /run/braked")
        run.kill()
    assert is_active(host)
    before = host.looks()
    code, output = upgrade(host, "trixie", "--check")
    assert code == 0, output
    assert "would go on with the upgrade from bookworm to trixie" in output
    assert host.looks() == before
    assert is_active(host)


def test_the_upgrade_continues_when_the_connection_is_lost(host):
    """Without retries of ssh, like after minutes without network."""
    with begun(host, "trixie", ansible_ssh_retries=0) as run:
        run.wait_for("Follow the upgrade to trixie")
        cut(host)
        assert run.process.wait(timeout=120) == 4, run.said()
        assert "UNREACHABLE" in run.said()
    assert is_active(host)


def test_the_next_run_follows_the_upgrade_to_its_end_despite_a_short_loss_of_connection(host):
    with begun(host, "trixie") as run:
        run.wait_for("Follow the upgrade to trixie")
        cut(host)
        as_root(host, "rm /run/brake")
        assert run.process.wait(timeout=900) == 0, run.said()
    assert host.run(f"grep -c 'Begun to upgrade' {LOG}") == "1\n"
    is_whole(host, "trixie")
    is_furnished(host)


def test_a_host_that_went_down_in_the_middle_is_repaired_and_its_upgrade_completed(host):
    """It goes down between two runs of dpkg: within one, a library of systemd or dpkg may be missing."""
    machine.revert(host.name, "furnished")
    with begun(host, "trixie") as run:
        run.wait_until(host, MIDDLE)
        as_root(host, "touch /run/brake")
        run.wait_until(host, "test -e /run/braked")
        switch_off(host)
        run.kill()
    machine.up(host.name)
    assert not is_active(host)
    assert host.run("sudo dpkg --audit") != ""
    code, output = upgrade(host, "trixie")
    assert code == 0, output
    assert host.run(f"grep -c 'Begun to upgrade' {LOG}") == "2\n"
    is_whole(host, "trixie")
    is_furnished(host)
