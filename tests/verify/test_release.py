"""Step 1: the requested release, with all updates and no unfinished packages."""

from pathlib import Path

import pytest
import yaml

from tests.verify.remote import ask, name

TABLE = Path(__file__).parents[2] / "roles/release_upgrade/vars/releases.yml"
RELEASES = yaml.safe_load(TABLE.read_text())["__release_upgrade_releases"]


@pytest.fixture(scope="module")
def seen(host):
    return ask(
        host,
        os_release="cat /etc/os-release",
        audit="dpkg --audit",
        states="dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\\n'",
        upgrade="apt-get -s -o APT::Get::Show-User-Simulation-Note=false dist-upgrade",
        reboot="[ ! -e /run/reboot-required ] || sort -u /run/reboot-required /run/reboot-required.pkgs",
    )


@pytest.fixture(scope="module")
def release(seen):
    """Return /etc/os-release as a dictionary."""
    pairs = (line.split("=", 1) for line in seen["os_release"].lines if "=" in line)
    return {name: value.strip("\"'") for name, value in pairs}


def test_the_host_runs_debian_or_ubuntu(host, release):
    """Everything else relies on the packages and names of these two distributions."""
    assert release.get("ID") in ("debian", "ubuntu"), (
        f"{name(host)}: expected Debian or Ubuntu, found {release.get('ID')!r}: "
        "no other distribution is supported"
    )


def test_the_host_runs_the_release_asked_for(host, release, expected):
    """A release upgrade can end with exit status 0 and the old release still there.

    A host with a later release than the requested one keeps it.
    """
    only, _, target = expected.get("release_upgrade_target", "keep").rpartition(":")
    target = target if only in ("", release.get("ID")) else "keep"
    known = RELEASES.get(release.get("ID"), [])
    codenames = [known_release["codename"] for known_release in known]
    found = release.get("VERSION_CODENAME", "")
    if target == "keep" or found not in codenames:
        # Testing and unstable have no number and are later than every release.
        assert release.get("VERSION_ID") or found, (
            f"{name(host)}: /etc/os-release names no release; is this a released version?"
        )
        return
    newest = [each for each in known if each.get("lts")] or known
    wanted = newest[-1] if target == "lts" else next(each for each in known if target in each.values())
    assert codenames.index(found) >= codenames.index(wanted["codename"]), (
        f"{name(host)}: expected release {wanted['version']} ({wanted['codename']}) or a later one, "
        f"found {release.get('VERSION_ID')} ({found}): "
        "run the provisioning again and read the release step's message"
    )


def test_dpkg_finds_nothing_wrong(host, seen):
    """A package that is only unpacked or lacks files makes the next apt run remove or break others."""
    found = (seen["audit"].out + seen["audit"].err).strip()
    assert seen["audit"].status == 0, f"{name(host)}: expected a silent `dpkg --audit`, found: {found}"
    assert not found, (
        f"{name(host)}: expected a silent `dpkg --audit`, found: {found}; try `sudo dpkg --configure -a`"
    )


def test_no_package_is_half_configured(host, seen):
    """The service of a half-configured package may run old code, and apt refuses to work."""
    complete = ("ii", "hi", "rc", "un", "pi")  # installed, held, removed except for configuration, unknown
    incomplete = [line for line in seen["states"].lines if line.split()[0] not in complete]
    assert seen["states"].status == 0, f"{name(host)}: dpkg-query failed: {seen['states'].err.strip()}"
    assert not incomplete, (
        f"{name(host)}: expected every package installed or removed, found {', '.join(incomplete)}: "
        "try `sudo dpkg --configure -a`, then `sudo apt-get install --fix-broken`"
    )


def test_no_upgrade_is_pending(host, seen):
    """With outdated packages one would study faults that are already fixed.

    apt simulates the upgrade, so held packages and phased updates do not count. It is based on the package
    lists of the last `apt-get update`.
    """
    answer = seen["upgrade"]
    assert answer.status == 0, (
        f"{name(host)}: expected apt to simulate an upgrade, found: {answer.err.strip()}"
    )
    pending = [line for line in answer.lines if line.startswith(("Inst ", "Remv "))]
    assert not pending, (
        f"{name(host)}: expected no pending upgrade, found {len(pending)}: {'; '.join(pending[:5])}: "
        "run the provisioning again, or `sudo apt-get dist-upgrade`"
    )


def test_no_reboot_is_pending(host, seen):
    """Until the reboot, programs run with older libraries and another kernel than the installed ones."""
    assert not seen["reboot"].lines, (
        f"{name(host)}: expected no reboot to be required, found one for {', '.join(seen['reboot'].lines)}: "
        "reboot the host and verify again"
    )
