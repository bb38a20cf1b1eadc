"""The lab host that a run uses when it is given no other."""

from collections.abc import Mapping
from pathlib import Path

from cli.errors import UsageError


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
    wanted = name, environment.get("KIND") or None, environment.get("SUITE") or None
    machine.install_packages(*wanted)
    return machine.up(*wanted).inventory
