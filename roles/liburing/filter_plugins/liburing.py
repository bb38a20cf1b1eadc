"""Whether a version of liburing builds on a release, and the results of its test suite."""

import re

DOCUMENTATION = """
    name: liburing_build
    short_description: known build problems of a liburing version on this host, and their workarounds
    positional: version, packages, releases
    options:
      _input:
        description: The rows of vars/builds.yml.
        type: list
        elements: dict
        required: true
      version:
        description: The version that the tree's liburing.spec states.
        type: str
        required: true
      packages:
        description: The package versions in the host's archive, by name.
        type: dict
        required: true
      releases:
        description: The releases of upstream, oldest first.
        type: list
        elements: str
        required: true
"""

RETURN = """
    _value:
      description:
        - C(edits), the rows with an edit that apply to this version and host.
        - C(problem), why it cannot be built and which release can be, or an empty string.
      type: dict
"""


def liburing_build(rows, version, packages, releases):
    """Return the workarounds for a version on a host, or why it cannot be built (RETURN above)."""
    here = [row for row in rows if _is_within(version, row) and _applies(row.get("where"), packages)]
    refusals = [row["why"] for row in here if row.get("refuse")]
    problem = ""
    if refusals:
        problem = f"liburing {version} cannot be built: {', and '.join(refusals)}"
        nearest = _nearest(rows, version, packages, releases)
        if nearest:
            problem += f"; the nearest version that can is {nearest}: LIBURING=liburing-{nearest}"
    return {"edits": [row for row in here if "edit" in row], "problem": problem}


def liburing_tests(log):
    """Parse the output of upstream's runtests.sh.

    Returns a dictionary: passed, a number; failed, skipped and timed_out, lists of names; unfinished, the
    test that was running when the run was cut off, or an empty string.
    """
    found = {"passed": 0, "failed": [], "skipped": [], "timed_out": [], "unfinished": ""}
    parts = re.split(r"^Running test +(\S+?):?(?=\s)", log, flags=re.MULTILINE)[1:]
    runs = list(zip(parts[::2], parts[1::2]))
    is_whole = bool(re.search(r"^(All tests passed|Tests .*failed)", log, re.MULTILINE))
    for place, (name, said) in enumerate(runs):
        if re.search(r"^ *(Test skipped|Skipped)$", said, re.MULTILINE):
            found["skipped"].append(name)
        elif re.search(r"\bTest \S+ timed out \(", said):
            found["timed_out"].append(name)
        elif re.search(r"\bTest \S+ (failed |expected fail )", said):
            found["failed"].append(name)
        elif place == len(runs) - 1 and not is_whole:
            found["unfinished"] = name
        else:
            found["passed"] += 1
    return found


def _nearest(rows, version, packages, releases):
    # Distance is counted in releases, not in numbers: 2.0 follows 0.7.
    place = sum(_numbers(release) < _numbers(version) for release in releases)
    can = [
        (abs(other - place), release)
        for other, release in enumerate(releases)
        if not liburing_build(rows, release, packages, ())["problem"]
    ]
    return min(can)[1] if can else ""


def _applies(where, packages):
    if where is None:
        return True
    # A row does not apply where the archive lacks the package.
    return where["package"] in packages and _is_within(packages[where["package"]], where)


def _is_within(version, bounds):
    given = _numbers(version)
    # "until: 2.0" includes 2.0 but not 2.0.1; "below: 13" includes 12.99.
    return (
        ("from" not in bounds or given >= _numbers(bounds["from"]))
        and ("until" not in bounds or given <= _numbers(bounds["until"]))
        and ("below" not in bounds or given < _numbers(bounds["below"]))
    )


def _numbers(version):
    """Return the upstream numbers of a version, without a Debian epoch: (12, 2, 0) for 4:12.2.0-3."""
    leading = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return tuple(int(number) for number in leading[1].split(".")) if leading else ()


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"liburing_build": liburing_build, "liburing_tests": liburing_tests}
