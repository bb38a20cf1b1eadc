"""Step 2: the requested kernel runs, is the default, can be rolled back, and supports io_uring."""

import re
from pathlib import Path

import pytest

from tests.verify import grub
from tests.verify.remote import CheckError, ask, name, run_python

RING = (Path(__file__).parent / "probes" / "ring.py").read_text()

PROVISION = "run the provisioning again and read the kernel step's message"


@pytest.fixture(scope="module")
def seen(host):
    return ask(
        host,
        running="uname -r",
        container="systemd-detect-virt --container || true",
        manifest="cat /var/lib/uring-lab/kernel.json 2>/dev/null || true",
        installed="find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\\n' | sed 's/^vmlinuz-//'",
        versions="dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n' 'linux-*'"
        " | grep ' installed$'",
        held="apt-mark showhold",
        trial="find /etc/systemd -name '*uring-lab-trial*'",
        grub_cfg="cat /boot/grub/grub.cfg",
        # grub-editenv would create a missing file, even to list it.
        grub_environment="test ! -e /boot/grub/grubenv || grub-editenv /boot/grub/grubenv list",
    )


@pytest.fixture(scope="module")
def running(seen):
    """Read the release of the running kernel."""
    return seen["running"].out.strip()


@pytest.fixture
def manifest(host, seen, expected, fail_once):
    """Return the kernel step's manifest; skip the test if the step had nothing to do."""
    container = seen["container"].out.strip()
    if container not in ("", "none"):
        pytest.skip(
            f"{name(host)} is a container ({container}): it runs its host's kernel, so the step cannot apply"
        )
    source = expected.get("kernel_source")
    written = seen["manifest"].json()
    if source == "keep" or (source is None and not written):
        pytest.skip(
            f"{name(host)} keeps the kernel it had (kernel_source is keep): there is nothing to compare"
        )
    if not written:
        fail_once(
            f"{name(host)}: expected /var/lib/uring-lab/kernel.json because kernel_source is {source}, "
            f"found none: {PROVISION}"
        )
    return written


def test_the_kernel_comes_from_the_source_asked_for(host, manifest, expected):
    """The same release name can come from several sources; the manifest says from which."""
    asked = {
        "kernel_source": "source",
        **(
            {"kernel_apt_suite": "suite", "kernel_apt_package": "package"}
            if manifest["source"] == "apt"
            else {}
        ),
        # Not for 5.6.x and latest, which change over time.
        **({"kernel_version": "version"} if re.search(r"\d$", expected.get("kernel_version", "")) else {}),
    }
    for variable, key in asked.items():
        wanted, found = expected.get(variable), manifest.get(key)
        if variable == "kernel_version":  # v5.6.0 and 5.6 are one version of the archive
            wanted = re.sub(r"^(\d+\.\d+)\.0$", r"\1", wanted.removeprefix("v"))
        if wanted:
            assert found == wanted, (
                f"{name(host)}: expected {variable} {wanted!r}, found {found!r}: {PROVISION}"
            )


def test_a_mainline_kernel_is_of_the_version_asked_for(host, manifest, running):
    """Ubuntu writes a mainline version into the release with two digits a part: 5.6 is 5.6.0-050600."""
    if manifest["source"] != "mainline":
        pytest.skip(f"{name(host)} has a kernel from {manifest['source']}: it has no mainline version")
    major, minor, micro, candidate = re.fullmatch(
        r"(\d+)\.(\d+)(?:\.(\d+))?(-rc\d+)?", manifest["version"]
    ).groups()
    numbers = [int(major), int(minor), int(micro or 0)]
    abi = "".join(f"{number:02}" for number in numbers) + (candidate or "").lstrip("-")
    wanted = f"{'.'.join(map(str, numbers))}-{abi}-{manifest['flavour']}"
    assert running == wanted, (
        f"{name(host)}: expected mainline {manifest['version']} to be {wanted}, found {running}: {PROVISION}"
    )


def test_exactly_the_kernel_asked_for_is_running(host, manifest, running):
    """GRUB boots the newest version it finds, so an installed kernel is not yet a booted one."""
    assert running == manifest["release"], (
        f"{name(host)}: expected kernel {manifest['release']}, found {running}: reboot the "
        f"host; if that does not help, {PROVISION}"
    )


def test_the_kernel_packages_are_the_recorded_ones(host, seen, manifest):
    """A package replaced by someone else removes the modules of the running kernel."""
    found = {
        package: version
        for package, version, state in map(str.split, seen["versions"].lines)
        if state == "installed"
    }
    for package, version in manifest["packages"].items():
        assert found.get(package) == version, (
            f"{name(host)}: expected {package} {version}, found {found.get(package, 'none')}: {PROVISION}"
        )


def test_the_kernel_packages_are_held(host, seen, manifest):
    """An unattended upgrade or apt's autoremove must not replace a tested kernel."""
    loose = sorted(set(manifest["packages"]) - set(seen["held"].lines))
    assert not loose, (
        f"{name(host)}: expected the kernel's packages on hold, found {', '.join(loose)} without: "
        f"`sudo apt-mark hold {' '.join(loose)}`"
    )


def test_the_host_boots_this_kernel_by_default(host, seen, manifest, running):
    """After a power cut the same kernel must boot; GRUB silently accepts an invalid default."""
    saved = grub.environment(seen["grub_environment"].out).get("saved_entry")
    entries = grub.entries(seen["grub_cfg"].out)
    assert saved in entries, (
        f"{name(host)}: expected GRUB's saved_entry to be an entry of grub.cfg, found {saved!r}: {PROVISION}"
    )
    assert entries[saved] == running, (
        f"{name(host)}: expected the running kernel {running} to be the boot default, found "
        f"{entries[saved]}: {PROVISION}"
    )


def test_the_default_is_not_overridden(host, seen, manifest):
    """The default above has no effect if grub.cfg does not read saved_entry."""
    assert 'set default="${saved_entry}"' in seen["grub_cfg"].out, (
        f"{name(host)}: expected GRUB_DEFAULT=saved to reach grub.cfg, found another default: look in "
        "/etc/default/grub and /etc/default/grub.d, then run update-grub"
    )


def test_no_trial_boot_is_left_over(host, seen, manifest):
    """A leftover one-shot entry would boot another kernel at the next reboot."""
    left = grub.environment(seen["grub_environment"].out).get("next_entry")
    assert not left, (
        f"{name(host)}: expected no next_entry in GRUB's environment, found {left!r}: "
        "`sudo grub-editenv /boot/grub/grubenv unset next_entry`"
    )


def test_the_dead_mans_switch_of_the_trial_is_gone(host, seen, manifest):
    """It reboots a host whose trial is not confirmed, which must not happen after the trial."""
    assert not seen["trial"].lines, (
        f"{name(host)}: expected no unit of a trial, found {', '.join(seen['trial'].lines)}: {PROVISION}"
    )


def test_the_earlier_kernel_is_still_there_to_go_back_to(host, seen, manifest):
    """A rollback needs the earlier kernel: installed, and in the boot menu."""
    previous = manifest["previous"]
    if previous == manifest["release"]:
        pytest.skip(
            f"{name(host)} already ran {previous} when it was provisioned: there is no earlier kernel"
        )
    assert previous in seen["installed"].lines, (
        f"{name(host)}: expected the earlier kernel {previous} in /boot, found "
        f"{', '.join(seen['installed'].lines)}: install its package again before you need it"
    )
    assert previous in grub.entries(seen["grub_cfg"].out).values(), (
        f"{name(host)}: expected the earlier kernel {previous} in GRUB's menu, found none: `sudo update-grub`"
    )


def test_an_ordinary_user_can_complete_an_io_uring_operation(host):
    """The purpose of the lab: an unprivileged user sets up a ring and completes a no-op."""
    try:
        answer = run_python(host, "runuser -u nobody --", RING)
    except CheckError as problem:
        pytest.fail(str(problem), pytrace=False)
    assert answer["ok"], (
        f"{name(host)}: expected a completed no-op, found {answer['found']}: kernels before 5.1 have no "
        "io_uring; the sysctl kernel.io_uring_disabled, or a filter around a container, may forbid it"
    )
