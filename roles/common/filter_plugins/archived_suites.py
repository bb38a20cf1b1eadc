"""The suites that a mirror does not have any more, as apt names them."""

import re

DOCUMENTATION = """
    name: missing_suites
    short_description: the suites that apt has not found
    options:
      _input:
        description: What C(apt-get update) has printed as errors, in English.
        type: str
        required: true
"""

RETURN = """
    _value:
      description: The names of the suites, each once, in apt's order.
      type: list
      elements: str
"""

#: apt-pkg/acquire-item.cc. The second form is of a suite that the host has known before.
_MISSING = re.compile(r"The repository '\S+ (\S+) Release' (?:does not have|no longer has)")

_ERROR = re.compile("(?m)^[EW]: (.*)$")

#: A host that leaves its release needs no suite with one of these words.
OPTIONAL = ("-backports", "-proposed")

#: How many of apt's messages are repeated.
MESSAGES = 3


def missing_suites(text):
    """Return the suites that apt has not found (RETURN above)."""
    return list(dict.fromkeys(_MISSING.findall(text)))


def optional_suites(suites):
    """Return those of the suites that a host which leaves its release can do without."""
    return [suite for suite in suites if any(word in suite for word in OPTIONAL)]


def lists_failure(stderr, host, missing, archive_host):
    """Return why a host cannot get the lists of packages, for a person.

    Args:
        stderr: the error output of ``apt-get update``.
        host: the host's name.
        missing: the suites that its mirror does not have.
        archive_host: the host that was asked for them instead.

    """
    said = [f"The lists of packages of {host} cannot be had."]
    if missing:
        said.append(
            f"Not on their mirror any more: {', '.join(missing)}; and {archive_host}, where such suites are "
            "kept, does not have them or does not answer."
        )
    said += _ERROR.findall(stderr)[:MESSAGES]
    said.append("`apt-get update` on the host shows which source it is; correct it, or the network.")
    return " ".join(said)


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "missing_suites": missing_suites,
            "optional_suites": optional_suites,
            "lists_failure": lists_failure,
        }
