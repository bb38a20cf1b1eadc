"""What is said of an upgrade: before a hop, after it, and at the end of the step."""

DOCUMENTATION = """
    name: release_report
    short_description: what the step has done, or would do, in a line
    options:
      _input:
        description: The hops, as release_path returned them, with C(hops) and C(note).
        type: dict
        required: true
      present:
        description: The host's release by name and version.
        type: str
        required: true
      check:
        description: Whether nothing was changed.
        type: bool
        required: true
      updated:
        description: Whether there were updates.
        type: bool
        required: true
      rebooted:
        description: Whether the host was rebooted.
        type: bool
        required: true
      notes:
        description: What the hops have left to say.
        type: list
        elements: str
        required: true
"""

RETURN = """
    _value:
      description: The line.
      type: str
"""

import os
import re


def release_report(path, present, check, updated, rebooted, notes):
    """Return what the step has done, or would do, in a line."""
    if check and path["hops"]:
        did = "would upgrade to " + " and ".join(hop["version"] for hop in path["hops"])
    elif updated:
        did = "would install updates" if check else "updates installed"
    else:
        did = "all updates in"
    said = f"{present}, {did}" + (", rebooted" if rebooted and not check else "")
    return "; ".join([said, *([path["note"]] if path["note"] else []), *notes])


def announcement(hops, index, distribution, check):
    """Return which hop is about to be made and which follow; the index of the first one is 0."""
    hop, later = hops[index], [later["codename"] for later in hops[index + 1 :]]
    verb = "would upgrade" if check else "upgrading"
    then = ", then " + " and ".join(later) if later else ""
    return f"{verb} {distribution} to {hop['version']} ({hop['codename']}){then}"


def resume_announcement(hop):
    """Return what a run without check mode would do with a hop, a dictionary that may be empty."""
    if not hop:  # Jinja works out both sides of a condition
        return ""
    return f"would go on with the upgrade from {hop['from']} to {hop['to']} that an earlier run began"


def hop_notes(hop, conffiles, left):
    """Return what is to be told of a hop that was made.

    Args:
        hop: a dictionary with `from` and `to`.
        conffiles: the paths of the configuration files that were laid beside those kept.
        left: the sources that stay switched off, each with `uri`, `suites` and `file`.

    """
    notes = [f"upgraded from {hop['from']} to {hop['to']}"]
    if conffiles:
        kept = (re.sub(r"\.(dpkg|ucf)-dist$", "", path) for path in conffiles)
        notes.append("kept as they were, the new one beside each: " + ", ".join(kept))
    if left:
        named = (
            f"{source['uri']} {' '.join(source['suites'])} ({os.path.basename(source['file'])})"
            for source in left
        )
        notes.append("left switched off, since they name a release: " + ", ".join(named))
    return notes


def rollback_report(found, backup):
    """Return what a rollback says of upgrades.

    Args:
        found: a dictionary with `manifest`, the record, and `damaged`, a sentence for each damaged file.
        backup: the path where the sources and settings of the host are kept during a hop.

    """
    if found["damaged"]:
        kept = f"What was kept of the host's sources and settings is in {backup}, if a hop was begun."
        return f"left: {'; '.join(found['damaged'])}. {kept}"
    if found["manifest"]:
        hop = found["manifest"]
        return f"left: an upgrade from {hop['from']} to {hop['to']}; `make provision` goes on with it"
    return "an upgrade is not taken back"


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "release_report": release_report,
            "announcement": announcement,
            "resume_announcement": resume_announcement,
            "hop_notes": hop_notes,
            "rollback_report": rollback_report,
        }
