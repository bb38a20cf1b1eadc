"""What is known before a hop: what it would do, and why it must not begin."""

DOCUMENTATION = """
    name: release_preconditions
    short_description: what would stop an upgrade by apt half-way, and what is to be said before it
    options:
      _input:
        description:
          - What the module release_forecast returned; without C(upgraded) where it was not run.
        type: dict
        required: true
      to:
        description: The codename of the new release.
        type: str
        required: true
      fetched:
        description: The result of C(apt-get update) with the new sources, C(rc) and C(stderr).
        type: dict
        required: true
      space:
        description: The lines of C(df --output=target,avail --block-size=1M) of /usr, apt's cache and /boot.
        type: list
        elements: str
        required: true
      held:
        description: The names of the packages that are held.
        type: list
        elements: str
        required: true
      dropped:
        description: The suites that the new release does not have, which are left out.
        type: list
        elements: str
        required: true
      third_party:
        description: The sources that were switched off, each with C(uri), C(suites) and C(file).
        type: list
        elements: dict
        required: true
"""

RETURN = """
    _value:
      description:
        - C(failed), a sentence for each reason why the hop must not begin.
        - C(forecast), what is to be said before it.
      type: dict
"""

import os
import re

#: By them the host is reached, becomes root, boots, and is worked on.
NEVER_REMOVED = ("apt", "init", "openssh-server", "python3", "python3-apt", "sudo", "systemd", "systemd-sysv")

#: What an initramfs beside a new kernel takes where /boot is a file system of its own, in MiB.
BOOT_MIB = 200


def divide_missing(suites, to):
    """Return which of the suites that were not found to leave out, and which to take from the archive.

    A release itself and its security updates are never left out; backports and the like are.

    Args:
        suites: the suites, as the filter missing_suites returns them.
        to: the codename of the new release.

    """
    required = (to, to + "-security")
    return {
        "dropped": [suite for suite in suites if suite not in required],
        "archived": [suite for suite in suites if suite in required],
    }


def release_preconditions(forecast, to, fetched, space, held, dropped, third_party):
    """Return what would stop an upgrade by apt half-way, and what is to be said before it (RETURN above)."""
    plan = forecast if "upgraded" in forecast else {}
    failed = [
        reason
        for reason in (
            _not_fetched(to, fetched),
            _no_solution(to, plan, held),
            _removed(to, plan),
            _kept_back(plan),
            _too_full(plan, space),
        )
        if reason
    ]
    said = []
    if fetched["rc"] != 0:
        said.append("What it would do cannot be foreseen: " + failed[0])
    else:
        removed = ": " + ", ".join(plan["removed"]) if plan["removed"] else ""
        said.append(
            f"{len(plan['upgraded'])} packages to upgrade, {len(plan['installed'])} new, "
            f"{len(plan['removed'])} to remove{removed}; "
            f"{plan['download_mib']} MiB to fetch, {plan['space_mib']} MiB more on disk."
        )
        if plan["kept_back"]:
            said.append(f"Kept back, mostly by held ones: {', '.join(plan['kept_back'])}.")
        if failed:
            said.append("As the host is now, it would be refused: " + " ".join(failed))
    if dropped:
        verb = "is" if len(dropped) == 1 else "are"
        said.append(f"{to} has no {', '.join(dropped)}, which {verb} left out.")
    said.append(left_alone(third_party, held))
    return {"failed": failed, "forecast": " ".join(text for text in said if text)}


def upgrader_preconditions(third_party, held):
    """Return the same of an upgrade by Ubuntu's upgrader, which checks them by itself."""
    said = [left_alone(third_party, held), "Ubuntu's upgrader works out the rest by itself."]
    return {"failed": [], "forecast": " ".join(text for text in said if text)}


def left_alone(third_party, held):
    """Return which sources were switched off for a hop and which packages are held, as a text."""
    said = []
    if third_party:
        named = (
            f"{source['uri']} {' '.join(source['suites'])} ({os.path.basename(source['file'])})"
            for source in third_party
        )
        said.append(f"Set aside for it: {', '.join(named)}.")
    if held:
        said.append(f"Held, and left as they are: {', '.join(held)}.")
    return " ".join(said)


def _not_fetched(to, fetched):
    if fetched["rc"] == 0:
        return ""
    errors = dict.fromkeys(re.findall("(?m)^E: (.*)$", fetched["stderr"]))
    return (
        f"The lists of {to} cannot be had and verified: {' '.join(errors)} "
        f"Is the archive in its sources reachable, and does it have {to}?"
    )


def _no_solution(to, plan, held):
    if not plan.get("problem"):
        return ""
    holds = (
        f" Held packages may be in its way: {', '.join(held)}; `apt-mark unhold` frees them." if held else ""
    )
    return f"apt finds no way to {to}: {plan['problem']}{holds}"


def _removed(to, plan):
    lost = [name for name in plan.get("removed", []) if name in NEVER_REMOVED]
    if not lost:
        return ""
    return (
        f"apt would remove {', '.join(lost)}, without which the host is not reached or does not start. "
        f"`apt-get --simulate dist-upgrade` with the sources of {to} tells why."
    )


def _kept_back(plan):
    if not plan.get("kept_back_required"):
        return ""
    return (
        f"The held packages ({', '.join(plan['held'])}) would keep back {len(plan['kept_back'])} others, "
        f"{', '.join(plan['kept_back_required'])} among them: the host would be half of one release and half "
        "of the other. `apt-mark unhold` frees them."
    )


def _too_full(plan, space):
    if not plan:
        return ""
    rows = [line.split() for line in space[1:]]
    free = {mount: int(available) for mount, available in rows}
    usr, cache, boot = (mount for mount, _available in rows)
    needs = {usr: plan["space_mib"]}
    needs[cache] = needs.get(cache, 0) + plan["download_mib"]  # two of them may be the same file system
    # A tenth more, for what dpkg has twice while it unpacks.
    full = [mount for mount, need in needs.items() if need * 11 > free[mount] * 10]
    if free[boot] < BOOT_MIB and any(name.startswith("linux-image-") for name in plan["installed"]):
        full.append(boot)
    if not full:
        return ""
    found = ", ".join(f"{mount}: {available} MiB" for mount, available in free.items())
    return (
        f"It needs {plan['download_mib']} MiB for the packages it fetches and {plan['space_mib']} MiB to "
        f"install them, and {' '.join(full)} has too little free: {found}. "
        "`apt-get clean` and `journalctl --vacuum-size=100M` free some."
    )


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "release_preconditions": release_preconditions,
            "divide_missing": divide_missing,
            "upgrader_preconditions": upgrader_preconditions,
        }
