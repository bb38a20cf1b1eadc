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
manifest:
  description: The manifest, or an empty dict.
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
watchdog:
  description: The C(device) and C(identity) of the first watchdog, empty where there is none.
"""

import json
import os

from ansible.module_utils import firmware, host, storage
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.grub import default, entries, environment

GRUB = "/boot/grub"
GRUBENV = f"{GRUB}/grubenv"
GRUB_CFG = f"{GRUB}/grub.cfg"


def read(path):
    """Return a file's text, or an empty string where there is no such file."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def installed_versions(module, packages):
    """Return a dict of the given packages that are installed, with their versions."""
    if not packages:
        return {}
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version} ${db:Status-Status}\n"]
    _code, out, _err = module.run_command(query + sorted(packages))
    rows = [line.split() for line in out.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def kernels(module, manifest):
    """Return what is known of the kernels that are there."""
    grubenv = {}
    # grub-editenv makes the file, even to list it.
    if os.path.exists(GRUBENV) and module.get_bin_path("grub-editenv"):
        _code, out, _err = module.run_command(["grub-editenv", GRUBENV, "list"])
        grubenv = environment(out)
    packages = manifest.get("packages", {})
    versions = installed_versions(module, packages)
    return {
        "running": os.uname()[2],
        "boot_id": read("/proc/sys/kernel/random/boot_id").strip(),
        "entries": entries(read(GRUB_CFG)),
        "default": default(read(GRUB_CFG), grubenv.get("saved_entry", "")),
        "saved_entry": grubenv.get("saved_entry", ""),
        "next_entry": grubenv.get("next_entry", ""),
        "manifest": manifest,
        "installed": sorted(name for name, version in packages.items() if versions.get(name) == version),
        "headers": host.headers(),
        "initramfs": storage.initramfs_mib(),
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
        "watchdog": host.watchdog(),
    }


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"manifest": {"type": "path", "required": True}}, supports_check_mode=True
    )
    manifest = json.loads(read(module.params["manifest"]) or "{}")
    module.exit_json(changed=False, **kernels(module, manifest), **abilities(module))


if __name__ == "__main__":
    main()
