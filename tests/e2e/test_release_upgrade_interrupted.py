"""Upgrades from Debian 12 to 13 that are cut off in the middle, and that the next run takes to their end."""

import time

import pytest

from lab import container as containers
from lab import machine, paths
from lab import state as states
from tests.e2e.upgrading import FURNISH, LOG, as_root, begun, is_active, is_furnished, is_whole, upgrade

pytestmark = pytest.mark.container

#: Many packages are unpacked and not configured yet.
MIDDLE = (
    "test $(dpkg-query -Wf '${db:Status-Abbrev}\\n' | grep -c ^iU) -ge 10 && grep -q 'Upgrading, part 2' "
    + LOG
)

# Holds the upgrade between two runs of dpkg as long as the file is there, so that no computer is too fast.
BRAKE = """
echo 'pre-invoke=while test -e /run/brake; do touch /run/braked; sleep 0.2; done' >/etc/dpkg/dpkg.cfg.d/brake
"""

# What a power cut leaves of a package whose files are there and whose unpacking has not ended.
TEAR = """
dpkg --unpack /root/bc_*.deb
sed -i '/^Package: bc$/,/^$/s/^Status: .*/Status: install reinstreq unpacked/' /var/lib/dpkg/status
"""

# No connection is left and none is let in, for longer than the role waits between two looks. By a unit, since
# the connection that asks for it is one of them. Let in again at once, ssh would connect anew without a word.
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
    """Furnish a host and keep it, to begin anew from."""
    as_root(container, FURNISH + BRAKE)
    machine.snapshot(container.name, "furnished")
    return container


def cut(host):
    """Keep every connection from the host for a while, and return when it can be reached again."""
    as_root(host, CUT, check=False)
    time.sleep(3)
    while host.run("echo back", check=False).strip() != "back":
        time.sleep(0.5)


def switch_off(host):
    """End all of the host's processes at once, as a power cut does; its files stay as they are then."""
    containers.stop(states.load(paths.machine(host.name)))


def test_what_somebodys_own_apt_has_left_is_completed(host):
    """Half of it is there: a program is unpacked, and the libraries that it needs have not come.

    Another one was being unpacked when dpkg ended.
    """
    as_root(host, "cd /root && apt-get --quiet=2 download jq bc && dpkg --unpack jq_*.deb")
    as_root(host, TEAR)
    audit = host.run("sudo dpkg --audit")
    assert "jq" in audit
    assert "must be reinstalled" in audit
    code, output = upgrade(host, "keep")
    assert code == 0, output
    assert host.run("sudo dpkg --audit; jq --version").startswith("jq-")
    assert host.run("echo 6*7 | bc") == "42\n"


def test_the_host_goes_on_when_the_controller_is_killed(host):
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


def test_the_host_goes_on_when_the_connection_is_lost(host):
    """As after minutes without network: this run does not try again to connect."""
    with begun(host, "trixie", ansible_ssh_retries=0) as run:
        run.wait_for("Follow the upgrade to trixie")
        cut(host)
        assert run.process.wait(timeout=120) == 4, run.said()
        assert "UNREACHABLE" in run.said()
    assert is_active(host)


def test_the_next_run_follows_to_the_end_and_outlives_a_shorter_loss(host):
    with begun(host, "trixie") as run:
        run.wait_for("Follow the upgrade to trixie")
        cut(host)
        as_root(host, "rm /run/brake")
        assert run.process.wait(timeout=900) == 0, run.said()
    assert host.run(f"grep -c 'Begun to upgrade' {LOG}") == "1\n"
    is_whole(host, "trixie")
    is_furnished(host)


def test_a_host_that_went_down_in_the_middle_is_repaired_and_taken_to_the_end(host):
    """Between two runs of dpkg: in the midst of one, a library that systemd or dpkg needs may be missing."""
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
