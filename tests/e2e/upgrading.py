"""Helpers for upgrades of Debian in lab containers: prepare a host, start an upgrade, check the result."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import tempfile
import time

from tests.e2e.support import ROOT, playbook, playbook_command

LOG = "/var/log/uring-lab/release-upgrade.log"

#: Seconds to wait for a certain point of an upgrade.
LIMIT = 600

# Typical changes of an owner: a changed configuration file managed by dpkg and one managed by ucf, a held
# package, and sources of two third parties, one of them only for this release. All updates are installed,
# because even a refused hop installs them.
FURNISH = """
set -eu
export DEBIAN_FRONTEND=noninteractive
echo 'DHOME=/srv/home' >>/etc/adduser.conf
echo 'ClientAliveInterval 77' >>/etc/ssh/sshd_config
apt-mark hold lz4
packages=/srv/named/dists/bookworm/main/binary-$(dpkg --print-architecture)
mkdir -p /srv/any "$packages"
touch /srv/any/Packages "$packages/Packages"
echo 'deb [trusted=yes] file:/srv/any ./' >/etc/apt/sources.list.d/any.list
cat >/etc/apt/sources.list.d/named.sources <<END
# of a third party
Types: deb
URIs: file:/srv/named
Suites: bookworm
Components: main
Trusted: yes
END
apt-get --quiet=2 update
apt-get --quiet=2 --yes dist-upgrade
apt-get --quiet=2 --yes --purge autoremove
"""


def as_root(host, script, check=True):
    """Run a shell script on the host as root and return its output."""
    return host.run(f"sudo sh -c {shlex.quote(script)}", check=check)


def upgrade(host, target, *arguments, **given):
    """Run the step and return its exit status and its output, joined to one line."""
    code, output = playbook(host, "release_upgrade", *variables(target, given), *arguments)
    return code, " ".join(output.split())


def variables(target, given):
    """Return the arguments for ansible-playbook to upgrade to a release."""
    return ["-e", json.dumps({"release_upgrade_target": target, **given})]


class Begun:
    """A running upgrade.

    Attributes:
        process: the controller, in its own session.

    """

    def __init__(self, process, output):
        self.process = process
        self._output = output

    def said(self):
        """Return its output so far, joined to one line."""
        self._output.seek(0)
        return " ".join(self._output.read().split())

    def wait_for(self, words):
        """Wait until it has printed these words."""
        self._wait(lambda: words in self.said(), words)

    def wait_until(self, host, condition):
        """Wait until a shell condition is true on the host, which may be unreachable at times."""
        ask = f"if {condition}; then echo so; fi"
        self._wait(lambda: host.run(ask, check=False).strip() == "so", condition)

    def _wait(self, happened, what):
        until = time.monotonic() + LIMIT
        while not happened():
            assert self.process.poll() is None, f"it ended without {what}: {self.said()}"
            assert time.monotonic() < until, f"no {what} within {LIMIT} s: {self.said()}"
            time.sleep(0.2)

    def kill(self):
        """Kill the controller and its children by SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def begun(host, target, **given):
    """Start an upgrade; kill its controller at the end."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            playbook_command(host, "release_upgrade", *variables(target, given)),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        run = Begun(process, output)
        try:
            yield run
        finally:
            run.kill()


def release(host):
    """Return the codename of the host's release."""
    return host.run(". /etc/os-release; echo $VERSION_CODENAME").strip()


def is_active(host):
    """Return whether an upgrade runs on the host."""
    return host.run("systemctl is-active uring-lab-release-upgrade", check=False).strip() == "active"


def sources(host):
    """Return the content of apt's sources files."""
    return host.run("tail -n +1 /etc/apt/sources.list /etc/apt/sources.list.d/*")


def is_whole(host, codename):
    """Assert that a host has a release completely, without remains of the upgrade."""
    assert release(host) == codename
    assert host.run("sudo dpkg --audit") == ""
    assert host.run("sudo find /var/lib/uring-lab /tmp/uring-lab-* -mindepth 1 2>/dev/null || true") == ""
    assert host.run("systemctl list-units --all --plain --no-legend 'uring-lab-release-upgrade*'") == ""


def is_furnished(host):
    """Assert that the owner's changes (FURNISH) survived the upgrade from bookworm to trixie."""
    assert host.run("tail -n 1 /etc/adduser.conf") == "DHOME=/srv/home\n"
    assert host.run("tail -n 1 /etc/ssh/sshd_config") == "ClientAliveInterval 77\n"
    assert host.run("apt-mark showhold") == "lz4\n"
    assert host.run("cat /etc/apt/sources.list.d/any.list") == "deb [trusted=yes] file:/srv/any ./\n"
    assert "Enabled: no" in host.run("cat /etc/apt/sources.list.d/named.sources")
    assert "bookworm" not in host.run("apt-get indextargets --format '$(RELEASE)'")
