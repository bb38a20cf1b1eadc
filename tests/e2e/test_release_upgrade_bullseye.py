"""A real upgrade from Debian 11 to 12 in a container, with sources in both formats and a missing suite.

The archive no longer has bullseye-backports, and bookworm has firmware in a separate component.
"""

import pytest

from tests.e2e.upgrading import as_root, is_whole, upgrade

pytestmark = pytest.mark.container

# archive, security, option: from the lab host's original sources.list.
LIST = """\
# the release
deb {option} {archive} bullseye main non-free
deb {archive} bullseye-backports main
"""
STANZAS = """\
# its updates
Types: deb
URIs: {archive}
Suites: bullseye-updates
Components: main

Types: deb
URIs: {security}
Suites: bullseye-security
Components: main
"""

LIST_UPGRADED = """\
# the release
deb {option} {archive} bookworm main non-free non-free-firmware
# uring-lab has set aside: deb {archive} bullseye-backports main
"""


@pytest.fixture(scope="module")
def suite():
    return "bullseye"


@pytest.fixture(scope="module")
def mirror(container):
    """Return the lab host's mirror: its addresses and its signed-by option."""
    lines = [line.split() for line in container.run("cat /etc/apt/sources.list").splitlines() if line]
    addresses = {suite: uri for _deb, _option, uri, suite, _component in lines}
    return {
        "option": lines[0][1],
        "archive": addresses["bullseye"],
        "security": addresses["bullseye-security"],
    }


@pytest.fixture(scope="module")
def host(container, mirror):
    """Give the host typical sources, and no package lists."""
    files = {"sources.list": LIST, "sources.list.d/updates.sources": STANZAS}
    for name, text in files.items():
        as_root(container, f"cat >/etc/apt/{name} <<'END'\n{text.format(**mirror)}END\n")
    as_root(container, "find /var/lib/apt/lists -type f -delete")
    return container


def test_check_names_each_hop(host):
    before = host.looks()
    code, output = upgrade(host, "13", "--check")
    assert code == 0, output
    assert "would upgrade Debian to 12 (bookworm), then trixie" in output
    assert "would upgrade to 12 and 13" in output.split("=>")[1]
    assert host.looks() == before


def test_a_missing_suite_does_not_stop_the_upgrade(host, mirror):
    code, output = upgrade(host, "12")
    assert code == 0, output
    is_whole(host, "bookworm")
    assert host.run("cat /etc/apt/sources.list") == LIST_UPGRADED.format(**mirror)
    stanzas = STANZAS.replace("bullseye", "bookworm").format(**mirror)
    assert host.run("cat /etc/apt/sources.list.d/updates.sources") == stanzas
    answer = output.split("=>")[1]
    assert "upgraded from bullseye to bookworm" in answer
    left = f"left switched off, since they name a release: {mirror['archive']} bullseye-backports"
    assert left in answer


def test_unchanged_configuration_files_are_replaced_by_the_new_ones(host):
    assert "KbdInteractiveAuthentication" in host.run("cat /etc/ssh/sshd_config")
    assert host.run("find /etc -name '*.ucf-dist' -o -name '*.dpkg-dist' 2>/dev/null || true") == ""


def test_a_second_run_changes_nothing(host):
    before = host.looks()
    code, output = upgrade(host, "bookworm")
    assert code == 0, output
    assert "changed=0" in output
    assert host.looks() == before
