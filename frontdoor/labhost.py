"""The lab host that a run uses when it is given no other."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from frontdoor.errors import InfrastructureError, UsageError
from frontdoor.run import ROOT

KINDS = ("vm", "container")


def lab_inventory(environment: Mapping[str, str], make: bool) -> Path:
    """Return the inventory of the lab host NAME; make tells whether it is to be made and started as needed.

    Raises UsageError, and whatever the lab raises when it cannot make a host.
    """
    # Only here, since a host that is not the lab's needs nothing of what the lab needs.
    from lab import machine

    name = environment.get("NAME") or "lab"
    kind = environment.get("KIND") or "vm"
    if kind not in KINDS:
        raise UsageError(f"KIND={kind}: must be {' or '.join(KINDS)}")
    if not make:
        return machine.get(name).inventory
    packages = subprocess.run([ROOT / "lab" / "system-packages", kind], check=False)
    if packages.returncode:
        raise InfrastructureError(f"the system packages for a lab host of kind {kind} are missing")
    return machine.up(name, kind, environment.get("SUITE") or None).inventory
