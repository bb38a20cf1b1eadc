"""What `make kernels` says of a host's kernels and of those that the mainline archive offers."""


def kernel_listing(state):
    """Return a line for each kernel of a host, in GRUB's order, newest first.

    Args:
        state: what the module kernel_state returned. The kernel that runs need not have an entry.

    """
    if state["container"]:
        return [f"a container ({state['container']}), which runs its host's kernel: {state['running']}"]
    releases = dict.fromkeys([*state["entries"], state["running"]])
    return [f"{release:<36} {', '.join(_marks(state, release))}" for release in releases]


def kernel_offers(offered):
    """Return the lines of what the archive offers.

    Args:
        offered: what the module kernel_mainline returned, its ``url`` and ``listing``.

    """
    rows = offered["listing"]
    released = [f"  {row['series']:<7} {row['released']}" for row in rows if row["released"]]
    candidates = [f"  {row['series']:<7} {row['candidates']}" for row in rows if row["candidates"]]
    return [
        f"{offered['url']} lists, the newest series first:",
        *released,
        *(["And release candidates:", *candidates] if candidates else []),
        "Some of them failed to build, or have no kernel for every architecture; what KERNEL names is "
        "looked at.",
    ]


def _marks(state, release):
    if release == state["running"]:
        yield "runs"
    if release == state["default"]:
        yield "the default"
    if state["next_entry"] and state["entries"].get(release) == state["next_entry"]:
        yield "the next boot only"
    if release not in state["entries"]:
        yield "without an entry in grub.cfg"
    if state["manifest"].get("release") == release:
        yield "ours" if state["manifest"]["promoted"] else "ours, not proved"


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {"kernel_listing": kernel_listing, "kernel_offers": kernel_offers}
