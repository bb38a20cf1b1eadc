"""Runs the command line like a user, and commands on the lab host."""

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from lab import machine

ROOT = Path(__file__).parents[2]

# Prints the state of everything that provisioning may change, except apt's lists and logs.
PRINT_STATE = """
sudo dpkg-query --show --showformat='package ${Package} ${Version} ${db:Status-Abbrev}\\n'
apt-mark showhold | sed 's/^/hold /'
getent passwd | sed 's/^/user /'
sudo find /etc /opt /boot /srv /usr/local /var/lib/uring-lab -xdev -type f \
    ! -path '/etc/ld.so.cache' ! -path '/etc/*-' ! -path '/etc/.pwd.lock' -exec sha256sum {} + 2>/dev/null
sudo find /var/lib/uring-lab /opt -mindepth 1 -type d
sudo find / /var -xdev -maxdepth 1 -type d -printf 'mode %p %m %u:%g\\n'
sudo find /etc -xdev ! -name '*-' ! -name .pwd.lock -printf 'mode %p %m %u:%g\\n'
true
"""


class Host:
    """A lab host under test."""

    def __init__(self, lab_host):
        self.name = lab_host.name
        self.inventory = lab_host.inventory
        self.ssh_config = lab_host.ssh_config
        self.directory = lab_host.directory

    def run(self, command, check=True):
        """Run a shell command on the host as its user and return its output."""
        ssh = ["ssh", "-F", self.ssh_config, self.name, command]
        return subprocess.run(ssh, check=check, capture_output=True, text=True, timeout=600).stdout

    def reboot(self):
        """Reboot the host by Ansible, which waits until it answers with another boot id."""
        command = [
            ROOT / ".venv/bin/ansible",
            "-i",
            self.inventory,
            "all",
            "--become",
            "-m",
            "ansible.builtin.reboot",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=900)

    def pytest(self, *arguments, timeout=900):
        """Run only some tests of tests/verify, as the command line does."""
        command = [ROOT / ".venv/bin/pytest", "-q", f"--lab-hosts={self.name}"]
        command += [f"--lab-inventory-ssh-config={self.ssh_config}", *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=timeout)

    def looks(self):
        """Return what is installed and configured on the host, as a set of lines to compare."""
        return set(self.run(PRINT_STATE).splitlines())


@contextlib.contextmanager
def lab_host(name, kind, suite):
    """Make a lab host, and remove it at the end; one that an earlier run has left is removed first."""
    machine.down(name)
    try:
        yield Host(machine.up(name, kind, suite))
    finally:
        machine.down(name)


class Run:
    """A finished `make`: its output and its files in reports/."""

    def __init__(self, done):
        self.status = done.returncode
        self.output = done.stdout + done.stderr
        # Not reports/latest, because other tests may run in parallel.
        said = re.search(r"^report: \S*(reports/[^/\s]+)", self.output, re.MULTILINE)
        self.directory = ROOT / said[1] if said else None

    def steps(self):
        """Return what each step recorded, by the step's name."""
        return {step["step"]: step for step in json.loads((self.directory / "steps.json").read_text())}

    def checks(self):
        """Return the verification's checks by outcome: passed, failed, skipped."""
        outcome = {"passed": [], "failed": [], "skipped": []}
        # Our own pytest wrote this file, so it is no untrusted XML.
        cases = ElementTree.parse(self.directory / "junit.xml").iter("testcase")  # noqa: S314
        for case in cases:
            found = {child.tag for child in case}
            kind = "failed" if found & {"failure", "error"} else "skipped" if "skipped" in found else "passed"
            outcome[kind].append(case.get("name"))
        return outcome


def make(*arguments, environment=None, timeout=1800):
    """Run make in the repository as a user would, without the environment of the make that runs the tests."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={**outer, **(environment or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )
    return Run(done)


def playbook(host, name, *arguments, environment=None, timeout=1800):
    """Run a playbook by ansible-playbook and return its exit status and output."""
    done = subprocess.run(
        playbook_command(host, name, *arguments),
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )
    return done.returncode, done.stdout + done.stderr


def playbook_command(host, name, *arguments):
    """Return the ansible-playbook command for a playbook."""
    return [ROOT / ".venv/bin/ansible-playbook", "-i", host.inventory, f"playbooks/{name}.yml", *arguments]
