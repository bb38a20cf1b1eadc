#!/usr/bin/python3
"""Ansible module: install packages by a transaction that the ledger knows, and remove just those again."""

DOCUMENTATION = r"""
module: lab_packages
short_description: Install packages by a transaction that the ledger knows, and remove just those again
description:
  - What apt's simulation says would be new is recorded before the transaction, and what apt's own history
    says was installed after it. So nothing that the owner installs meanwhile is ever taken for ours.
  - Packages for a build are marked as automatically installed. One that the owner has since asked for
    (C(apt-get install), C(apt-mark manual)) or holds is the owner's, and one that a package of the owner's
    needs stays for it. One whose hold is recorded is held by us.
options:
  step:
    description: The step whose ledger it is.
    type: str
    required: true
  purpose:
    description: >-
      What they are for. C(build) are removed after the build, C(lab) with the rollback, C(kept) are
      recorded and stay.
    type: str
    choices: [build, lab, kept]
    required: true
  state:
    description: Whether to install them, or to remove all that are recorded for the purpose.
    type: str
    choices: [present, absent]
    default: present
  names:
    description:
      - C(present), names of packages or paths of debs.
      - C(absent), packages to remove besides those recorded, as a version that kept no ledger has
        remembered them.
    type: list
    elements: str
    default: []
  only:
    description: C(absent), no others than these.
    type: list
    elements: str
  options:
    description: Further options of apt-get.
    type: list
    elements: str
    default: []
"""

RETURN = r"""
added:
  description: The packages that were installed anew.
replaced:
  description: The versions of packages that debs of ours have replaced.
removed:
  description: The packages that were removed, or, in check mode, that the installation would remove.
left:
  description: The packages that were not removed, each with the reason.
stdout:
  description: What apt-get has printed.
"""

import os
import uuid

from ansible.module_utils import apt_account, ledger
from ansible.module_utils.basic import AnsibleModule

ENVIRONMENT = {
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    # Ubuntu's needrestart would restart services in the middle of the run.
    "NEEDRESTART_SUSPEND": "1",
}
APT_GET = [
    "apt-get",
    "--yes",
    "--option=DPkg::Lock::Timeout=600",
    "--option=Dpkg::Use-Pty=false",
    "--option=APT::Get::AutomaticRemove=false",
    "--no-install-recommends",
]
# Those that the owner holds have been sorted out by then; a hold that is recorded is ours.
PURGE = [*APT_GET, "--allow-change-held-packages", "purge"]


class Packages:
    """The packages of one step on this host."""

    def __init__(self, module):
        self.module = module
        self.path = os.path.join(ledger.DIRECTORY, module.params["step"] + ".json")
        try:
            self.record = ledger.load(self.path, module.params["step"])
        except ledger.LedgerError as error:
            module.fail_json(msg=str(error))

    def run(self, command):
        """Run a command and return its exit status, output and error output."""
        return self.module.run_command(command, environ_update=ENVIRONMENT)

    def save(self):
        """Write the ledger."""
        ledger.save(self.path, self.record)

    def installed(self):
        """Return the packages of which dpkg has more than configuration files."""
        _status, out, _err = self.run(
            ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"]
        )
        gone = ("not-installed", "config-files")
        return {line.split()[0] for line in out.splitlines() if line.split()[1] not in gone}

    def listed(self, what):
        """Return what apt-mark lists: ``showhold`` or ``showmanual``."""
        return {line.split(":")[0] for line in self.run(["apt-mark", what])[1].splitlines()}

    def account(self):
        """Record what the transactions have installed that were begun, now or by a run that was cut off."""
        if not self.record["transactions"]:
            return []
        history = apt_account.read_history()
        others = apt_account.installed_by_others(history)
        present = self.installed()
        added = []
        for mark, begun in sorted(self.record["transactions"].items()):
            names = apt_account.installed_by(mark, history)
            if names is None:
                # The history's end was lost with the power. What somebody else has installed is not ours.
                names = set(begun["expected"]) - others
            for name in sorted(present.intersection(names)):
                self.record["packages"].setdefault(name, {"purpose": begun["purpose"], "automatic": False})
                added.append(name)
        self.record["transactions"] = {}
        self.save()
        return added

    def present(self):
        """Install the packages; return what the module returns."""
        params = self.module.params
        names = [name for name in params["names"] if "/" in name]
        debs = {os.path.basename(name).split("_")[0] for name in names}  # deb-version(7)
        missing = sorted(set(params["names"]) - set(names) - self.installed())
        self.account()
        if not names and not missing:
            return {"changed": False, "added": [], "replaced": self.record["replaced"], "stdout": ""}
        install = [*APT_GET, *params["options"], "install", *names, *missing]
        status, out, err = self.run([*install, "--simulate"])
        if status:
            self.module.fail_json(
                msg="apt would not install %s: %s" % (" ".join(names + missing), problem(err, out))
            )
        would = apt_account.simulated(out)
        if self.module.check_mode:
            return {
                "changed": True,
                "added": would["new"],
                "replaced": would["replaced"],
                "removed": would["removed"],
                "stdout": out,
            }
        mark = uuid.uuid4().hex
        self.record["transactions"][mark] = {"purpose": params["purpose"], "expected": would["new"]}
        for name, version in would["replaced"].items():
            # An upgrade that comes along is no replacement that a rollback would take back.
            if name not in self.record["packages"] and name in debs:
                self.record["replaced"].setdefault(name, version)
        self.save()
        # apt takes one that is there and is named for asked for, which is how an owner makes it theirs.
        automatic = {name for name in debs if self.record["packages"].get(name, {}).get("automatic")}
        automatic -= self.listed("showmanual") if automatic else set()
        status, out, err = self.run([*install, "--option=%s=%s" % (apt_account.MARK, mark)])
        added = self.account()
        if status:
            self.module.fail_json(
                msg="apt could not install %s: %s" % (" ".join(names + missing), problem(err, out))
            )
        if params["purpose"] == "build" and (added or automatic):
            self.run(["apt-mark", "auto", *added, *sorted(automatic)])
            for name in added:
                self.record["packages"][name]["automatic"] = True
            self.save()
        return {"changed": True, "added": added, "replaced": self.record["replaced"], "stdout": out}

    def absent(self):
        """Remove the packages of the purpose; return what the module returns."""
        if not self.module.check_mode:
            self.account()
        present = self.installed()
        purpose = self.module.params["purpose"]
        ours = {name: entry for name, entry in self.record["packages"].items() if entry["purpose"] == purpose}
        for name in self.module.params["names"]:
            ours.setdefault(name, {"purpose": purpose, "automatic": False})
        only = self.module.params["only"]
        ours = {name: entry for name, entry in ours.items() if only is None or name in only}
        held, manual = self.listed("showhold"), self.listed("showmanual")
        left, go = {}, set()
        for name, entry in ours.items():
            if name not in present:
                continue
            if name in held and name not in self.record["holds"]:
                left[name] = "held by the owner"
            elif entry["automatic"] and name in manual:
                left[name] = "asked for by the owner"
            else:
                go.add(name)
        go, out = self.without_what_others_need(go, left)
        if self.module.check_mode:
            return {"changed": bool(go), "removed": sorted(go), "left": left, "stdout": out}
        if go:
            status, out, err = self.run([*PURGE, *sorted(go)])
            if status:
                self.module.fail_json(
                    msg="apt could not remove %s: %s" % (" ".join(sorted(go)), problem(err, out))
                )
        for name in ours:
            self.record["packages"].pop(name, None)
        self.record["holds"] = [name for name in self.record["holds"] if name not in go]
        if purpose == "lab" and only is None:
            self.record["replaced"] = {}
        self.save()
        return {"changed": bool(go), "removed": sorted(go), "left": left, "stdout": out}

    def without_what_others_need(self, go, left):
        """Return those of the packages that apt can remove without touching another, and its simulation."""
        out = ""
        while go:
            status, out, err = self.run([*PURGE, "--simulate", *sorted(go)])
            would = apt_account.simulated(out)
            foreign = set(would["removed"]) - go
            if status or would["new"]:
                reason = "apt would not remove it alone: %s" % (
                    problem(err, out) if status else " ".join(would["new"])
                )
                left.update(dict.fromkeys(go, reason))
                return set(), out
            if not foreign:
                break
            needed = {name: other for other in sorted(foreign) for name in self.needs(other) & go}
            if (
                not needed
            ):  # a relation that --recurse does not show: rather too many stay than one of the owner's goes
                needed = dict.fromkeys(go, ", ".join(sorted(foreign)))
            left.update((name, "needed by %s" % other) for name, other in needed.items())
            go = go - set(needed)
        return go, out

    def needs(self, name):
        """Return the packages that an installed package needs, those that these need included."""
        command = ["apt-cache", "depends", "--recurse", "--installed", "--important", name]
        return {line.strip() for line in self.run(command)[1].splitlines() if not line.startswith((" ", "<"))}


def problem(err, out):
    """Return what apt says of an error, in a line."""
    lines = [line for line in err.splitlines() if line.startswith(("E:", "dpkg: error"))]
    unmet = [line.strip() for line in out.splitlines() if " : " in line]
    return "; ".join((unmet + lines)[:6]) or (err.strip().splitlines() or ["no message"])[-1]


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True},
            "purpose": {"type": "str", "required": True, "choices": ["build", "lab", "kept"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "names": {"type": "list", "elements": "str", "default": []},
            "only": {"type": "list", "elements": "str"},
            "options": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    packages = Packages(module)
    module.exit_json(**(packages.present() if module.params["state"] == "present" else packages.absent()))


if __name__ == "__main__":
    main()
