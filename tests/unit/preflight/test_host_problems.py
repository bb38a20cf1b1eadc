"""Every reason why a later step would fail is told with its remedy, and none of a host in order."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.preflight.hosts import BULLSEYE, HOST

ROLE = Path(__file__).parents[3] / "roles/preflight"
sys.path.insert(0, str(ROLE / "filter_plugins"))
import host_problems as decide  # noqa: E402

RULES = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__preflight_rules"]
ASKED = {"free_mib": "2048", "kernel_source": "apt", "kernel_version": ""}
NO_PATH = {"hops": [], "problem": ""}
TO_BOOKWORM = {"hops": [{"codename": "bookworm"}], "problem": ""}


def able(host, has_password=False):
    return decide.host_abilities({**HOST, **host}, RULES, has_password)


def problems(host, path=NO_PATH, found=(), **asked):
    return decide.host_problems({**HOST, **host}, able(host), RULES, {**ASKED, **asked}, path, [*found])


ANSWERS = {
    "system": ({"id": "fedora", "name": "", "version": "40"}, "it runs an unknown system, and the steps"),
    "release": (
        BULLSEYE,
        "Debian GNU/Linux 11 (bullseye) is older than Debian 12, the oldest release supported. "
        "UPGRADE=lts upgrades it.",
    ),
    "release that cannot be upgraded": (
        {"id": "ubuntu", "name": "Ubuntu 16.04", "version": "16.04"},
        "Ubuntu 16.04 is older than Ubuntu 18.04, the oldest release supported. Upgrade it first.",
    ),
    "architecture": ({"architecture": "i386"}, "its architecture is i386; the steps know amd64 and arm64."),
    "architecture without dpkg": ({"architecture": ""}, "its architecture is x86_64; the steps know"),
    "no sudo": (
        {"sudo": "missing"},
        "me finds no sudo there. As root on the host: `echo 'me ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/",
    ),
    "a password for sudo": ({"sudo": "no"}, "me may not use sudo there without a password. As root"),
    "no Python": ({"python": ""}, "it has no /usr/bin/python3, which Ansible's modules are run by."),
    "old Python": (
        {"python": "3.5.3"},
        f"its Python 3.5.3 is older than {decide.oldest_python()}, the oldest",
    ),
    "init": ({"init": "sysvinit"}, "its first process is sysvinit, not systemd"),
    "full /": ({"free_root": "1"}, "/ has 1 MiB free and 2048 are needed. `apt-get clean`"),
    "full /var": ({"free_var": "2047"}, "/var has 2047 MiB free and 2048 are needed."),
    "io_uring for nobody": (
        {"io_uring_disabled": "2", "io_uring_disabled_by": "/etc/sysctl.d/50-hard.conf"},
        "the sysctl kernel.io_uring_disabled is 2 and forbids io_uring to everyone. As root on the host: "
        "`sysctl --write kernel.io_uring_disabled=0`, and take it out of /etc/sysctl.d/50-hard.conf.",
    ),
    "io_uring for a group": (
        {"io_uring_disabled": "1"},
        "the sysctl kernel.io_uring_disabled is 1 and forbids io_uring to everyone outside the group of "
        "kernel.io_uring_group. As root on the host: `sysctl --write kernel.io_uring_disabled=0`.",
    ),
    "io_uring for nobody in a container": (
        {"io_uring_disabled": "2", "container": "lxc"},
        "the sysctl kernel.io_uring_disabled is 2 and forbids io_uring to everyone. As root on the computer "
        "whose kernel this container runs: `sysctl",
    ),
    "a container's kernel without io_uring": (
        {"io_uring_built": "no", "container": "lxc"},
        f"its kernel {HOST['kernel']} is built without io_uring (CONFIG_IO_URING is not set). Boot another "
        "on the computer whose kernel this container runs.",
    ),
}


@pytest.mark.parametrize(("host", "says"), ANSWERS.values(), ids=ANSWERS.keys())
def test_a_host_that_a_later_step_would_fail_on_is_told_why(host, says):
    (problem,) = problems(host)
    assert problem.startswith(says)
    assert "{" not in problem


@pytest.mark.parametrize(
    "host",
    [
        {},
        {"sudo": "root"},
        {"python": decide.oldest_python()},
        {"architecture": "arm64"},
        {"id": "debian", "version": "", "codename": "sid"},
        {"id": "ubuntu", "version": "18.04"},
        {"free_root": "2048"},
        {"io_uring_disabled": ""},  # before Linux 6.6 there is no such sysctl
        # Another kernel is installed (ASKED).
        {"io_uring_built": "no"},
        # Half-way through an upgrade, what is missing is there again when the release step has finished.
        {"upgrade": "begun", "python": ""},
        {"upgrade": "begun", "python": "3.5.3"},
    ],
    ids=str,
)
def test_nothing_is_told_of_a_host_in_order(host):
    assert problems(host) == []


def test_all_reasons_are_told_and_those_of_the_steps_come_last():
    told = problems(
        {"free_root": "", "init": "sh"},
        {"hops": [], "problem": "no way"},
        ["no kernel", ""],
        kernel_source="mainline",
    )
    assert [reason.split(" ")[0] for reason in told] == ["no", "its", "/", "kernel_source", "no"]
    assert told[0] == "no way."
    assert told[-1] == "no kernel"


def test_a_release_that_is_upgraded_on_the_way_need_not_be_supported_yet():
    assert problems(BULLSEYE, TO_BOOKWORM) == []
    assert len(problems({**BULLSEYE, "version": "10"}, TO_BOOKWORM)) == 1


def test_mainline_needs_a_version():
    (problem,) = problems({}, kernel_source="mainline")
    assert problem.startswith(
        "kernel_source is mainline, and kernel_version does not say which. `make kernels`"
    )
    assert problems({}, kernel_source="mainline", kernel_version="latest") == []


def test_a_kernel_that_is_kept_needs_io_uring():
    kept = {"io_uring_built": "no"}
    (problem,) = problems(kept, kernel_source="keep")
    assert problem == (
        f"its kernel {HOST['kernel']} is built without io_uring (CONFIG_IO_URING is not set). "
        "KERNEL=apt takes one that has it."
    )
    # The release that the host is upgraded to brings its own kernel, but none to a container.
    assert problems({**BULLSEYE, **kept}, TO_BOOKWORM, kernel_source="keep") == []
    assert len(problems({**BULLSEYE, **kept, "container": "lxc"}, TO_BOOKWORM, kernel_source="keep")) == 1


def test_the_reasons_of_the_ledger_are_told_one_by_one():
    assert decide.ledger_problems("") == []
    assert decide.ledger_problems(
        "it has a x. Rename it; it has a /y. Move it away. Nothing was changed."
    ) == [
        "it has a x. Rename it.",
        "it has a /y. Move it away.",
    ]


def test_a_password_for_sudo_that_ansible_has_will_do():
    assert not able({"sudo": "no"})["has_root"]
    assert able({"sudo": "no"}, has_password=True)["has_root"]


def test_what_a_host_calls_itself_is_no_placeholder():
    assert problems({"name": "{user}", "version": "7"})[0].startswith("{user} is older than Debian 12")


def test_the_report_is_a_line():
    assert decide.host_report(HOST, able({})) == (
        f"Debian GNU/Linux 12 (bookworm), amd64, kvm, kernel {HOST['kernel']}, 8.8 GiB free"
    )
    metal = {**HOST, "virtualization": "none", "upgrade": "begun"}
    assert ", bare metal, " in decide.host_report(metal, able(metal))
    assert ", an upgrade to another release under way on it, " in decide.host_report(metal, able(metal))


@pytest.fixture
def probe(tmp_path):
    """Run the probe on a file system of its own, as far as io_uring goes."""

    def run(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        script = (ROLE / "files/probe.sh").read_text()
        for start in ("/proc/sys/kernel/io", "/proc/config", "/boot/", "/etc/sysctl", "/usr/lib/sysctl"):
            assert start in script
            script = script.replace(start, f"{tmp_path}{start}")
        printed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
        answers = decide.host_answers(printed)
        return [answers[name] for name in ("io_uring_disabled", "io_uring_disabled_by", "io_uring_built")]

    return run


WITHOUT = b"CONFIG_SMP=y\n# CONFIG_IO_URING is not set\n"


@pytest.mark.parametrize(
    "files", [{"proc/config.gz": gzip.compress(WITHOUT)}, {f"boot/config-{os.uname().release}": WITHOUT}]
)
def test_the_probe_reads_the_kernels_configuration(probe, files):
    assert probe(files) == ["", "", "no"]


@pytest.mark.parametrize(
    "files",
    [
        {
            "proc/config.gz": gzip.compress(b"CONFIG_IO_URING=y\n"),
            f"boot/config-{os.uname().release}": WITHOUT,
        },
        {"boot/config-1": WITHOUT},
        {},
    ],
)
def test_the_probe_takes_no_other_kernels_configuration(probe, files):
    assert probe(files) == ["", "", ""]


def test_the_probe_names_the_files_that_set_the_sysctl(probe, tmp_path):
    files = {
        "proc/sys/kernel/io_uring_disabled": b"2\n",
        "etc/sysctl.conf": b"#kernel.io_uring_disabled=2\nkernel.io_uring_group = 5\n",
        "etc/sysctl.d/50-hard.conf": b"vm.swappiness=1\n kernel.io_uring_disabled = 2\n",
        "etc/sysctl.d/60-hard.conf": b"-kernel/io_uring_disabled=2\n",
        "etc/sysctl.d/70-hard.conf.bak": b"kernel.io_uring_disabled=2\n",
    }
    named = [f"{tmp_path}/etc/sysctl.d/{name}-hard.conf" for name in (50, 60)]
    disabled, by, _built = probe(files)
    assert (disabled, sorted(by.split())) == ("2", named)


def test_the_probe_answers_all_that_is_asked_of_it_and_a_banner_is_no_answer():
    printed = subprocess.run(
        ["sh", ROLE / "files/probe.sh"], capture_output=True, text=True, check=True
    ).stdout
    answers = decide.host_answers(f"Welcome!\r\n{printed.replace(chr(10), chr(13) + chr(10))}")
    assert answers.keys() == HOST.keys()
    assert not any(value.endswith("\r") for value in answers.values())
