"""Every precondition of another kernel, asked about hosts that lack one thing each."""

import sys

import pytest
import yaml

from tests.unit.ansible_play import ROOT
from tests.unit.kernel.hosts import PARAMETERS, RUNNING, SOUND

sys.path.insert(0, str(ROOT / "roles/kernel/filter_plugins"))

from kernel_plan import kernel_plan
from kernel_preconditions import kernel_preconditions

NEW = "5.6.0-050600-generic"

#: What the reading of a folder of debs and of the archive says, as far as the table asks for it.
FOLDER = {
    "release": NEW,
    "debs": [{"package": f"linux-{part}-{NEW}", "sha256": "0"} for part in ("image-unsigned", "modules")],
    "size": {"boot": 20, "root": 300},
    "zstd": False,
}
HEADERS = {**FOLDER, "debs": [*FOLDER["debs"], {"package": f"linux-headers-{NEW}", "sha256": "0"}]}
BUILD = {"version": "5.6", "stamp": "1", "release": NEW, "debs": [{"part": "image"}, {"part": "modules"}]}
ZFS = [{"name": "zfs", "version": "2.1.11", "loaded": ["spl", "zfs"]}]


def host(state=None, source="mainline", folder=FOLDER, build=BUILD, **variables):
    found = {"kernel_source": source, "__kernel_state": {**SOUND, **(state or {})}, **variables}
    if folder:
        found["__kernel_folder"] = folder
    if build:
        found["__kernel_build"] = build
    return {"kernel_version": "5.6", "kernel_apt_package": "", "kernel_accept_risks": [], **found}


def build(release, parts=("image", "modules")):
    return {"version": "x", "stamp": "1", "release": release, "debs": [{"part": part} for part in parts]}


INSTALLED = {
    "manifest": {
        "wanted": {"source": "mainline", "version": "5.6", "flavour": "generic", "headers": True},
        "packages": {f"linux-modules-{NEW}": "1"},
        "release": NEW,
        "promoted": True,
        "entry": "new",
    },
    "installed": [f"linux-modules-{NEW}"],
}
DEFAULT = {**INSTALLED, "running": NEW, "saved_entry": "new", "entries": {NEW: "new"}}

#: Hosts, with the names of the problems that they have.
HOSTS = {
    "sound": (host(), []),
    "sound-early": (host(folder=None, build=None), []),
    "sound-debs": (host(source="debs", build=None), []),
    "keeps": (host({"secure_boot": True, "bootloader": "none"}, source="keep"), []),
    "container": (host({"container": "systemd-nspawn", "bootloader": "none", "entries": {}}), []),
    "is-done": (host({**DEFAULT, "secure_boot": True, "free": {"boot": 0, "root": 0}}), []),
    "is-installed-untried": (host({**INSTALLED, "secure_boot": True}), ["secure_boot"]),
    "systemd-boot": (
        host({"bootloader": "systemd-boot", "entries": {}, "grubenv_devices": []}),
        ["bootloader"],
    ),
    "no-loader": (host({"bootloader": "none"}), ["bootloader"]),
    "no-entry": (host({"entries": {"6.12.9-amd64": "x"}}), ["entry"]),
    "btrfs-on-a-partition": (host({"grubenv_filesystem": "btrfs"}), ["grubenv"]),
    "lvm": (host({"grubenv_devices": ["disk", "lvm", "part"]}), ["grubenv"]),
    "raid": (host({"grubenv_devices": ["disk", "part", "raid1"]}), ["grubenv"]),
    "btrfs": (host({"grubenv_filesystem": "btrfs", "grubenv_devices": []}), ["grubenv"]),
    "whole-disk": (host({"grubenv_filesystem": "vfat", "grubenv_devices": ["disk"]}), []),
    "btrfs-accepted": (host({"grubenv_filesystem": "btrfs"}, kernel_accept_risks=["grubenv"]), []),
    "default-in-40_custom": (host({"overrides": ["/etc/grub.d/40_custom"]}), ["default"]),
    "grubenv-full": (host({"grubenv_free": 429}), ["grubenv_room"]),
    "grubenv-just-right": (host({"grubenv_free": 430}), []),
    "grubenv-has-an-entry": (host({"grubenv_free": 270, "saved_entry": "x"}), []),
    "runs-it-already": (host({"running": NEW, "entries": {NEW: "x"}}), ["running"]),
    "secure-boot": (host({"secure_boot": True}), ["secure_boot"]),
    "secure-boot-debs": (host({"secure_boot": True}, source="debs"), ["secure_boot"]),
    "secure-boot-apt": (
        host({"secure_boot": True}, source="apt", kernel_apt_package="linux-image-amd64"),
        [],
    ),
    "secure-boot-accepted": (host({"secure_boot": True}, kernel_accept_risks=["secure_boot"]), []),
    "another-accepted": (host({"secure_boot": True}, kernel_accept_risks=["dkms"]), ["secure_boot"]),
    "zstd": (host({"dpkg_zstd": False}, folder={**FOLDER, "zstd": True}), ["zstd"]),
    "zstd-early": (host({"dpkg_zstd": False}, folder=None, build=build("5.14.0-051400-generic")), ["zstd"]),
    "zstd-installed": (host({**INSTALLED, "dpkg_zstd": False}, folder={**FOLDER, "zstd": True}), []),
    "xz": (host({"dpkg_zstd": False}), []),
    "xz-early": (host({"dpkg_zstd": False}, folder=None), []),
    "no-io_uring": (host(source="debs", folder={**FOLDER, "io_uring": False}, build=None), ["io_uring"]),
    "io_uring": (host(source="debs", folder={**FOLDER, "io_uring": True}, build=None), []),
    "io_uring-unknown": (host(source="debs", folder={**FOLDER, "io_uring": None}, build=None), []),
    "boot-full": (host({"own_boot": True, "free": {"boot": 59, "root": 4000}}), ["space_boot"]),
    "boot-not-its-own": (host({"free": {"boot": 1, "root": 4000}}), []),
    "boot-just-right": (host({"own_boot": True, "free": {"boot": 60, "root": 812}}), []),
    "boot-without-initramfs": (
        host({"own_boot": True, "initramfs": 0, "free": {"boot": 83, "root": 812}}),
        ["space_boot"],
    ),
    "root-full": (host({"own_boot": True, "free": {"boot": 60, "root": 811}}), ["space_root"]),
    "root-with-boot-full": (host({"free": {"boot": 871, "root": 871}}), ["space_root"]),
    "root-with-boot-just-right": (host({"free": {"boot": 872, "root": 872}}), []),
    "root-full-early": (host({"free": {"boot": 900, "root": 900}}, folder=None), ["space_root"]),
    "full-installed": (host({**INSTALLED, "own_boot": True, "free": {"boot": 1, "root": 1}}), []),
    "dkms": (host({"dkms": ZFS}), ["dkms"]),
    "dkms-unused": (host({"dkms": [{**ZFS[0], "loaded": []}]}), []),
    "dkms-headers": (host({"dkms": ZFS}, folder=HEADERS), []),
    "dkms-headers-there": (host({"dkms": ZFS, "headers": [NEW]}), []),
    "dkms-headers-left-out": (host({"dkms": ZFS}, build=build(NEW, ("image", "headers"))), ["dkms"]),
    "dkms-early": (host({"dkms": ZFS}, folder=None), ["dkms"]),
    "dkms-headers-early": (host({"dkms": ZFS}, folder=None, build=build(NEW, ("image", "headers"))), []),
    "dkms-accepted": (host({"dkms": ZFS}, kernel_accept_risks=["dkms"]), []),
    "systemd-258": (host({"systemd": 258}, folder=None, build=build("5.3.18-050318-generic")), ["userland"]),
    "systemd-258-right": (host({"systemd": 258}, folder=None, build=build("5.4.0-050400-generic")), []),
    "systemd-260": (host({"systemd": 261}), ["userland"]),
    "systemd-252": (host(folder=None, build=build("3.14.1-031401-generic")), ["userland"]),
    "systemd-237": (host({"systemd": 237}, folder=None, build=build("3.13.0-031300-generic")), []),
    "systemd-unknown": (host({"systemd": 0}, folder=None, build=build("3.2.1-030201-generic")), ["userland"]),
    "userland-accepted": (host({"systemd": 261}, kernel_accept_risks=["userland"]), []),
    "everything": (
        host(
            {
                "entries": {},
                "grubenv_devices": ["lvm"],
                "secure_boot": True,
                "dpkg_zstd": False,
                "own_boot": True,
                "free": {"boot": 1, "root": 1},
                "dkms": ZFS,
                "systemd": 261,
            },
            folder={**FOLDER, "zstd": True},
        ),
        ["entry", "grubenv", "secure_boot", "zstd", "space_boot", "space_root", "dkms", "userland"],
    ),
}


def failing(variables):
    parameters = {
        **PARAMETERS,
        "source": variables["kernel_source"],
        "version": variables["kernel_version"],
        "accept_risks": variables["kernel_accept_risks"],
        "apt_package": variables["kernel_apt_package"],
    }
    state = variables["__kernel_state"]
    found = (variables.get("__kernel_folder", {}), variables.get("__kernel_build", {}))
    plan = kernel_plan(state, parameters, *found)
    return kernel_preconditions(state, parameters, plan, *found)


@pytest.fixture(scope="module")
def problems():
    """Return the preconditions that fail, by host."""
    return {name: failing(variables) for name, (variables, _expected) in HOSTS.items()}


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_has_just_the_problems_that_it_has(problems, name):
    assert [problem["name"] for problem in problems[name]] == HOSTS[name][1]


@pytest.mark.parametrize("name", [name for name, (_variables, expected) in HOSTS.items() if expected])
def test_a_problem_is_told_in_whole_sentences(problems, name):
    for problem in problems[name]:
        says = problem["says"].strip()
        assert says.endswith("."), says
        assert "  " not in says and "{{" not in says, says


def words(problems, name):
    return " ".join(problem["says"] for problem in problems[name])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("systemd-boot", "was booted by systemd-boot, and the trial boot is GRUB's"),
        ("no-loader", "no boot loader that we know has booted it"),
        ("no-entry", f"runs {RUNNING}, which /boot/grub/grub.cfg has no entry for (it has 6.12.9-amd64)"),
        ("default-in-40_custom", "/etc/grub.d/40_custom chooses what GRUB boots, over the saved entry"),
        ("grubenv-full", "grubenv has 429 bytes left, and a trial takes 430"),
        ("runs-it-already", f"it runs {NEW} itself"),
        ("raid", "lies on ext4 over disk, part, raid1, where GRUB can read grubenv but not write it"),
        ("btrfs", "lies on btrfs over no disk"),
        ("secure-boot", "mainline kernels are not signed by a key that the host trusts"),
        ("secure-boot-debs", "a kernel of your own is, as a rule, not signed"),
        ("zstd-early", "or take a version before 5.14."),
        (
            "no-io_uring",
            f"{NEW} is built without io_uring: the /boot/config-{NEW} in its debs lacks CONFIG_IO_URING=y. "
            "Build it",
        ),
        ("boot-full", "/boot has 59 MiB free, and this kernel with its initramfs needs 60."),
        ("root-with-boot-full", "/ has 871 MiB free, and to install this kernel takes 872."),
        ("dkms", f"in use, spl, zfs (of zfs), and would be missing under {NEW}"),
        ("systemd-260", f"its systemd 261 asks for Linux 5.10 at the least, and {NEW} is older"),
    ],
)
def test_a_problem_names_the_cause(problems, name, says):
    assert says in words(problems, name)


def test_what_may_be_accepted_says_how_and_nothing_else_does(problems):
    specs = yaml.safe_load((ROOT / "roles/kernel/meta/argument_specs.yml").read_text())
    accepted = specs["argument_specs"]["main"]["options"]["kernel_accept_risks"]["choices"]
    for problem in problems["everything"]:
        says = f"`kernel_accept_risks: [{problem['name']}]` passes this check."
        assert problem["says"].strip().endswith(says) == (problem["name"] in accepted), problem
    assert set(accepted) <= {problem["name"] for problem in problems["everything"]}
