"""An ssh_config for the hosts of an inventory, so that ssh and the checks connect exactly as Ansible does.

`ssh -F FILE` leaves the user's own ~/.ssh/config out, so the file has to carry what that one says. ssh itself
tells: `ssh -G` prints the settings that hold for a host, and those that differ from what it prints with no
configuration at all are the ones to write down.
"""

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cli.errors import InfrastructureError, UsageError

# `host` would begin another block, and a shared connection is for each of our tools to make and to end.
_LEFT_OUT = ("host", "controlmaster", "controlpath", "controlpersist")
# What is said even where it is the default.
_ALWAYS = ("hostname", "user", "port")


def inventory_hosts(inventory: Path, ansible_inventory: str) -> dict[str, dict[str, object]]:
    """Return the variables of each host of an inventory, by name.

    Raises UsageError when Ansible cannot read the inventory, or it names no host.
    """
    listing = subprocess.run(
        [ansible_inventory, "-i", str(inventory), "--list"], capture_output=True, text=True, check=False
    )
    if listing.returncode:
        reason = (listing.stderr.strip().splitlines() or ["ansible-inventory failed"])[-1]
        raise UsageError(f"{inventory}: {reason}")
    content = json.loads(listing.stdout)
    variables = content.pop("_meta")["hostvars"]
    # With inject_facts_as_vars off, Ansible lists the local facts, which there are none of, for every host.
    for values in variables.values():
        values.pop("ansible_local", None)
    # A host without variables has no hostvars: the groups are what names every host.
    names = {name for group in content.values() for name in group.get("hosts", [])}
    if not names:
        raise UsageError(f"{inventory}: names no host")
    return {name: variables.get(name, {}) for name in sorted(names)}


def ssh_arguments(name: str, variables: Mapping[str, object]) -> list[str]:
    """Return the arguments with which Ansible's ssh plugin would call ssh for a host, its address last."""
    if (connection := variables.get("ansible_connection", "ssh")) != "ssh":
        raise UsageError(
            f"{name}: ansible_connection={connection} will not do, hosts are reached by ssh alone"
        )
    arguments = []
    for option, variable in (("-p", "ansible_port"), ("-i", "ansible_ssh_private_key_file")):
        if variable in variables:
            value = str(variables[variable])
            arguments += [option, str(Path(value).expanduser()) if option == "-i" else value]
    for variable in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        arguments += shlex.split(str(variables.get(variable, "")))
    address = str(variables.get("ansible_host", name))
    # user@address and not -l user: ssh-copy-id, which these arguments are suggested for, knows no -l.
    return [*arguments, f"{variables['ansible_user']}@{address}" if "ansible_user" in variables else address]


def host_block(name: str, arguments: list[str]) -> str:
    """Return the `Host` block that makes `ssh NAME` the same as `ssh ARGUMENTS`.

    Raises InfrastructureError when ssh refuses the arguments or the user's configuration.
    """
    defaults = _effective(name, ["-F", "none", arguments[-1]])
    lines = []
    for line in _effective(name, arguments):
        keyword = line.split(" ", 1)[0]
        if keyword in _ALWAYS or (line not in defaults and keyword not in _LEFT_OUT):
            lines.append(line)
    return "".join([f"Host {name}\n", *(f"    {line}\n" for line in lines)])


def _effective(name: str, arguments: list[str]) -> list[str]:
    answer = subprocess.run(["ssh", "-G", *arguments], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise InfrastructureError(f"{name}: {answer.stderr.strip().splitlines()[-1]}")
    return answer.stdout.splitlines()
