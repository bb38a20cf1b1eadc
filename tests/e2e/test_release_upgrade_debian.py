"""A real upgrade from Debian 12 to 13 in a container, and refused upgrades.

The tests depend on each other, in a user's order.
"""

import hashlib
import json
import re
import subprocess

import pytest

from tests.e2e.upgrading import FURNISH, LOG, as_root, is_furnished, is_whole, sources, upgrade
from tests.mirror.signer import Signer

pytestmark = pytest.mark.container

#: Prints the mode and owner of the directories that an upgrade must leave as they are.
DIRECTORIES = "stat -c '%n %a %U:%G' / /etc /etc/apt /etc/apt/sources.list.d /usr /var /var/lib /var/log"


@pytest.fixture(scope="module")
def suite():
    return "bookworm"


@pytest.fixture(scope="module")
def host(container):
    as_root(container, FURNISH)
    return container


def test_check_says_what_would_be_done_and_changes_nothing(host):
    before = host.looks()
    code, output = upgrade(host, "trixie", "--check")
    assert code == 0, output
    assert "would upgrade Debian to 13 (trixie)" in output
    assert re.search(r"\d\d+ packages to upgrade, \d+ new, \d+ to remove", output), output
    assert "file:/srv/any ./ (any.list), file:/srv/named bookworm (named.sources)" in output
    assert "Held, and left as they are: lz4" in output
    assert "would upgrade to 13" in output.split("=>")[1]
    assert host.looks() == before
    assert host.run("sudo ls -A ~root/.ansible 2>/dev/null || true") == ""


@pytest.fixture(scope="module")
def mirror(host, tmp_path_factory):
    """Make a mirror on the host with only the present release; return its line for sources.list."""
    directory = tmp_path_factory.mktemp("mirror")
    suite = directory / "debian/dists/bookworm"
    packages = suite / f"main/binary-{host.run('dpkg --print-architecture').strip()}/Packages"
    packages.parent.mkdir(parents=True)
    packages.touch()
    (suite / "Release").write_text(
        "Origin: Debian\nSuite: oldstable\nCodename: bookworm\nComponents: main\n"
        "Date: Sat, 10 Jun 2023 08:00:00 UTC\n"
        f"SHA256:\n {hashlib.sha256().hexdigest()} 0 {packages.relative_to(suite)}\n"
    )
    signer = Signer()
    signer.sign(suite / "Release", armour=True)
    (directory / "debian-archive-keyring.asc").write_bytes(signer.key)
    tar = subprocess.run(["tar", "-cC", directory, "."], check=True, capture_output=True)
    unpack = (
        "sudo mkdir /srv/mirror && sudo tar -xC /srv/mirror --no-same-owner && sudo chmod -R a+rX /srv/mirror"
    )
    ssh = ["ssh", "-F", host.ssh_config, host.name, unpack]
    subprocess.run(ssh, input=tar.stdout, check=True, capture_output=True)
    return "deb [signed-by=/srv/mirror/debian-archive-keyring.asc] file:/srv/mirror/debian bookworm main"


@pytest.fixture
def only_source(host):
    """Return a function that replaces the host's sources.list; it is restored after the test."""
    as_root(host, "cp -a /etc/apt/sources.list /root/sources.list")
    yield lambda line: as_root(host, f"echo '{line}' >/etc/apt/sources.list")
    as_root(host, "mv /root/sources.list /etc/apt/sources.list; apt-get --quiet update")


def is_refused(host, says):
    """Assert that the upgrade is refused with a short message and the host unchanged."""
    before = host.looks()
    code, output = upgrade(host, "trixie", release_upgrade_archive_host="127.0.0.1:9")
    assert code != 0
    assert host.looks() == before
    assert "Traceback" not in output
    message = output.split("Say why the hop was not begun")[1]
    assert "was left at Debian 12" in message
    assert re.search(says, message), message
    assert len(message) < 1500
    assert host.run("find /var/lib/uring-lab -mindepth 1") == ""


def test_a_mirror_without_the_new_release_is_refused(host, only_source, mirror):
    only_source(mirror)
    as_root(host, "apt-get --quiet update")
    is_refused(host, r"lists of trixie cannot be had and verified: .*does it have trixie\?")


def test_a_mirror_that_does_not_answer_is_refused(host, only_source):
    only_source("deb http://127.0.0.1:9/debian bookworm main")
    is_refused(host, r"lists of trixie cannot be had and verified: .*127\.0\.0\.1")


def test_a_held_c_library_that_would_keep_back_the_system_is_refused(host):
    as_root(host, "apt-mark hold libc6")
    is_refused(host, r"held packages \(libc6, lz4\) would keep back \d\d+ others, .*libc-bin.* among them")
    as_root(host, "apt-mark unhold libc6")


def test_the_host_is_upgraded_to_the_requested_release(host):
    before = host.run(DIRECTORIES)
    boot = host.run("cat /proc/sys/kernel/random/boot_id")
    code, output = upgrade(host, "trixie")
    assert code == 0, output
    is_whole(host, "trixie")
    assert host.run("cat /proc/sys/kernel/random/boot_id") != boot
    assert host.run(DIRECTORIES) == before
    # The report names what needs a person's attention.
    answer = output.split("=>")[1]
    assert "upgraded from bookworm to trixie" in answer
    kept = re.search("kept as they were, the new one beside each: ([^;]*);", answer)[1]
    assert sorted(kept.split(", ")) == ["/etc/adduser.conf", "/etc/ssh/sshd_config"]
    assert "left switched off, since they name a release: file:/srv/named bookworm (named.sources)" in answer
    assert "Held, and left as they are: lz4" in output


def test_changed_configuration_is_kept_with_the_new_files_beside_it(host):
    is_furnished(host)
    assert host.run("ls /etc/adduser.conf.dpkg-dist /etc/ssh/sshd_config.ucf-dist")
    assert "deb13" not in host.run("dpkg-query -Wf '${Version}' lz4")
    assert host.run("dpkg-query -Wf '${Version}' lz4").startswith("1.9.4")


def test_the_sources_of_third_parties_were_disabled_during_the_hop(host):
    assert host.run(f"grep -c ' http.* trixie' {LOG}").strip() != "0"
    assert host.run(f"grep /srv/ {LOG} || true") == ""


def test_the_distributions_sources_name_the_new_release(host):
    lines = host.run("cat /etc/apt/sources.list").split("\n")
    assert [line.split()[-2] for line in lines if line] == ["trixie", "trixie-updates", "trixie-security"]


def test_the_verification_passes_on_the_new_release(host, tmp_path):
    expect = tmp_path / "expect.json"
    for target in ("trixie", "13", "lts"):
        expect.write_text(json.dumps({host.name: {"release_upgrade_target": target}}))
        checks = host.pytest("tests/verify/test_release.py", f"--lab-expect={expect}")
        assert checks.returncode == 0, checks.stdout


def test_a_second_run_changes_nothing(host):
    before, listed = host.looks(), sources(host)
    code, output = upgrade(host, "trixie")
    assert code == 0, output
    assert "changed=0" in output
    assert "all updates in" in output.split("=>")[1]
    assert host.looks() == before
    assert sources(host) == listed


def test_a_downgrade_is_declined(host):
    code, output = upgrade(host, "bookworm")
    assert code == 0, output
    assert "changed=0" in output
    assert "13 (trixie) is newer than 12 (bookworm), and there is no way back" in output
