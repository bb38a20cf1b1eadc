#!/usr/bin/python3
"""Ansible module: read a folder of kernel debs and hold them to what an installation needs."""

DOCUMENTATION = r"""
module: kernel_debs
short_description: Read a folder of kernel debs
description:
  - Unpacks every image and modules deb to nowhere, so that a damaged one is found before anything is
    installed.
  - Reads only.
options:
  folder:
    description: The folder.
    type: path
    required: true
  architecture:
    description: The architecture of the host, as dpkg names it.
    type: str
    required: true
  everything:
    description: Take every deb. Otherwise image and modules, without headers and debug symbols.
    type: bool
    default: false
  names:
    description: The names of the files to read. Otherwise all that end in C(.deb).
    type: list
    elements: str
    default: []
"""

RETURN = r"""
release:
  description: The kernel release, read from the name of the deb's C(/boot/vmlinuz-*).
debs:
  description: For each deb that is to be installed C(path), C(package), C(version) and C(sha256).
size:
  description: What they hold in C(boot) and elsewhere (C(root)), in MiB.
zstd:
  description: Whether one of them is packed by zstd.
io_uring:
  description: Whether the kernel is built with io_uring, or none where its configuration is in none of them.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.debs import DebError, read_folder


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "architecture": {"type": "str", "required": True},
            "everything": {"type": "bool", "default": False},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    if not module.get_bin_path("dpkg-deb"):
        module.fail_json(
            msg="there is no dpkg-deb where {0} is; its debs cannot be checked. Install dpkg there, or put "
            "the folder on the host and say kernel_debs_remote=true".format(module.params["folder"])
        )
    try:
        found = read_folder(**module.params)
    except DebError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
