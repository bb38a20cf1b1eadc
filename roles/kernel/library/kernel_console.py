#!/usr/bin/python3
"""Ansible module: the last lines that a host's console has shown of a boot, out of the log of it."""

DOCUMENTATION = r"""
module: kernel_console
short_description: Read the last lines of a boot from a console's log
description:
  - Runs where the log is kept, on the controller. Reads only.
options:
  path:
    description: The log.
    type: path
    required: true
  start:
    description: How long the log was before the reboot, in bytes.
    type: int
    required: true
  lines:
    description: How many lines.
    type: int
    default: 12
"""

RETURN = r"""
lines:
  description: The lines; none when no kernel has said anything.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.console import first_boot


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "start": {"type": "int", "required": True},
            "lines": {"type": "int", "default": 12},
        },
        supports_check_mode=True,
    )
    try:
        with open(module.params["path"], "rb") as log:
            log.seek(module.params["start"])
            text = log.read().decode("utf-8", "replace")
    except OSError as error:
        module.fail_json(msg=f"the console's log cannot be read: {error}")
    module.exit_json(changed=False, lines=first_boot(text, module.params["lines"]))


if __name__ == "__main__":
    main()
