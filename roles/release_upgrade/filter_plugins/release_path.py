"""Where an upgrade leads through: the hops from a host's release to the one asked for."""

DOCUMENTATION = """
    name: release_path
    short_description: the hops of an upgrade to another release
    description:
      - An upgrade goes from one release to the next one; Ubuntu's also goes from an LTS to the next LTS.
      - Ubuntu's upgrader offers no release whose updates have ended: no way passes through one.
        Debian's releases stay in its archive, and can be passed through for ever.
    positional: present, target, today
    options:
      _input:
        description: The distribution's releases, oldest first, as in vars/releases.yml.
        type: list
        elements: dict
        required: true
      present:
        description: The codename of the host's release, as in /etc/os-release.
        type: str
        required: true
      target:
        description: C(keep), C(lts), a codename or a version number.
        type: str
        required: true
      today:
        description: The day to judge by, as YYYY-MM-DD.
        type: str
        required: true
"""

RETURN = """
    _value:
      description:
        - C(hops), the releases to go to in their order, empty where there is nothing to do.
        - C(note), why there is nothing to do although a release was asked for, or an empty string.
        - C(problem), why there is no way, or an empty string.
      type: dict
"""


def release_path(releases, present, target, today):
    """Return the hops from a release to another one: a dictionary with hops, note and problem (RETURN above).

    The rules are those of do-release-upgrade, and of the upgrading chapter of Debian's release notes, which
    supports no upgrade that leaves a release out.
    """
    if target == "keep":
        return _answer()
    index = {release["codename"]: place for place, release in enumerate(releases)}
    wanted = _find(releases, target)
    if wanted is None:
        return _answer(problem=f"there is no release {target} to upgrade to; {_known(releases)}")
    if present not in index:
        # What the table does not have is older, and preflight refuses it, or newer than all of it.
        return _answer(note=f"{present} is no release that {_name(wanted)} comes after")
    if index[present] >= index[wanted["codename"]]:
        here = releases[index[present]]
        return _answer(
            note=""
            if here is wanted
            else f"{_name(here)} is newer than {_name(wanted)}, and there is no way back"
        )
    return _walk(releases, index[present], index[wanted["codename"]], today)


def target_of(target, distribution):
    """Return the target that a distribution's hosts are asked for; `ubuntu:focal` is for Ubuntu's."""
    only, _colon, name = target.rpartition(":")
    return name if only in ("", distribution) else "keep"


def upgrader_prompt(releases, present, following):
    """Return the Prompt by which Ubuntu's upgrader offers a release.

    `lts` leads from an LTS to the next one, and `normal` from any release to the next that is supported.

    Args:
        releases: Ubuntu's releases, as in vars/releases.yml.
        present: the codename of the host's release.
        following: the codename of the release of the hop.

    """
    lts = {release["codename"] for release in releases if release.get("lts")}
    return "lts" if {present, following} <= lts else "normal"


def _walk(releases, place, end, today):
    here, hops = releases[place], []
    has_upgrader = any("lts" in release for release in releases)
    while place < end:
        step = _next_lts(releases, place) if releases[place].get("lts") else None
        place = step if step is not None and step <= end else place + 1
        hop = releases[place]
        if has_upgrader and hop["until"] < today:
            return _answer(
                problem=f"the way from {_name(here)} to {_name(releases[end])} leads through {_name(hop)}, "
                f"whose updates ended on {hop['until']}; Ubuntu's upgrader offers no release after its end. "
                "Another target may have another way; else the host has to be installed anew"
            )
        hops.append(hop)
    return _answer(hops=hops)


def _next_lts(releases, place):
    return next((later for later in range(place + 1, len(releases)) if releases[later].get("lts")), None)


def _find(releases, target):
    if target == "lts":
        # Debian supports each of its releases for long.
        return [release for release in releases if release.get("lts", "lts" not in releases[0])][-1]
    return next(
        (release for release in releases if target in (release["codename"], release["version"])), None
    )


def _name(release):
    return f"{release['version']} ({release['codename']})"


def _known(releases):
    return "known are lts, " + ", ".join(_name(release) for release in releases)


def _answer(hops=(), note="", problem=""):
    return {"hops": list(hops), "note": note, "problem": problem}


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "release_path": release_path,
            "target_of": target_of,
            "upgrader_prompt": upgrader_prompt,
        }
