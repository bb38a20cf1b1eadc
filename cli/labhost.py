"""The lab host that a run uses when it is given no other."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from cli.errors import InfrastructureError, UsageError
from cli.run import ROOT


def lab_host_runs(environment: Mapping[str, str]) -> bool:
    """Tell whether the lab host NAME runs, and say so if it is there and does not."""
    from lab import machine

    name = environment.get("NAME") or "lab"
    found = [one for one in machine.all_machines() if one.name == name]
    if found and not found[0].running:
        print(f"\nthe lab host {name} does not run; `make lab-up NAME={name}` starts it")
    return bool(found) and found[0].running


def lab_inventory(environment: Mapping[str, str], make: bool) -> Path:
    """Return the inventory of the lab host NAME, which runs; make = make it and start it as needed.

    Raises UsageError when it is not there and not to be made, and LabError when the lab cannot make it.
    """
    # Only here: a host that is not the lab's needs nothing of what the lab needs.
    from lab import machine

    name = environment.get("NAME") or "lab"
    if not make:
        found = machine.get(name)
        if not found.running:
            raise UsageError(f"the lab host {name} does not run; `make lab-up NAME={name}` starts it")
        return found.inventory
    kind = environment.get("KIND") or None
    if kind and kind not in machine.KINDS:
        raise UsageError(f"KIND={kind}: must be {' or '.join(machine.KINDS)}")
    packages = subprocess.run([ROOT / "lab" / "system-packages", kind or "vm"], check=False)
    if packages.returncode:
        raise InfrastructureError("the system packages that a lab host needs are not there")
    return machine.up(name, kind, environment.get("SUITE") or None).inventory
