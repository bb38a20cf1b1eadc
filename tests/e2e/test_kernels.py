"""Mainline kernels in a virtual machine: what is refused, and one that is older than the one that runs.

The archive is a mirror on the loopback, its kernels are Debian's under mainline names (tests/mirror). They
build on one another, in the order in which a user would go.
"""

import json
import re

import pytest

from tests.e2e import bootable
from tests.e2e.support import make
from tests.mirror.minimal_debs import STAMP
from tests.mirror.signer import Signer

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Serve 5.6 in the layout of its time."""
    with bootable.archive(tmp_path_factory.mktemp("archive")) as served:
        served.add("5.6", STAMP, "headers-unmet", layout="flat")
        yield served


@pytest.fixture(scope="module")
def untouched(vm):
    """Keep how the machine looks before anything is asked of it."""
    return vm.looks()


def image(archive, version="5.6"):
    """Return the path of a build's image in the archive."""
    return next((archive.mirror.root / f"v{version}").rglob("linux-image-*.deb"))


def within(archive, path):
    return str(path.relative_to(archive.mirror.root))


def other_key(archive):
    archive.mirror.seal(archive.mirror.root / "v5.6", signer=Signer())


def changed_after_it_was_signed(archive):
    checksums = archive.mirror.root / "v5.6/CHECKSUMS"
    checksums.write_text(checksums.read_text().replace("a", "b", 1))


def checksums_without_the_image(archive):
    folder = archive.mirror.root / "v5.6"
    lines = (folder / "CHECKSUMS").read_text().splitlines(keepends=True)
    archive.mirror.seal(folder, "".join(line for line in lines if "linux-image" not in line))


def broken(archive):
    archive.mirror.add("5.6.1", failed=True)


NOT_AS_SIGNED = r"could not be had as the archive's signed checksums describe them.*Nothing was installed"
FAULTS = {
    "wrong-signature": (changed_after_it_was_signed, "5.6", r"the signature of \S+CHECKSUMS"),
    "other-key": (other_key, "5.6", r"the signature of \S+CHECKSUMS is by the key"),
    "no-checksum": (checksums_without_the_image, "5.6", r"linux-image-\S+ has no SHA-256 sum in"),
    "page-of-html": (lambda a: a.server.page("v5.6/CHECKSUMS"), "5.6", r"CHECKSUMS is a page of HTML"),
    "redirect-loop": (lambda a: a.server.loop("v5.6/"), "5.6", r"v5\.6/.*redirect"),
    "gone": (lambda a: a.server.status("", 410), "5.6", r"410"),
    "unknown-version": (lambda a: None, "5.66", r"5\.66.*5\.6"),
    "failed-build": (broken, "5.6.1", r"5\.6\.1.*failed.*5\.6"),
    "flipped-byte": (lambda a: a.server.flipped(within(a, image(a))), "5.6", NOT_AS_SIGNED),
    "truncated": (lambda a: a.server.truncated(within(a, image(a))), "5.6", NOT_AS_SIGNED),
}


#: Those of `make test`. The unit tests have all of them, without a host.
FEW = ("wrong-signature", "failed-build", "flipped-byte")


@pytest.mark.parametrize(
    "fault",
    [pytest.param(name, marks=[] if name in FEW else pytest.mark.kernels) for name in FAULTS],
)
def test_what_cannot_be_trusted_is_refused(vm, untouched, archive, fault):
    """Each of these would be a kernel that nobody vouches for, or none at all."""
    break_it, version, says = FAULTS[fault]
    try:
        break_it(archive)
        code, output = archive.step(vm, version)
    finally:
        archive.server.mend()
        archive.mirror.seal(archive.mirror.root / "v5.6")
    assert code != 0
    assert "Traceback" not in output
    message = output[output.index("FAILED") :]
    assert re.search(says, message, flags=re.IGNORECASE), message


def test_a_full_boot_is_refused(vm, untouched, archive):
    """An initramfs that is cut short is the classic of unbootable hosts."""
    free = int(vm.run("df --output=avail --block-size=1M /boot | tail -1"))
    vm.run(f"sudo fallocate -l {free - 60}M /boot/filler")
    try:
        code, output = archive.step(vm, "5.6")
    finally:
        vm.run("sudo rm /boot/filler")
    assert code != 0
    assert "MiB" in output[output.index("FAILED") :]


def test_none_of_the_refused_has_changed_the_host(vm, untouched):
    assert vm.looks() == untouched


def test_check_says_what_would_be_done(vm, untouched, archive):
    code, output = archive.step(vm, "5.6", "--check")
    assert code == 0, output
    assert "would install mainline 5.6 (5.6.0-050600-generic, 202003292333)" in output
    assert vm.looks() == untouched


def test_a_lower_version_than_the_running_one_is_tried_proved_and_made_the_default(vm, release, archive):
    """The article's own case: GRUB by itself would never boot 5.6 beside a newer kernel."""
    code, output = archive.step(vm, "5.6")
    assert code == 0, output
    assert "without its headers, for which the release lacks libssl1.1" in output
    assert vm.run("uname -r").strip() == "5.6.0-050600-generic"
    manifest = json.loads(vm.run("cat /var/lib/uring-lab/kernel.json"))
    assert (manifest["version"], manifest["stamp"]) == ("5.6", STAMP)
    assert (manifest["previous"], manifest["promoted"]) == (release, True)
    assert vm.run(f"ls /boot/vmlinuz-{release}")
    assert vm.run("cat /proc/sys/kernel/panic /proc/sys/kernel/softlockup_panic").split() == ["0", "0"]


def test_a_second_run_changes_nothing_and_does_not_even_ask_the_archive(vm, archive):
    archive.server.mend()
    code, output = archive.step(vm, "5.6")
    assert code == 0, output
    assert "proved and default already" in output
    assert "changed=0" in output
    assert archive.server.requests == []


def test_make_kernels_tells_which_one_runs_and_which_is_ours(vm, release):
    """Whether the real archive is in reach from here, and listed above, is not what this is about."""
    output = make("kernels", f"INVENTORY={vm.inventory}").output
    assert re.search(r"5\.6\.0-050600-generic +runs, the default, ours\n", output), output
    assert re.search(rf"{re.escape(release)} *\n", output), output


def test_it_stays_the_default_over_a_plain_reboot_and_passes_the_verification(vm, archive, tmp_path):
    vm.reboot()
    expect = tmp_path / "expect.json"
    expect.write_text(json.dumps({vm.name: json.loads(archive.variables("5.6"))}))
    done = vm.pytest("tests/verify/test_kernel.py", f"--lab-expect={expect}")
    assert done.returncode == 0, done.stdout


def test_nothing_of_the_trial_is_left(vm):
    assert vm.run("find /etc/systemd -name '*uring-lab-trial*'") == ""
    assert vm.run("systemctl list-units --all --plain --no-legend 'uring-lab-trial*'") == ""
    assert "panic=15" not in vm.run("cat /proc/cmdline; sudo grub-editenv /boot/grub/grubenv list")
