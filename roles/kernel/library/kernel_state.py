#!/usr/bin/python3
"""Ansible module: what kernels a host has, which one runs and which one boots next."""

DOCUMENTATION = r"""
module: kernel_state
short_description: Tell what kernels a host has, which one runs and which one boots next
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
saved_entry:
  description: The entry that boots by default, where GRUB_DEFAULT is C(saved).
next_entry:
  description: The entry that the next boot alone takes, or empty.
manifest:
  description: The manifest, or an empty dict.
installed:
  description: Those of the manifest's packages that are installed in just the version it names.
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.grub import entries, environment

GRUBENV = "/boot/grub/grubenv"


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


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"manifest": {"type": "path", "required": True}}, supports_check_mode=True
    )
    manifest = json.loads(read(module.params["manifest"]) or "{}")
    _code, container, _err = module.run_command(["systemd-detect-virt", "--container"])
    grubenv = {}
    if os.path.exists(GRUBENV) and module.get_bin_path(
        "grub-editenv"
    ):  # which makes the file, even to list it
        _code, out, _err = module.run_command(["grub-editenv", GRUBENV, "list"])
        grubenv = environment(out)
    versions = installed_versions(module, manifest.get("packages", {}))
    module.exit_json(
        changed=False,
        running=os.uname()[2],
        boot_id=read("/proc/sys/kernel/random/boot_id").strip(),
        container="" if container.strip() == "none" else container.strip(),
        entries=entries(read("/boot/grub/grub.cfg")),
        saved_entry=grubenv.get("saved_entry", ""),
        next_entry=grubenv.get("next_entry", ""),
        manifest=manifest,
        installed=sorted(
            name for name, version in manifest.get("packages", {}).items() if versions.get(name) == version
        ),
    )


if __name__ == "__main__":
    main()
