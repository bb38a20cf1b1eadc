"""Upgrades of a simulated Ubuntu host (tests/ubuntu), with the upgrader's behaviour set by each test.

They do not test Ubuntu's real upgrader with its thousands of packages, but how the role reacts to its
behaviour. Some tests depend on each other to save an upgrade.
"""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.e2e.support import ROOT, playbook, playbook_command
from tests.ubuntu import simulated

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def suite():
    """Return the Debian release that the simulation was written for."""
    return "bookworm"


@pytest.fixture(scope="module")
def jammy(container):
    """Return a host of 22.04 with all updates, for tests that do not change it."""
    simulated.shape(container, "22.04")
    code, output = upgrade(container, "keep")
    assert code == 0, output
    return container


def variables(target, given):
    # A look at the upgrade takes the same whether it is every second or every five.
    chosen = {"release_upgrade_target": target, "__release_upgrade_poll_interval": 1}
    return ["-e", json.dumps({**chosen, **given})]


def upgrade(host, target, *arguments, **given):
    """Run the step and return its exit status and its output, in one line."""
    code, output = playbook(host, "release_upgrade", *variables(target, given), *arguments)
    return code, " ".join(output.split())


def release(host):
    return host.run(". /etc/os-release; echo $VERSION_ID").strip()


def sources(host):
    """Return the enabled entries of apt's sources."""
    return host.run("sed -s '/^deb/!d' /etc/apt/sources.list /etc/apt/sources.list.d/*.list").splitlines()


def nothing_is_left_of_the_hop(host):
    assert host.run("find /var/lib/uring-lab -mindepth 1").split() == []
    assert host.run("dpkg --audit") == ""
    assert host.run("systemctl is-active uring-lab-release-upgrade", check=False).strip() == "inactive"


# The simulation itself.


def test_the_simulated_upgrader_refuses_what_the_real_one_refuses(container):
    simulated.shape(container, "20.04")
    run = "sudo do-release-upgrade; echo $?"
    container.run("sudo apt-get --quiet=2 update")
    assert "Please install all available updates" in container.run(run)
    container.run(
        "sudo apt-get --quiet=2 --yes dist-upgrade && echo libc6 | sudo tee /run/reboot-required.pkgs"
    )
    assert "You have not rebooted" in container.run(run)
    container.run(
        "sudo rm /run/reboot-required.pkgs; sudo sed -i s/lts/never/ /etc/update-manager/release-upgrades"
    )
    assert container.run(run).endswith("is set to never so upgrading is not possible.\n1\n")
    assert release(container) == "20.04"


# A successful upgrade, from an unsupported release.


def test_check_names_the_hop_and_changes_nothing(container):
    simulated.shape(container)
    container.run("echo 'colour = red' | sudo tee /etc/lab-service.conf")
    container.run("sudo sed -i s/normal/never/ /etc/update-manager/release-upgrades")
    container.run("sudo apt-mark hold lab-held")
    container.run("echo libc6 | sudo tee /run/reboot-required /run/reboot-required.pkgs")
    before = container.looks()
    code, output = upgrade(container, "focal", "--check")
    assert code == 0, output
    assert "would upgrade Ubuntu to 20.04 (focal)" in output
    assert container.looks() == before


def test_the_host_is_upgraded_to_the_requested_release(container):
    """Although it is unsupported, has pending updates and a pending reboot, and its Prompt is never."""
    boot = container.run("cat /proc/sys/kernel/random/boot_id")
    code, output = upgrade(container, "focal")
    assert code == 0, output
    assert release(container) == "20.04"
    assert container.run("cat /proc/sys/kernel/random/boot_id") != boot
    nothing_is_left_of_the_hop(container)
    # The report names what needs a person's attention.
    assert "kept as they were, the new one beside each: /etc/lab-service.conf" in output
    assert "lab-held" in output
    assert "http://packages.example.com/apt eoan" in output.split("left switched off")[1]


def test_changed_configuration_and_holds_are_kept(container):
    assert container.run("cat /etc/lab-service.conf") == "colour = red\n"
    assert "Prompt=never" in container.run("cat /etc/update-manager/release-upgrades")
    assert container.run("apt-mark showhold") == "lab-held\n"
    assert container.run("dpkg-query -Wf '${Version}' lab-held") == "19.10"
    assert container.run("dpkg-query -Wf '${Version}' lab-service") == "20.04.1"


def test_the_enabled_sources_are_the_new_releases_and_third_parties_that_name_no_release(container):
    assert sorted(line.split()[1:3] for line in sources(container)) == [
        ["http://archive.ubuntu.com/ubuntu", "focal"],
        ["http://archive.ubuntu.com/ubuntu", "focal-security"],
        ["http://archive.ubuntu.com/ubuntu", "focal-updates"],
        ["http://packages.example.com/apt", "stable"],
    ]
    assert "has moved" not in container.run("cat /etc/apt/sources.list")


def test_a_second_run_changes_nothing(container):
    before = container.looks()
    code, output = upgrade(container, "focal")
    assert code == 0, output
    assert " changed=0 " in output
    assert "Ubuntu 20.04, all updates in" in output
    assert container.looks() == before


# Failures of the upgrader.

REFUSALS = {
    "fetch fails": "The upgrader could not be fetched",
    "not authentic": "The signature of the upgrader is not its publisher's",
    "release notes": "asks about the release notes",
    "does nothing": "It has not said why",
    "no way": "apt finds no way to the new release",
    "no space": "The disk is too full",
}


@pytest.mark.parametrize("behaviour", REFUSALS)
def test_a_refusal_of_the_upgrader_is_explained_and_the_host_unchanged(jammy, behaviour):
    """The first four exit with status 0, the others report the reason only in main.log."""
    simulated.behave(jammy, behaviour)
    before = jammy.looks()
    code, output = upgrade(jammy, "noble")
    assert code != 0
    assert REFUSALS[behaviour] in output, output
    assert "No package was touched" in output
    assert "Traceback" not in output
    # The real one leaves such backups too.
    changed = jammy.looks() ^ before
    assert [line for line in changed if "sources.list.distUpgrade" not in line] == []


def test_a_held_package_with_an_update_is_named_as_the_reason(jammy):
    jammy.run("sudo apt-get --quiet=2 --yes --allow-downgrades install lab-service=22.04.0")
    jammy.run("sudo apt-mark hold lab-service")
    code, output = upgrade(jammy, "noble")
    jammy.run("sudo apt-mark unhold lab-service")
    assert code != 0
    assert "lab-service" in output
    assert "a package that is held or kept back is enough" in output, output


def test_the_upgrader_uses_the_hosts_proxy(jammy):
    """A systemd unit does not read /etc/environment by itself; here the proxy does not answer."""
    jammy.run("echo 'http_proxy=\"http://127.0.0.1:9/\"' | sudo tee -a /etc/environment")
    code, output = upgrade(jammy, "noble")
    jammy.run("sudo sed -i /http_proxy/d /etc/environment")
    assert code != 0
    assert "The host cannot reach changelogs.ubuntu.com" in output, output


def test_an_upgrade_that_hangs_is_stopped(jammy):
    simulated.behave(jammy, "never ends")
    before = jammy.looks()
    code, output = upgrade(jammy, "noble", release_upgrade_timeout=10)
    assert code != 0
    assert "within 10 s (release_upgrade_timeout)" in output, output
    # By then it had rewritten all sources.
    changed = jammy.looks() ^ before
    assert [line for line in changed if "sources.list.distUpgrade" not in line] == []
    assert jammy.run("pgrep --exact noble", check=False) == ""


# Interrupted and repaired upgrades.


def test_failures_with_a_safe_remedy_are_repaired_in_the_same_run(container):
    simulated.shape(container, "22.04", "lock", "package fails", "succeeds")
    code, output = upgrade(container, "noble")
    assert code == 0, output
    assert "Another program holds the lock" in output
    assert "A package could not be installed or configured" in output
    assert release(container) == "24.04"
    nothing_is_left_of_the_hop(container)


def test_third_party_sources_are_restored_though_the_upgrader_has_rewritten_all_sources(container):
    """Since 24.04 it converts them to the deb822 format and leaves out comments."""
    assert [line.split()[1:3] for line in sources(container)] == [
        ["http://packages.example.com/apt", "stable"]
    ]
    left = container.run("cat /etc/apt/sources.list.d/tool-of-the-release.list")
    assert left == "# uring-lab has set aside: deb http://packages.example.com/apt jammy main\n"
    assert "Suites: noble-updates" in container.run("cat /etc/apt/sources.list.d/ubuntu.sources")


def test_two_hops_are_completed_though_the_host_goes_down_in_the_first(container):
    simulated.shape(container, "19.10", "host dies", "succeeds")
    code, output = upgrade(container, "22.04")
    if code != 0:
        assert "The next run goes on" in output, output
        code, output = upgrade(container, "22.04")
    assert code == 0, output
    assert release(container) == "22.04"
    # The default of 22.04: 19.10's `normal` was not changed by the owner.
    assert "Prompt=lts" in container.run("cat /etc/update-manager/release-upgrades")
    nothing_is_left_of_the_hop(container)


def test_apt_completes_the_upgrade_of_an_upgrader_that_was_killed(container):
    simulated.shape(container, "18.04", "dies half-way")
    code, output = upgrade(container, "20.04")
    assert code == 0, output
    assert release(container) == "20.04"
    nothing_is_left_of_the_hop(container)


def test_the_next_run_resumes_the_upgrade_of_a_killed_controller(container):
    simulated.shape(container, "20.04", "slow")
    command = playbook_command(container, "release_upgrade", *variables("jammy", {}))
    controller = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while (
            "active"
            not in container.run("systemctl is-active uring-lab-release-upgrade", check=False).split()
        ):
            assert time.monotonic() < until, "the upgrade was not begun"
            time.sleep(0.5)
    finally:
        os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
    code, output = upgrade(container, "jammy", "--check")
    assert code == 0, output
    assert "would go on with the upgrade from focal to jammy" in output
    # A run without an upgrade request completes it too.
    code, output = upgrade(container, "keep")
    assert code == 0, output
    assert release(container) == "22.04"
    assert (
        container.run("sudo grep -c 'Running do-release-upgrade' /var/log/uring-lab/release-upgrade.log")
        == "1\n"
    )
    nothing_is_left_of_the_hop(container)
