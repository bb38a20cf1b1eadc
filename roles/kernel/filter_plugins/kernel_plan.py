"""What the kernel role decides from what it found on the host, in the archive and in the debs."""

import re

DOCUMENTATION = """
    name: kernel_plan
    short_description: what is wanted, what is there already, and which preconditions fail
    positional: parameters, debs, build
    options:
      _input:
        description: What the module kernel_state returned.
        type: dict
        required: true
      parameters:
        description: C(source), C(version), C(flavour), C(headers), C(accept_risks), C(suite) and C(package).
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
      description:
        - C(wanted), what was asked for, in the form that the manifest keeps.
        - C(installed), whether just that is installed.
        - C(is_default), whether it also runs, was proved and boots by default.
        - C(preconditions), those that fail, each with C(name) and C(says).
      type: dict
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


def kernel_plan(state, parameters, debs, build):
    """Return what holds, from what was found (DOCUMENTATION and RETURN above). Reads nothing itself."""
    wanted = _wanted(parameters, debs, build)
    manifest = state["manifest"]
    installed = manifest.get("wanted", {}) == wanted and len(state["installed"]) == len(manifest["packages"])
    is_default = (
        installed
        and manifest["promoted"]
        and state["running"] == manifest["release"]
        and state["saved_entry"] == manifest["entry"]
        and state["next_entry"] == ""
    )
    failing = []
    if parameters["source"] != "keep" and not state["container"] and not is_default:
        found = _failing(state, parameters, debs, build, installed)
        failing = [row for row in found if row["name"] not in parameters["accept_risks"]]
    return {"wanted": wanted, "installed": installed, "is_default": is_default, "preconditions": failing}


def kernel_simulation(result):
    """Return whether a simulated installation, as registered by Ansible, succeeds and removes no package."""
    return result.get("rc", 1) == 0 and not re.search(r"(?m)^Remv ", result.get("stdout", ""))


def kernel_installs(result, bare):
    """Return whether apt installs the debs, with or without headers; also where it was not asked."""
    return "rc" not in result or kernel_simulation(result) or kernel_simulation(bare)


def _wanted(parameters, debs, build):
    source = parameters["source"]
    if source == "apt":
        return {"source": "apt", "suite": parameters["suite"], "package": parameters["package"]}
    if source == "debs":
        return {"source": "debs", "sha256": sorted(deb["sha256"] for deb in debs.get("debs", []))}
    if source == "mainline":
        version = re.sub(r"^([0-9]+[.][0-9]+)[.]0$", r"\1", parameters["version"])
        return {
            "source": "mainline",
            "version": build.get("version", version),
            "flavour": parameters["flavour"],
            "headers": parameters["headers"],
        }
    return {"source": source}


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
    fails = {
        "bootloader": not is_grub,
        "entry": is_grub and state["running"] not in state["entries"],
        "grubenv": is_grub and not is_writable,
        "secure_boot": state["secure_boot"] and source in ("mainline", "debs"),
        "zstd": not installed and not state["dpkg_zstd"] and is_zstd,
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
            "kernel_plan": kernel_plan,
            "kernel_simulation": kernel_simulation,
            "kernel_installs": kernel_installs,
        }
