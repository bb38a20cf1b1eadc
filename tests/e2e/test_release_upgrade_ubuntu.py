"""Upgrades of a simulated Ubuntu host (tests/ubuntu) whose upgrader behaves as each test says.

What Ubuntu's own upgrader does with its thousands of packages cannot be shown here; what can is the answer to
all that it may do. The tests build on one another where that saves an upgrade.
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
    """Simulate on the Debian that the simulation was made on."""
    return "bookworm"


@pytest.fixture(scope="module")
def jammy(container):
    """Shape a host of 22.04 with all its updates in, for what leaves it as it is."""
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
    """Return the entries of apt's sources that are switched on."""
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


# An upgrade that goes well, from a release past its end.


def test_check_says_the_hop_and_does_nothing(container):
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


def test_the_host_comes_to_the_release_asked_for(container):
    """It is past its end, has updates and a reboot pending, and its Prompt forbids: it would be refused."""
    boot = container.run("cat /proc/sys/kernel/random/boot_id")
    code, output = upgrade(container, "focal")
    assert code == 0, output
    assert release(container) == "20.04"
    assert container.run("cat /proc/sys/kernel/random/boot_id") != boot
    nothing_is_left_of_the_hop(container)
    # What a person has to know.
    assert "kept as they were, the new one beside each: /etc/lab-service.conf" in output
    assert "lab-held" in output
    assert "http://packages.example.com/apt eoan" in output.split("left switched off")[1]


def test_what_was_changed_on_the_host_is_as_it_was(container):
    assert container.run("cat /etc/lab-service.conf") == "colour = red\n"
    assert "Prompt=never" in container.run("cat /etc/update-manager/release-upgrades")
    assert container.run("apt-mark showhold") == "lab-held\n"
    assert container.run("dpkg-query -Wf '${Version}' lab-held") == "19.10"
    assert container.run("dpkg-query -Wf '${Version}' lab-service") == "20.04.1"


def test_the_sources_are_those_of_the_new_release_and_of_third_parties_that_name_none(container):
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


# An upgrader that does not do it.

REFUSALS = {
    "fetch fails": "The upgrader could not be fetched",
    "not authentic": "The signature of the upgrader is not its publisher's",
    "release notes": "asks about the release notes",
    "does nothing": "It has not said why",
    "no way": "apt finds no way to the new release",
    "no space": "The disk is too full",
}


@pytest.mark.parametrize("behaviour", REFUSALS)
def test_what_the_upgrader_refuses_is_told_and_the_host_is_as_it_was(jammy, behaviour):
    """The first four end with exit status 0, the others with a word in main.log alone."""
    simulated.behave(jammy, behaviour)
    before = jammy.looks()
    code, output = upgrade(jammy, "noble")
    assert code != 0
    assert REFUSALS[behaviour] in output, output
    assert "No package was touched" in output
    assert "Traceback" not in output
    # The real one leaves such copies too.
    changed = jammy.looks() ^ before
    assert [line for line in changed if "sources.list.distUpgrade" not in line] == []


def test_a_held_package_that_has_an_update_is_named_as_the_reason(jammy):
    jammy.run("sudo apt-get --quiet=2 --yes --allow-downgrades install lab-service=22.04.0")
    jammy.run("sudo apt-mark hold lab-service")
    code, output = upgrade(jammy, "noble")
    jammy.run("sudo apt-mark unhold lab-service")
    assert code != 0
    assert "lab-service" in output
    assert "a package that is held or kept back is enough" in output, output


def test_the_proxy_of_the_host_is_that_of_the_upgrader(jammy):
    """A unit does not get what a login gets; here it is a proxy that does not answer."""
    jammy.run("echo 'http_proxy=\"http://127.0.0.1:9/\"' | sudo tee -a /etc/environment")
    code, output = upgrade(jammy, "noble")
    jammy.run("sudo sed -i /http_proxy/d /etc/environment")
    assert code != 0
    assert "The host cannot reach changelogs.ubuntu.com" in output, output


def test_an_upgrade_that_never_ends_is_ended(jammy):
    simulated.behave(jammy, "never ends")
    before = jammy.looks()
    code, output = upgrade(jammy, "noble", release_upgrade_timeout=10)
    assert code != 0
    assert "within 10 s (release_upgrade_timeout)" in output, output
    # It had written all sources anew by then.
    changed = jammy.looks() ^ before
    assert [line for line in changed if "sources.list.distUpgrade" not in line] == []
    assert jammy.run("pgrep --exact noble", check=False) == ""


# An upgrade that is interrupted, or mended on its way.


def test_what_can_be_mended_is_mended_in_the_same_run(container):
    simulated.shape(container, "22.04", "lock", "package fails", "succeeds")
    code, output = upgrade(container, "noble")
    assert code == 0, output
    assert "Another program holds the lock" in output
    assert "A package could not be installed or configured" in output
    assert release(container) == "24.04"
    nothing_is_left_of_the_hop(container)


def test_third_parties_are_back_though_the_upgrader_has_written_all_sources_anew(container):
    """Since 24.04 it turns them into deb822's format and leaves out what it takes for comments."""
    assert [line.split()[1:3] for line in sources(container)] == [
        ["http://packages.example.com/apt", "stable"]
    ]
    left = container.run("cat /etc/apt/sources.list.d/tool-of-the-release.list")
    assert left == "# uring-lab has set aside: deb http://packages.example.com/apt jammy main\n"
    assert "Suites: noble-updates" in container.run("cat /etc/apt/sources.list.d/ubuntu.sources")


def test_two_hops_are_made_though_the_host_goes_down_in_the_first(container):
    simulated.shape(container, "19.10", "host dies", "succeeds")
    code, output = upgrade(container, "22.04")
    if code != 0:
        assert "The next run goes on" in output, output
        code, output = upgrade(container, "22.04")
    assert code == 0, output
    assert release(container) == "22.04"
    # 19.10 had `normal`, which nobody had changed.
    assert "Prompt=lts" in container.run("cat /etc/update-manager/release-upgrades")
    nothing_is_left_of_the_hop(container)


def test_an_upgrader_that_is_killed_half_way_is_followed_by_apt(container):
    simulated.shape(container, "18.04", "dies half-way")
    code, output = upgrade(container, "20.04")
    assert code == 0, output
    assert release(container) == "20.04"
    nothing_is_left_of_the_hop(container)


def test_a_controller_that_is_killed_is_followed_by_the_next_one(container):
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
    # Asked for nothing of the kind, it finishes what was begun.
    code, output = upgrade(container, "keep")
    assert code == 0, output
    assert release(container) == "22.04"
    assert (
        container.run("sudo grep -c 'Running do-release-upgrade' /var/log/uring-lab/release-upgrade.log")
        == "1\n"
    )
    nothing_is_left_of_the_hop(container)
