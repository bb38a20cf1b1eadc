"""The system packages of a lab host: by its kind and its distribution, whatever this computer's is."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from lab import archive, machine, state
from lab.errors import LabError, UsageError


@pytest.mark.parametrize(
    ("kind", "suite", "jobs"),
    [
        (None, "trixie", ("vm", "debian")),
        (None, "resolute", ("vm", "ubuntu")),
        ("container", "bullseye", ("container", "debian")),
        ("container", "noble", ("container", "ubuntu")),
    ],
)
@pytest.mark.parametrize("own", ["bookworm", "noble"])
def test_the_keyring_is_of_the_distribution_asked_for(monkeypatch, own, kind, suite, jobs):
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"VERSION_CODENAME": own})
    assert machine.package_jobs(None, kind, suite) == jobs


@pytest.mark.parametrize(("own", "distribution"), [("bookworm", "debian"), ("noble", "ubuntu")])
def test_without_a_release_it_is_of_this_computers(monkeypatch, own, distribution):
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"VERSION_CODENAME": own})
    assert machine.package_jobs(None, None, None) == ("vm", distribution)


def test_an_existing_machine_says_itself_what_it_needs(tmp_path):
    existing = state.State(tmp_path, "box", "container", "noble")
    assert machine.package_jobs(existing, None, None) == ("container", "ubuntu")


def test_an_unknown_kind_or_release_is_refused_before_anything_is_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(machine, "SYSTEM_PACKAGES", tmp_path / "missing")
    with pytest.raises(UsageError, match="KIND is 'jail'"):
        machine.install_packages("lab", "jail", None)
    with pytest.raises(UsageError, match="'hoary'"):
        machine.install_packages("lab", None, "hoary")


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Let lab/system-packages find no package installed, and an apt that cannot install one."""
    for name, body in {
        "dpkg-query": "exit 1",
        "apt-get": f'echo "$*" >>{tmp_path}/asked; exit 100',
        "apt-cache": "echo known",
        "id": "echo 0",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("suite", "keyring"), [("trixie", "debian-archive-keyring"), ("noble", "ubuntu-keyring")]
)
def test_a_package_that_cannot_be_installed_is_named(script, capfd, suite, keyring):
    with pytest.raises(LabError, match="lab needs system packages"):
        machine.install_packages("lab", None, suite)
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("apt-get could not install: mmdebstrap ")
    assert [word for word in said[-1].split() if "keyring" in word] == [keyring]


def test_every_distribution_is_a_job_of_the_script(script):
    distributions = yaml.safe_load(archive.TABLE.read_text())["distributions"]
    status = {
        job: subprocess.run([machine.SYSTEM_PACKAGES, job], capture_output=True, check=False).returncode
        for job in [*distributions, "other"]
    }
    assert status == {"debian": 69, "ubuntu": 69, "other": 2}


def test_nothing_is_asked_of_apt_when_nothing_is_missing(script):
    (script / "dpkg-query").write_text("#!/bin/sh\nprintf installed\n")
    machine.install_packages("lab", "container", "noble")
    assert not Path(script / "asked").exists()


@pytest.fixture
def without_apt(tmp_path, monkeypatch):
    """Let PATH have the named programs alone, as on a Linux of another family."""

    def run(programs, *jobs):
        (tmp_path / "sh").symlink_to("/bin/sh")
        for name in programs:
            (tmp_path / name).symlink_to("/bin/true")
        monkeypatch.setenv("PATH", str(tmp_path))
        return subprocess.run(
            ["/bin/sh", machine.SYSTEM_PACKAGES, *jobs], capture_output=True, text=True, check=False
        )

    return run


def test_a_linux_without_apt_may_be_the_controller(without_apt):
    answer = without_apt(["ssh", "git", "gpgv"], "controller")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_linux_without_apt_is_told_which_programs_it_lacks(without_apt):
    answer = without_apt(["ssh"], "controller")
    assert answer.returncode == 69
    assert answer.stderr == "Missing here, to be installed by this system's package manager: git gpgv\n"


def test_a_linux_without_apt_makes_no_lab_hosts(without_apt):
    answer = without_apt(["ssh", "git", "gpgv"], "vm", "debian")
    assert answer.returncode == 69
    assert "name a host by HOST=" in answer.stderr
