"""Read what GRUB has been told: the entries of grub.cfg and the variables of grubenv."""

import re

_OPEN = re.compile(r"^\s*(menuentry|submenu)\s.*\$menuentry_id_option\s+'([^']+)'.*\{\s*$")
_ANONYMOUS = re.compile(r"^\s*(menuentry|submenu)\s.*\{\s*$")
_DEFAULT = re.compile(r"""^\s*set default=(["']?)([^"'\n]*)\1\s*$""", re.MULTILINE)
_SECTION = re.compile(r"^### BEGIN (\S+) ###$")
_OVERRIDE = re.compile(r"^\s*(?:set\s+)?(?:default|saved_entry|next_entry)=")
_LINUX = re.compile(r"^\s*linux(?:efi|16)?\s+\S*/vmlinu[xz]-(\S+)(.*)$")


def entries(text):
    """Return the boot entry of each kernel release that a grub.cfg offers.

    Args:
        text: the content of grub.cfg, as grub-mkconfig of Debian and Ubuntu writes it.

    Returns:
        A dict from release (``6.1.0-49-amd64``) to the entry's full id, ``SUBMENU>ENTRY`` inside a submenu:
        the form that grub-reboot and grub-set-default take. The id inside the submenu is preferred to that of
        the top entry (``gnulinux-simple-UUID``), which is another kernel after the next update-grub.
        Recovery entries are left out.

    Source: the format of /etc/grub.d/10_linux, whose ids are ``gnulinux-RELEASE-advanced-UUID``.

    """
    found = {}
    path = []  # one (kind, id) for each open brace; kind is None for braces that are no entry
    for line in text.splitlines():
        opened = _OPEN.match(line) or _ANONYMOUS.match(line)
        if opened:
            path.append((opened.group(1), opened.group(2) if opened.lastindex == 2 else None))
        elif line.rstrip().endswith("{") and not line.lstrip().startswith("#"):
            path.append((None, None))
        elif line.strip() == "}" and path:
            path.pop()
        kernel = _LINUX.match(line)
        ids = [ident for kind, ident in path if kind]
        if not kernel or not ids or None in ids or "-recovery-" in ids[-1]:
            continue
        release = kernel.group(1)
        if release not in found or "-simple-" in found[release]:
            found[release] = ">".join(ids)
    return found


def default(text, saved):
    """Return the release that boots where nobody chooses, or an empty string where that cannot be told.

    Args:
        text: the content of grub.cfg.
        saved: the saved entry of grubenv, or an empty string.

    Source: /etc/grub.d/00_header, which sets the default to what GRUB_DEFAULT says, or to the saved entry;
    where there is none, GRUB takes the first.

    """
    chosen = [value for _quote, value in _DEFAULT.findall(text) if value != "${next_entry}"]
    wanted = chosen[-1].replace("${saved_entry}", saved) if chosen else ""
    first = next((match.group(1) for match in map(_LINUX.match, text.splitlines()) if match), "")
    if wanted in ("", "0") or wanted.startswith("gnulinux-simple-"):
        return first
    return next((release for release, entry in entries(text).items() if entry == wanted), "")


def overrides(text, custom=""):
    """Return the files that choose what boots, over what GRUB_DEFAULT says.

    Args:
        text: the content of grub.cfg.
        custom: the content of /boot/grub/custom.cfg, which 41_custom has GRUB read.

    Returns:
        A sorted list of paths: parts of /etc/grub.d other than 00_header, and custom.cfg.

    Source: grub-mkconfig, which writes ``### BEGIN FILE ###`` before what a part of /etc/grub.d has printed.

    """
    found = set()
    section = ""
    for line in text.splitlines():
        begins = _SECTION.match(line)
        section = begins.group(1) if begins else section
        if _OVERRIDE.match(line) and section and not section.endswith("/00_header"):
            found.add(section)
    if any(map(_OVERRIDE.match, custom.splitlines())):
        found.add("/boot/grub/custom.cfg")
    return sorted(found)


def free_bytes(block):
    """Return how many bytes an environment block has left, or its usual size where there is none.

    Source: grub-editenv(1); the block is 1,024 bytes, and what is not used is filled with ``#``.
    """
    return len(block) - len(block.rstrip(b"#")) if block else 1024


def environment(text):
    """Return the variables of a grubenv block.

    Args:
        text: the output of ``grub-editenv FILE list``: a NAME=VALUE line each.

    Returns:
        A dict of the variables; ``saved_entry`` and ``next_entry`` are those that choose what boots.

    """
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
