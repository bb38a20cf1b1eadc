#!/usr/bin/python3
"""Ansible module: what kernels a host has, which one boots next, and what the host can do with another."""

DOCUMENTATION = r"""
module: kernel_state
short_description: Tell what kernels a host has, which one boots next, and what it can do with another
description:
  - Reads only. Gathers in one round trip what would be half a dozen tasks.
options:
  manifest:
    description: The file in which the role remembers the kernel it installed.
    type: path
    required: true
  tolerant:
    description: >-
      Report a damaged record as C(damaged), for a rollback. Otherwise the module fails.
    type: bool
    default: false
"""

RETURN = r"""
running:
  description: The release that runs, as C(uname -r) prints it.
boot_id:
  description: A value that is another one after each boot.
container:
  description: The kind of container that the host is, or empty. A container runs its host's kernel.
entries:
  description: The id of the GRUB entry of each release.
default:
  description: The release that boots where nobody chooses, or empty where GRUB's configuration does not tell.
saved_entry:
  description: The entry that boots by default, where GRUB_DEFAULT is C(saved).
next_entry:
  description: The entry that the next boot alone takes, or empty.
overrides:
  description: The files that choose what GRUB boots, over its saved entry.
grubenv_free:
  description: How many bytes GRUB's environment block has left.
manifest:
  description: The manifest, or an empty dict.
record:
  description: The step's ledger.
inherited:
  description: What the manifest of a version that kept no ledger says is ours; part of C(record) too.
damaged:
  description: A sentence on each record that cannot be read.
armed:
  description: What a trial has set up and is still there, files and a variable of grubenv.
held:
  description: The packages on hold.
fallback:
  description: The C(package) that owns the running kernel, or empty, and what apt-mark says of it (C(mark)).
installed:
  description: Those of the manifest's packages that are installed in just the version it names.
secure_boot:
  description: Whether the firmware, or shim in its name, boots signed kernels alone.
bootloader:
  description: >-
    What has booted the host: C(grub), C(systemd-boot), C(extlinux), C(flash-kernel), C(u-boot), or C(none)
    of them.
grubenv_filesystem:
  description: The type of the file system that GRUB's environment block lies on.
grubenv_devices:
  description: The types of the devices under it, as lsblk names them.
free:
  description: Free space of C(boot) and C(root), in MiB.
own_boot:
  description: Whether /boot is a file system of its own.
initramfs:
  description: The size of the largest initramfs, in MiB, or 0.
headers:
  description: The releases whose headers are installed.
dpkg_zstd:
  description: Whether dpkg unpacks debs that are packed by zstd.
dkms:
  description: >-
    What DKMS has built for the running kernel: C(name), C(version), and C(loaded), those of its modules that
    are loaded.
systemd:
  description: The version of systemd, an integer.
boot_seconds:
  description: How long the last boot took, until all was up; 0 where that is not known.
"""

import os
import re

from ansible.module_utils import firmware, grub, host, ledger, storage
from ansible.module_utils.basic import AnsibleModule

GRUB = "/boot/grub"
GRUBENV = f"{GRUB}/grubenv"
GRUB_CFG = f"{GRUB}/grub.cfg"
CUSTOM_CFG = f"{GRUB}/custom.cfg"
SETTINGS = "/etc/default/grub.d"
#: Ours among the settings; a file that sorts after it has the last word.
OWN_SETTINGS = f"{SETTINGS}/zz-uring-lab.cfg"
#: Where apt-mark keeps its marks; the program itself takes a slow host a second.
EXTENDED_STATES = "/var/lib/apt/extended_states"
#: What templates/arm.sh.j2 writes.
TRIAL_FILES = (
    "/etc/systemd/system/uring-lab-trial.timer",
    "/etc/systemd/system/uring-lab-trial.service",
    "/etc/systemd/system/uring-lab-trial-over.service",
    "/etc/systemd/system.conf.d/zz-uring-lab-trial.conf",
)


def read(path):
    """Return a file's text, or an empty string where there is no such file."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def kernel_packages(module):
    """Return what dpkg has of each package called linux-*: its version, status and what is wanted of it."""
    form = "--showformat=${Package} ${Version} ${db:Status-Status} ${db:Status-Want}\n"
    _code, out, _err = module.run_command(["dpkg-query", "--show", form, "linux-*"])
    rows = [line.split() for line in out.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 4}  # one that is not installed has no version


def grub_state(module):
    """Return what GRUB will boot, and who says so."""
    grubenv, block = {}, b""
    # grub-editenv makes the file, even to list it.
    if os.path.exists(GRUBENV) and module.get_bin_path("grub-editenv"):
        _code, out, _err = module.run_command(["grub-editenv", GRUBENV, "list"])
        grubenv = grub.environment(out)
        with open(GRUBENV, "rb") as file:
            block = file.read()
    text, custom = read(GRUB_CFG), read(CUSTOM_CFG)
    saved = grubenv.get("saved_entry", "")
    armed = [path for path in TRIAL_FILES if os.path.exists(path)]
    return {
        "entries": grub.entries(text),
        "default": grub.default(text + custom, saved),
        "overrides": grub.overrides(text, custom) + later_settings(module),
        "saved_entry": saved,
        "next_entry": grubenv.get("next_entry", ""),
        "grubenv_free": grub.free_bytes(block),
        "armed": armed + (["uring_lab_trial"] if "uring_lab_trial" in grubenv else []),
    }


def later_settings(module):
    """Return the settings files after ours that give GRUB_DEFAULT another value, in a list."""
    names = os.listdir(SETTINGS) if os.path.isdir(SETTINGS) else []
    paths = sorted(os.path.join(SETTINGS, name) for name in names if name.endswith(".cfg"))
    script = 'GRUB_DEFAULT=saved; . "$1" >/dev/null; test "$GRUB_DEFAULT" = saved'
    later = [path for path in paths if path > OWN_SETTINGS]
    return [path for path in later if module.run_command(["sh", "-c", script, "sh", path])[0]]


def package_state(module, manifest):
    """Return what dpkg and apt say of the kernels' packages."""
    known = kernel_packages(module)
    recorded = manifest.get("packages", {}).items()
    return {
        "installed": sorted(
            name for name, version in recorded if known.get(name, [])[:2] == [version, "installed"]
        ),
        "held": sorted(name for name, row in known.items() if row[2] == "hold"),
        "fallback": fallback(module),
    }


def fallback(module):
    """Return the package that owns the running kernel, whatever its name, and what apt-mark says of it."""
    image = "/boot/vmlinuz-" + os.uname()[2]
    # PACKAGE[:ARCHITECTURE][, ...]: FILE
    found = module.run_command(["dpkg-query", "--search", image])[1]
    owner = re.search(r"(?m)^([a-z0-9][a-z0-9.+-]+)[:,].* ?%s$" % re.escape(image), found)
    if not owner:
        return {"package": "", "mark": ""}
    package = owner.group(1)
    marks = re.findall(r"(?m)^Package: (.*)\n(?:.+\n)*?Auto-Installed: 1$", read(EXTENDED_STATES))
    return {"package": package, "mark": "auto" if package in marks else "manual"}


def records(module, path):
    """Return what the step has written down, and a sentence on each record that cannot be read."""
    damaged = []

    def read_record(reader, empty):
        try:
            return reader()
        except ledger.LedgerError as error:
            if not module.params["tolerant"]:
                module.fail_json(msg=str(error))
            damaged.append(str(error))
            return empty

    manifest = read_record(lambda: ledger.read_json(path), {}) or {}
    own = os.path.join(ledger.DIRECTORY, "kernel.json")
    record = read_record(lambda: ledger.load(own, "kernel"), ledger.empty("kernel"))
    from_manifest = inherited(manifest) if manifest and not os.path.exists(own) else {}
    record.update(from_manifest)
    return {"manifest": manifest, "record": record, "inherited": from_manifest, "damaged": damaged}


def inherited(manifest):
    """Return what is ours on a host whose kernel was installed by a version that kept no ledger."""
    earlier = manifest.get("replaces") or {}
    added = sorted({*manifest.get("added", []), *earlier.get("added", [])})
    proved = [each for each in (manifest, earlier) if each.get("promoted")]
    return {
        "packages": {name: {"purpose": "lab", "automatic": False} for name in added},
        "holds": sorted({name for each in proved for name in each["packages"]}),
        "grub": {"previous": manifest["previous"], "saved_entry": ""},
    }


def abilities(module):
    """Return what the host can do with another kernel."""

    def run(command):
        try:
            return module.run_command(command, handle_exceptions=False)
        except OSError:  # a host without systemd, say: preflight looks at hosts of every kind
            return 127, "", ""

    container = run(["systemd-detect-virt", "--container"])[1].strip()
    has_grub = os.path.exists(GRUB_CFG) and bool(module.get_bin_path("grub-reboot"))
    filesystem, devices = storage.place(GRUB if os.path.isdir(GRUB) else "/boot", run)
    systemd, boot_seconds = host.manager(run)
    return {
        "container": "" if container == "none" else container,
        "secure_boot": firmware.secure_boot(),
        "bootloader": firmware.bootloader(has_grub, read("/proc/cmdline")),
        "grubenv_filesystem": filesystem,
        "grubenv_devices": devices,
        "free": storage.free(),
        "own_boot": storage.has_own_boot(),
        "dpkg_zstd": host.reads_zstd(run),
        "dkms": host.dkms(os.uname()[2]),
        "systemd": systemd,
        "boot_seconds": boot_seconds,
    }


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "path", "required": True},
            "tolerant": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    found = records(module, module.params["manifest"])
    module.exit_json(
        changed=False,
        running=os.uname()[2],
        boot_id=read("/proc/sys/kernel/random/boot_id").strip(),
        headers=host.headers(),
        initramfs=storage.initramfs_mib(),
        **found,
        **grub_state(module),
        **package_state(module, found["manifest"]),
        **abilities(module),
    )


if __name__ == "__main__":
    main()
