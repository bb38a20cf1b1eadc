"""What a hop has come to: whether it was made, why not, and what is tried next."""

DOCUMENTATION = """
    name: failure_reason
    short_description: why a hop was not made
    options:
      _input:
        description: What the hop has printed.
        type: str
        required: true
      reasons:
        description: The known reasons, causes before what follows from them, as in the role's vars.
        type: list
        elements: dict
        required: true
"""

RETURN = """
    _value:
      description: The first reason whose C(pattern) is found in the text.
      type: dict
"""

import re


def failure_reason(text, reasons):
    """Return the first of the reasons whose pattern is found in a text, which the last one always is."""
    return next(reason for reason in reasons if re.search(reason["pattern"], text))


def next_remedy(reason, status, tried):
    """Return the remedy to try, each one once and none after a time-out; an empty string for none."""
    return "" if status["result"] == "timeout" or reason["remedy"] in tried else reason["remedy"]


def host_status(lines, hop):
    """Return what is true of a host, out of the NAME=VALUE lines that the role's script prints.

    Args:
        lines: the lines; the connection may add carriage returns.
        hop: a dictionary with `to`, and `packages` where an earlier state of them is known.

    Returns:
        the values by name; besides `succeeded`, `untouched` (no package was) and `where` (a sentence).

    """
    status = dict(line.strip().split("=", 1) for line in lines if "=" in line)
    status["succeeded"] = status["codename"] == hop["to"] and not (status["audit"] or status["pending"])
    status["untouched"] = status["packages"] == hop.get("packages")
    audit = ", dpkg --audit: " + status["audit"] if status["audit"] else ""
    pending = ", left to do: " + status["pending"] if status["pending"] else ""
    status["where"] = f"it runs {status['codename']}{audit}{pending}."
    return status


def failure_message(hop, status, reason, text, host, timeout, log):
    """Return why a hop was not made, for a person.

    Args:
        hop: a dictionary with `from` and `to`.
        status: what host_status returned.
        reason: what failure_reason returned.
        text: what the hop has printed.
        host: the host's name.
        timeout: how long it was given, in seconds.
        log: the path of its log.

    """
    within = f" within {timeout} s (release_upgrade_timeout)" if status["result"] == "timeout" else ""
    if status["untouched"]:
        now = "No package was touched; its sources are as they were."
    else:
        now = f"It is on the way: {status['where']} The next run goes on from there."
    end = [line.strip() for line in text.splitlines() if line.strip()][-8:]
    return "\n".join(
        [
            f"{host} was not upgraded from {hop['from']} to {hop['to']}{within}.",
            reason["says"],
            now,
            f"Its log, {log}, ends in:",
            *end,
        ]
    )


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "failure_reason": failure_reason,
            "next_remedy": next_remedy,
            "host_status": host_status,
            "failure_message": failure_message,
        }
