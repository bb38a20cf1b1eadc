"""Where an upgrade stands: what the role's status.sh has printed."""

import importlib.util
from pathlib import Path

DOCUMENTATION = """
    name: upgrade_status
    short_description: where an upgrade to another release stands
    description:
      - The record is read on the controller, since the host's Python may be half unpacked.
    positional: path
    options:
      _input:
        description: The lines that status.sh has printed.
        type: list
        elements: str
        required: true
      path:
        description: The path of the record on the host.
        type: str
        required: true
      keys:
        description: What a record must have.
        type: list
        elements: str
        default: []
"""

RETURN = """
    _value:
      description:
        - C(state), C(active), C(stopped) or C(none).
        - C(hop), the record, or an empty dict.
        - C(damaged), a sentence where the record cannot be read, or an empty string.
      type: dict
"""

# Ansible loads a filter by its path, and packs module_utils for the host alone.
_spec = importlib.util.spec_from_file_location(
    "uring_lab_ledger", Path(__file__).resolve().parents[2] / "common/module_utils/ledger.py"
)
_ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_ledger)


def upgrade_status(lines, path, keys=()):
    """Return where an upgrade stands (RETURN above)."""
    state, hop, damaged = lines[0].strip(), {}, ""
    if state != "none":
        try:
            hop = _ledger.parse(lines[1], path, keys)
        except _ledger.LedgerError as error:
            damaged = str(error)
    return {"state": state, "hop": hop, "damaged": damaged}


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {"upgrade_status": upgrade_status}
