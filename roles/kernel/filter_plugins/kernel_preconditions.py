"""The preconditions of another kernel: which fail on a host, and what is said of each."""

import re

DOCUMENTATION = """
    name: kernel_preconditions
    short_description: which preconditions of another kernel fail on a host
    positional: parameters, plan, debs, build
    options:
      _input:
        description: What the module kernel_state returned.
        type: dict
        required: true
      parameters:
        description: The role's variables, C(source), C(headers) and C(accept_risks) among them.
        type: dict
        required: true
      plan:
        description: What the filter kernel_plan returned.
        type: dict
        required: true
      debs:
        description: What the module kernel_debs returned, or an empty dict.
        type: dict
        required: true
      build:
        description: What the module kernel_mainline returned, or an empty dict.
        type: dict
        required: true
"""

RETURN = """
    _value:
      description: Those that fail, each with C(name) and C(says).
      type: list
      elements: dict
"""

#: The kernel that systemd calls its minimum baseline, by the first version that does, newest first. NEWS of
#: 251 (up from 3.13); README of 256, 258 and 260. glibc asks for 3.2, on Debian and Ubuntu alike.
BASELINES = ((260, "5.10"), (258, "5.4"), (251, "3.15"), (0, "3.13"))
#: Ubuntu, and so its mainline builds, went over to zstd in 2021.
ZSTD_SINCE = "5.14"
#: The file systems that /etc/grub.d/00_header leaves alone too (check_writable).
UNWRITABLE = ("btrfs", "zfs", "f2fs", "squashfs")
#: MiB that a kernel of many drivers takes, while its debs are not known.
USUAL_SIZE = {"boot": 32, "root": 800}

#: Bytes that an entry's name takes in grubenv, SUBMENU>ENTRY with the root's UUID twice, and those that a
#: trial's parameters take.
ENTRY_BYTES, TRIAL_BYTES = 160, 110

#: What to say of a precondition that fails: the cause, what was found, the remedy.
SAYS = {
    "bootloader": ("{booted}, and the trial boot is GRUB's. With KERNEL=keep the other steps can be done."),
    "entry": (
        "it runs {running}, which /boot/grub/grub.cfg has no entry for (it has {entries}), so that "
        "there would be no way back to it. Run update-grub there."
    ),
    "grubenv": (
        "/boot/grub lies on {filesystem} over {devices}, where GRUB can read grubenv but not write "
        "it: a kernel that does not come up would be tried at every boot. With KERNEL=keep the "
        "other steps can be done. Where you can reach the host's console, `kernel_accept_risks: "
        "[grubenv]` passes this check."
    ),
    "default": (
        "{overrides} chooses what GRUB boots, over the saved entry that a trial goes by. Take that line "
        "out, run update-grub there, and try again."
    ),
    "grubenv_room": (
        "/boot/grub/grubenv has {grubenv_free} bytes left, and a trial takes {grubenv_need}. "
        "`grub-editenv /boot/grub/grubenv list` shows what fills it, and `unset NAME` in place of "
        "`list` makes room."
    ),
    "running": (
        "it runs {release} itself. Installing another build of that name would write over it and "
        "leave nothing to fall back on. Give the build a name of its own (CONFIG_LOCALVERSION), or "
        "boot another kernel first."
    ),
    "secure_boot": (
        "Secure Boot is on, and {kernels} not signed by a key that the host trusts: it would not "
        "boot. Turn Secure Boot off in the firmware's setup, or its use by shim (`mokutil "
        "--disable-validation`), or take a signed kernel (KERNEL=apt). Where its signer's key is "
        "enrolled, `kernel_accept_risks: [secure_boot]` passes this check."
    ),
    "zstd": (
        "its dpkg cannot unpack the debs of {release}, packed by zstd; Debian's can from 12 on, "
        "Ubuntu's from 18.04 on with all updates. Upgrade it, or {xz}."
    ),
    "io_uring": (
        "{release} is built without io_uring: the /boot/config-{release} in its debs lacks "
        "CONFIG_IO_URING=y. Build it with that, or take another kernel (KERNEL=apt)."
    ),
    "space_boot": (
        "/boot has {free[boot]} MiB free, and this kernel with its initramfs needs {boot}. `apt-get "
        "autoremove --purge` removes kernels that are no longer used."
    ),
    "space_root": (
        "/ has {free[root]} MiB free, and to install this kernel takes {root}. `apt-get clean` and "
        "`journalctl --vacuum-size=100M` free some."
    ),
    "dkms": (
        "modules that DKMS has built are in use, {loaded} (of {modules}), and would be missing "
        "under {release}, to which no headers come. {headers}. Where the host can do without them, "
        "`kernel_accept_risks: [dkms]` passes this check."
    ),
    "userland": (
        "its systemd {systemd} asks for Linux {oldest} at the least, and {release} is older: it may "
        "not come up. Take a newer kernel, or a host with an older release. To try it all the same, "
        "`kernel_accept_risks: [userland]` passes this check."
    ),
}


def kernel_preconditions(state, parameters, plan, debs, build):
    """Return the preconditions that fail (DOCUMENTATION and RETURN above). Reads nothing itself."""
    if not plan["to_change"]:
        return []
    failing = _failing(state, parameters, debs, build, plan["installed"])
    return [row for row in failing if row["name"] not in parameters["accept_risks"]]


def _failing(state, parameters, debs, build, installed):
    """Return the preconditions that fail, accepted risks included."""
    source = parameters["source"]
    release = debs.get("release", build.get("release", ""))
    series = _numbers(release)
    is_zstd = debs.get("zstd", source == "mainline" and release != "" and series >= _numbers(ZSTD_SINCE))
    size = debs.get("size", USUAL_SIZE)
    # An initramfs as large as the largest one there; room for apt's copies of the debs and for mkinitramfs,
    # which packs a tree that lies in /var/tmp.
    boot = size["boot"] + (state["initramfs"] or 64)
    root = size["root"] + 512 + (0 if state["own_boot"] else boot)
    dkms = [module for module in state["dkms"] if module["loaded"]]
    oldest = next(kernel for systemd, kernel in BASELINES if systemd <= state["systemd"])
    is_grub = state["bootloader"] == "grub"
    devices = state["grubenv_devices"]
    is_writable = state["grubenv_filesystem"] not in UNWRITABLE and devices and {*devices} <= {"part", "disk"}
    grubenv_need = (1 if state["saved_entry"] else 2) * ENTRY_BYTES + TRIAL_BYTES
    fails = {
        "bootloader": not is_grub,
        "entry": is_grub and state["running"] not in state["entries"],
        "grubenv": is_grub and not is_writable,
        "default": is_grub and state["overrides"],
        "grubenv_room": is_grub and state["grubenv_free"] < grubenv_need,
        "running": not installed and release == state["running"],
        "secure_boot": state["secure_boot"] and source in ("mainline", "debs"),
        "zstd": not installed and not state["dpkg_zstd"] and is_zstd,
        "io_uring": not installed and debs.get("io_uring") is False,
        "space_boot": not installed and state["own_boot"] and state["free"]["boot"] < boot,
        "space_root": not installed and state["free"]["root"] < root,
        "dkms": dkms and release != "" and not _has_headers(state, release, debs, build),
        "userland": release != "" and series < _numbers(oldest),
    }
    words = {
        **state,
        "booted": "no boot loader that we know has booted it; "
        "its kernel may come from the host of the virtual machine"
        if state["bootloader"] == "none"
        else f"it was booted by {state['bootloader']}",
        "entries": ", ".join(sorted(state["entries"])) or "none",
        "overrides": " and ".join(state["overrides"]),
        "grubenv_need": grubenv_need,
        "filesystem": state["grubenv_filesystem"] or "an unknown file system",
        "devices": ", ".join(devices) or "no disk",
        "kernels": "mainline kernels are" if source == "mainline" else "a kernel of your own is, as a rule,",
        "release": release,
        "xz": f"take a version before {ZSTD_SINCE}"
        if source == "mainline"
        else "build the debs with KDEB_COMPRESS=xz",
        "boot": boot,
        "root": root,
        "loaded": ", ".join(name for module in dkms for name in module["loaded"]),
        "modules": ", ".join(module["name"] for module in dkms),
        "headers": "Let kernel_headers be true"
        if source == "mainline" and not parameters["headers"]
        else f"Install linux-headers-{release} first, if there is one",
        "oldest": oldest,
    }
    return [{"name": name, "says": SAYS[name].format(**words)} for name, failed in fails.items() if failed]


def _has_headers(state, release, debs, build):
    # Headers that were left out of the debs are among the build's still.
    if release in state["headers"]:
        return True
    if "debs" in debs:
        return f"linux-headers-{release}" in [deb["package"] for deb in debs["debs"]]
    return "headers" in [deb["part"] for deb in build.get("debs", [])]


def _numbers(version):
    """Return MAJOR and MINOR of a release: (5, 6) for 5.6.0-050600-generic."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "kernel_preconditions": kernel_preconditions,
        }
