"""Read what a serial console has said during one boot."""

import re

#: What the first message of a Linux kernel begins with.
KERNEL = re.compile(r"Linux version \d")
#: What comes before the next kernel: EDK II's firmware and GRUB announce what they start.
LOADER = re.compile(r"^(BdsDxe|UEFI|SeaBIOS|Welcome to GRUB|GNU GRUB|Booting `)", re.M)

#: What a kernel says when it dies; a trace of its calls follows, longer than anybody wants to read.
DEATH = re.compile(r"Kernel panic|Oops|BUG:")
#: How many of the lines before that are shown with it.
_BEFORE = 2

#: Colours and cursor movements (ECMA-48), and the other control characters but line feed and tab.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0b-\x1f\x7f]")


def first_boot(text, count):
    """Return the end of the first kernel that a console's log speaks of: its death, or its last lines.

    Args:
        text: the log, from shortly before a reboot on; it may begin with the end of the kernel before,
            and go on with the firmware and another kernel.
        count: how many lines at most.

    Returns:
        A list of lines without control characters; an empty one when no kernel has said anything.

    """
    plain = _CONTROL.sub("", text)
    begin = KERNEL.search(plain)
    if not begin:
        return []
    rest = plain[begin.start() :]
    end = min((m.start() for m in (LOADER.search(rest), KERNEL.search(rest, 1)) if m), default=len(rest))
    # The line in which the next kernel announces itself belongs to that.
    if end < len(rest):
        end = rest.rfind("\n", 0, end + 1) + 1
    lines = [line.rstrip() for line in rest[:end].splitlines() if line.strip()]
    deaths = [number - _BEFORE for number, line in enumerate(lines) if DEATH.search(line)]
    first = max(0, min([*deaths, len(lines) - count]))
    return lines[first : first + count]
