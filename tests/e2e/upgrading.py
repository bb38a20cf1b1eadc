"""Upgrades of Debian in lab containers: what is on them before, how one is begun, what it ends in."""

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

#: Seconds to wait for a moment in an upgrade.
LIMIT = 600

# What a person may have done to a host: a configuration file changed that dpkg looks after and one that ucf
# does, a package held, the sources of two third parties, one of which publishes for this release alone. The
# updates are in, which a hop that is refused would leave there too.
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
    """Run a shell script on the host as root and return what it printed."""
    return host.run(f"sudo sh -c {shlex.quote(script)}", check=check)


def upgrade(host, target, *arguments, **given):
    """Run the step and return its exit status and output, as one line: answers are wrapped."""
    code, output = playbook(host, "release_upgrade", *variables(target, given), *arguments)
    return code, " ".join(output.split())


def variables(target, given):
    """Return the arguments that lead the role to a release."""
    return ["-e", json.dumps({"release_upgrade_target": target, **given})]


class Begun:
    """An upgrade whose controller is at work.

    Attributes:
        process: the controller, which has a session of its own.

    """

    def __init__(self, process, output):
        self.process = process
        self._output = output

    def said(self):
        """Return what it has printed so far, in one line."""
        self._output.seek(0)
        return " ".join(self._output.read().split())

    def wait_for(self, words):
        """Wait until it has printed something."""
        self._wait(lambda: words in self.said(), words)

    def wait_until(self, host, condition):
        """Wait until a shell condition holds on the host, which may not answer at times."""
        ask = f"if {condition}; then echo so; fi"
        self._wait(lambda: host.run(ask, check=False).strip() == "so", condition)

    def _wait(self, happened, what):
        until = time.monotonic() + LIMIT
        while not happened():
            assert self.process.poll() is None, f"it ended without {what}: {self.said()}"
            assert time.monotonic() < until, f"no {what} within {LIMIT} s: {self.said()}"
            time.sleep(0.2)

    def kill(self):
        """Kill the controller and what it has started, without a word."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def begun(host, target, **given):
    """Begin an upgrade; what is left of its controller at the end is killed."""
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
    """Return whether the host is at work on an upgrade."""
    return host.run("systemctl is-active uring-lab-release-upgrade", check=False).strip() == "active"


def sources(host):
    """Return apt's sources as they stand in their files."""
    return host.run("tail -n +1 /etc/apt/sources.list /etc/apt/sources.list.d/*")


def is_whole(host, codename):
    """Assert that a host is at a release with nothing left to do, and nothing left of how it came there."""
    assert release(host) == codename
    assert host.run("sudo dpkg --audit") == ""
    assert host.run("sudo find /var/lib/uring-lab /tmp/uring-lab-* -mindepth 1 2>/dev/null || true") == ""
    assert host.run("systemctl list-units --all --plain --no-legend 'uring-lab-release-upgrade*'") == ""


def is_furnished(host):
    """Assert that a host which has come from bookworm to trixie is still furnished as it was."""
    assert host.run("tail -n 1 /etc/adduser.conf") == "DHOME=/srv/home\n"
    assert host.run("tail -n 1 /etc/ssh/sshd_config") == "ClientAliveInterval 77\n"
    assert host.run("apt-mark showhold") == "lz4\n"
    assert host.run("cat /etc/apt/sources.list.d/any.list") == "deb [trusted=yes] file:/srv/any ./\n"
    assert "Enabled: no" in host.run("cat /etc/apt/sources.list.d/named.sources")
    assert "bookworm" not in host.run("apt-get indextargets --format '$(RELEASE)'")
