"""What preflight makes of what a host says of itself: what can be asked of it, and what speaks against it."""

import re

from ansible import constants

DOCUMENTATION = """
    name: host_problems
    short_description: every reason why a later step would fail on a host
    description:
      - All are looked for, so that one run tells all of them.
    positional: able, rules, asked, path, found
    options:
      _input:
        description: The host's answers, as host_answers returns them.
        type: dict
        required: true
      able:
        description: What host_abilities makes of them.
        type: dict
        required: true
      rules:
        description:
          - C(oldest) and C(oldest_upgraded), a release for each distribution, and C(architectures).
          - C(words), what is said for each reason; a name in braces is replaced by what it stands for.
        type: dict
        required: true
      asked:
        description: C(free_mib), C(kernel_source) and C(kernel_version), the role variables.
        type: dict
        required: true
      path:
        description: The way to the release asked for, as release_path returns it.
        type: dict
        required: true
      found:
        description: The reasons that the steps have found themselves.
        type: list
        elements: str
        required: true
"""

RETURN = """
    _value:
      description:
        - A text for each reason, with its remedy.
      type: list
      elements: str
"""


def oldest_python():
    """Return the oldest Python that the modules of this ansible run on, such as 3.8.

    It is the oldest of those that it would look for on a host.
    """
    known = constants.config.get_configuration_definition("INTERPRETER_PYTHON_FALLBACK")["default"]
    found = [re.fullmatch(r"python(3\.\d+)", name) for name in known]
    return min((match[1] for match in found if match), key=numbers)


def numbers(version):
    """Return the numbers of a version, to compare it by."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def host_answers(output):
    """Return what probe.sh has printed, a dict of texts; a line that a login shell adds is no answer."""
    return dict(line.strip().split("=", 1) for line in output.splitlines() if "=" in line)


def host_abilities(host, rules, has_password):
    """Return what can be asked of a host.

    Args:
        host: its answers.
        rules: as for host_problems.
        has_password: whether Ansible was given a password for sudo.

    Returns:
        A dict of booleans: ``is_apt``, whether it is of a distribution that the steps are made for;
        ``has_root``, whether its user can become root; ``runs_modules``, whether its Python can run Ansible's
        modules; ``resumes``, whether it is half-way through an upgrade to another release, whose last part
        brings back much that is missing now.

    """
    return {
        "is_apt": host["id"] in rules["oldest"],
        "has_root": host["sudo"] in ("root", "yes") or has_password,
        "runs_modules": numbers(host["python"]) >= numbers(oldest_python()),
        "resumes": host["upgrade"] == "begun",
    }


def host_problems(host, able, rules, asked, path, found):
    """Return every reason why a later step would fail, as texts (RETURN above)."""
    is_apt, version = able["is_apt"], numbers(host["version"])
    words, free_mib = rules["words"], int(asked["free_mib"])
    oldest = rules["oldest"].get(host["id"], "")
    upgradable = rules["oldest_upgraded"].get(host["id"], "")
    start = numbers(upgradable if path["hops"] else oldest)
    needs_python = not able["resumes"]
    is_container = host["container"] not in ("", "none")
    keeps_kernel = is_container or (asked["kernel_source"] == "keep" and not path["hops"])
    reasons = {
        "system": not is_apt,
        # Debian's testing and unstable have no number.
        "release": is_apt and version and version < start,
        "path": path["problem"],
        "architecture": is_apt and host["architecture"] not in rules["architectures"],
        "no_sudo": not able["has_root"] and host["sudo"] == "missing",
        "sudo_password": not able["has_root"] and host["sudo"] != "missing",
        "no_python": needs_python and not host["python"],
        "old_python": needs_python and host["python"] and not able["runs_modules"],
        "init": host["init"] != "systemd",
        "root_full": int(host["free_root"] or 0) < free_mib,
        "var_full": int(host["free_var"] or 0) < free_mib,
        # Empty before Linux 6.6, which has no such sysctl.
        "io_uring_disabled": host["io_uring_disabled"] not in ("", "0"),
        "io_uring_built": keeps_kernel and host["io_uring_built"] == "no",
        "no_version": asked["kernel_source"] == "mainline" and not asked["kernel_version"],
    }
    known = {
        **host,
        "name": host["name"] or words["unknown_system"],
        "architecture": host["architecture"] or host["machine"],
        "distribution": host["id"].capitalize(),
        "oldest": oldest,
        "remedy": words["upgradable" if version >= numbers(upgradable) else "not_upgradable"],
        "problem": path["problem"],
        "architectures": " and ".join(rules["architectures"]),
        "free_mib": free_mib,
        "oldest_python": oldest_python(),
        "except": words["except_group"] if host["io_uring_disabled"] == "1" else "",
        "disabled_by": words["disabled_by"] if host["io_uring_disabled_by"] else "",
        "kernel_host": words["container_host" if is_container else "host"],
        "other_kernel": words["other_kernel_host" if is_container else "other_kernel"],
    }
    for name in ("become_root", "disabled_by", "other_kernel"):
        known[name] = known.get(name, words[name]).format_map(known)
    return [words[key].format_map(known) for key, holds in reasons.items() if holds] + [*filter(None, found)]


def ledger_problems(message):
    """Return the reasons in a message of the ledger module, a text for each."""
    reasons = message.removesuffix(" Nothing was changed.").split("; ")
    return [reason.rstrip(".") + "." for reason in reasons if reason]


def host_report(host, able):
    """Return what a sound host is, on one line."""
    machine = host["virtualization"] if host["virtualization"] not in ("", "none") else "bare metal"
    parts = [host["name"], host["architecture"], machine, f"kernel {host['kernel']}"]
    parts += ["an upgrade to another release under way on it"] if able["resumes"] else []
    return ", ".join([*parts, f"{int(host['free_root'] or 0) / 1024:.1f} GiB free"])


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "host_answers": host_answers,
            "host_abilities": host_abilities,
            "host_problems": host_problems,
            "host_report": host_report,
            "ledger_problems": ledger_problems,
        }
