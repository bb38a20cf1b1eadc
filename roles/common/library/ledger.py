#!/usr/bin/python3
"""Ansible module: read a step's ledger, and record users and directories before they are made."""

DOCUMENTATION = r"""
module: ledger
short_description: Read the record of what is ours on a host, and add to it before the host is touched
description:
  - A user or directory that is not there yet is recorded as ours. One that is there and is not recorded is
    the owner's. It is used where it fits and never removed, or refused by its name.
  - Writes nothing in check mode.
options:
  step:
    description: The step whose record it is.
    type: str
    required: true
  manifest:
    description: The file in which the step says what it has installed; it is read along.
    type: path
  keys:
    description: What the manifest must have; one that has not is damaged.
    type: list
    elements: str
    default: []
  users:
    description: The users that the step makes, with their home directories.
    type: dict
    default: {}
  directories:
    description: The directories that the step makes.
    type: list
    elements: path
    default: []
  record:
    description:
      - What the step is about to change, by kind - C(packages), C(files), C(holds), C(marks) of apt-mark and
        what GRUB was told (C(grub)).
      - What is recorded already stays as it is, since that was the owner's state.
    type: dict
    default: {}
  content:
    description: What the manifest is to hold from now on, on the disk when the module ends; {} removes it.
    type: dict
  forget:
    description: The users and directories that are gone again, and the packages that stay for good.
    type: list
    elements: str
    default: []
  state:
    description: C(absent) removes the record, once all that it names is undone.
    type: str
    choices: [present, absent]
    default: present
  tolerant:
    description: >-
      Report a damaged file as C(damaged) and move it aside, for a rollback. Otherwise the module
      fails.
    type: bool
    default: false
"""

RETURN = r"""
users:
  description: The recorded users.
directories:
  description: The recorded directories.
packages:
  description: The recorded packages with their purpose.
replaced:
  description: The versions of packages that ours have replaced.
files:
  description: The recorded files.
holds:
  description: The packages that the step has put on hold.
marks:
  description: What apt-mark said of the packages that the step has marked as asked for.
grub:
  description: What GRUB was told before.
manifest:
  description: The content of the manifest, or an empty dict.
damaged:
  description: A sentence on each damaged file.
"""

import copy
import os
import pwd

from ansible.module_utils import ledger
from ansible.module_utils.basic import AnsibleModule

#: The first user number of people (adduser.conf, login.defs).
FIRST_PERSON = 1000


def user(name):
    """Return the entry of a user in passwd, or None."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def why_unfit(entry):
    """Return why programs should not run as a user that was there before, or an empty string."""
    if entry.pw_uid == 0 or entry.pw_uid >= FIRST_PERSON:
        return "its number is %d" % entry.pw_uid
    if os.path.basename(entry.pw_shell) not in ("nologin", "false"):
        return "its shell is %s" % entry.pw_shell
    return ""


def claim(record, params, is_earlier_lab):
    """Add to the record what is not there yet; return the reasons why it cannot be, one for each name.

    is_earlier_lab: whether a version that kept no ledger has provisioned the host. A user or directory just
    as that version makes it is taken for ours.
    """
    problems = []
    for name, home in sorted(params["users"].items()):
        entry = user(name)
        if name in record["users"]:
            continue
        if entry is None or (is_earlier_lab and entry.pw_dir == home and not why_unfit(entry)):
            record["users"].append(name)
        elif why_unfit(entry):
            problems.append(
                "it has a user %s that is not ours (%s), and programs under test would run as it. Rename or "
                "remove the account" % (name, why_unfit(entry))
            )
    for path in params["directories"]:
        if path in record["directories"]:
            continue
        if is_earlier_lab or not os.path.lexists(path):
            record["directories"].append(path)
        elif not os.path.isdir(path) or os.path.islink(path) or os.listdir(path):
            problems.append("it has a %s that is not ours. Move it away" % path)
    return problems


def enter(record, changes):
    """Add what is about to be changed to a record; what it has already stays."""
    for kind, found in changes.items():
        if ledger.KINDS[kind] is list:
            record[kind] += [name for name in found if name not in record[kind]]
        else:
            record[kind] = dict(found, **record[kind])


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True},
            "manifest": {"type": "path"},
            "keys": {"type": "list", "elements": "str", "default": []},
            "users": {"type": "dict", "default": {}},
            "directories": {"type": "list", "elements": "path", "default": []},
            "record": {"type": "dict", "default": {}},
            "content": {"type": "dict"},
            "forget": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "tolerant": {"type": "bool", "default": False},
        },
        required_by={"content": "manifest"},
        supports_check_mode=True,
    )
    params = module.params
    path = os.path.join(ledger.DIRECTORY, params["step"] + ".json")
    damaged = []

    def read(file, reader, empty):
        try:
            return reader()
        except ledger.LedgerError as error:
            if not params["tolerant"]:
                module.fail_json(msg=str(error))
            damaged.append(str(error))
            if not module.check_mode:
                os.replace(file, file + ".damaged")
            return empty()

    record = read(path, lambda: ledger.load(path, params["step"]), lambda: ledger.empty(params["step"]))
    manifest = params["content"] or {}
    if params["manifest"] and params["content"] is None:
        file = params["manifest"]
        manifest = read(file, lambda: ledger.read_json(file, params["keys"]), dict) or {}
    before = copy.deepcopy(record)
    # A version that kept no ledger has left a manifest, and no user or directory is recorded.
    is_earlier_lab = bool(manifest) and not record["users"] and not record["directories"]
    problems = claim(record, params, is_earlier_lab)
    if problems:
        module.fail_json(msg="; ".join(problems) + ". Nothing was changed.")
    for kind in ("users", "directories"):
        record[kind] = [name for name in record[kind] if name not in params["forget"]]
    for name in params["forget"]:
        record["packages"].pop(name, None)
    enter(record, params["record"])
    if params["state"] == "absent":
        record = ledger.empty(params["step"])
    if before != record and not module.check_mode:
        ledger.save(path, record)
    if params["content"] is not None and not module.check_mode:
        if params["content"]:
            ledger.write_json(params["manifest"], params["content"])
        else:
            ledger.remove(params["manifest"])
    # Records are no part of what a run reports as changed.
    module.exit_json(changed=False, manifest=manifest, damaged=damaged, **record)


if __name__ == "__main__":
    main()
