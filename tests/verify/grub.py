"""Parse the two files that decide what GRUB boots: grub.cfg and the environment block."""

import re

#: A menu entry or submenu with its id, as grub-mkconfig writes them.
_HEAD = re.compile(
    r"""^\s*(menuentry|submenu)\s+'[^']*'.*?(?:\$menuentry_id_option|--id)\s+'([^']+)'.*\{\s*$"""
)
_KERNEL = re.compile(r"^\s*linux\S*\s+\S*/vmlinuz-(\S+)")


def entries(configuration: str) -> dict[str, str]:
    """List the Linux entries of a grub.cfg.

    Args:
        configuration: its text.

    Returns:
        The kernel release by the entry's path of ids, `submenu>entry` as in GRUB's saved_entry.

    """
    found: dict[str, str] = {}
    path: list[tuple[str, int]] = []  # ids of the open blocks, and the brace depth where each began
    depth = 0
    for line in configuration.splitlines():
        head = _HEAD.match(line)
        if head:
            path.append((head[2], depth))
        kernel = _KERNEL.match(line)
        if kernel and path:
            found.setdefault(">".join(identifier for identifier, _ in path), kernel[1])
        depth += len(re.findall(r"\{(?=\s*$)", line)) - (line.strip() == "}")
        while path and depth <= path[-1][1]:
            path.pop()
    return found


def environment(listing: str) -> dict[str, str]:
    """Parse the output of `grub-editenv list`: lines of name=value."""
    return dict(line.split("=", 1) for line in listing.splitlines() if "=" in line)
