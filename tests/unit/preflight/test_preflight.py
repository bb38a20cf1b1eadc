"""Preflight tells every reason at once: its own, the kernel role's, and what is wrong with debs or archive.

Ansible runs it against this computer, changing nothing; what a host would say of itself is made up.
"""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.kernel.hosts import SOUND
from tests.unit.preflight.hosts import BULLSEYE, HOST

ROOT = Path(__file__).parents[3]


@pytest.fixture
def preflight(tmp_path):
    def run(host=None, state=None, **variables):
        """Return whether preflight passes, and the reasons that its one message tells."""
        given = {
            "__preflight_host": {**HOST, **(host or {})},
            "__kernel_state": {**SOUND, **(state or {})},
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "common_root": str(tmp_path / "lab"),
            **variables,
        }
        (tmp_path / "given.json").write_text(json.dumps(given))
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local"]
        done = subprocess.run(
            [*command, "-e", f"@{tmp_path}/given.json", ROOT / "playbooks/preflight.yml"],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "default"},
            check=False,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stdout + done.stderr
        # Some releases of Ansible tell an error twice: when it happens, and as the task's result.
        lines = dict.fromkeys(line.strip() for line in done.stdout.splitlines())
        return done.returncode == 0, [line[2:] for line in lines if line.startswith("- ")], done.stdout

    return run


def test_a_sound_host_passes_and_is_not_asked_for_the_release_of_another_distribution(preflight):
    passes, reasons, output = preflight(kernel_source="apt", release_upgrade_target="ubuntu:focal")
    assert passes, output
    assert reasons == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kernal_source", "no role knows the variable kernal_source; did you mean kernel_source?"),
        ("kernel_source", "kernel_source is 'foo'; it must be one of keep, apt, debs, mainline"),
    ],
)
def test_a_variable_that_the_roles_would_misread_is_refused_before_the_host_is_touched(preflight, name, says):
    passes, _reasons, output = preflight(**{name: "foo"})
    assert not passes
    assert says in output
    assert "Ask the host" not in output


def test_reasons_of_every_kind_are_told_in_one_message(preflight, tmp_path):
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs/linux-image-1.deb").write_text("<html>404</html>")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/precious").touch()
    person = pwd.getpwuid(os.geteuid())
    bionic = {"libc6": "2.27-3ubuntu1", "debhelper": "11.1.6ubuntu1", "linux-libc-dev": "4.15.0-20.21"}
    passes, reasons, output = preflight(
        {"free_root": "1", "init": "sysvinit"},
        {"secure_boot": True, "bootloader": "systemd-boot"},
        release_upgrade_target="debian:focal",
        kernel_source="debs",
        kernel_debs_folder=str(tmp_path / "debs"),
        liburing_source="git",
        liburing_git_ref="liburing-2.9",
        __liburing_in_archive=bionic,
        common_sandbox_user=person.pw_name,
    )
    assert not passes
    for reason in (
        "there is no release focal to upgrade to; known are lts, 11 (bullseye)",
        "its first process is sysvinit",
        "/ has 1 MiB",
        "linux-image-1.deb",
        "Secure Boot is on",
        "liburing 2.9 cannot be built: its packages are made by debhelper 12",
        f"it has a user {person.pw_name} that is not ours (its number is {person.pw_uid}), and programs",
        f"it has a {tmp_path}/lab that is not ours. Move it away.",
    ):
        assert [told for told in reasons if told.startswith(reason)], output
    assert "it was booted by systemd-boot" in " ".join(reasons)
    assert "cannot be provisioned, and nothing was changed on it" in output


def test_a_host_that_runs_no_module_is_not_asked_for_its_kernels(preflight):
    passes, reasons, output = preflight(
        {"python": "", "sudo": "no"}, {"secure_boot": True}, kernel_source="mainline"
    )
    assert not passes
    assert len(reasons) == 3, output
    assert reasons[0].startswith("me may not use sudo there without a password")
    assert reasons[1].startswith("it has no /usr/bin/python3")
    assert reasons[2].startswith("kernel_source is mainline, and kernel_version does not say which")


def test_an_archive_that_cannot_be_read_is_a_reason_among_the_others(preflight):
    passes, reasons, output = preflight(
        state={"entries": {}},
        kernel_source="mainline",
        kernel_version="5.6",
        kernel_mainline_url="http://127.0.0.1:9/",
        __kernel_retries=0,
    )
    assert not passes
    assert len(reasons) == 2, output
    assert reasons[0].startswith("http://127.0.0.1:9/ cannot be read")
    assert "so that there would be no way back to it" in output


def test_a_release_that_is_too_old_for_the_steps_passes_when_it_is_to_be_upgraded(preflight):
    passes, _reasons, output = preflight(BULLSEYE, release_upgrade_target="12")
    assert passes, output
    assert "Debian GNU/Linux 11 (bullseye), amd64, kvm, kernel" in output
