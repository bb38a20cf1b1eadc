"""The hosts of a run: parsing HOST and HOSTS, and the Ansible inventory made of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from cli.errors import UsageError

# A name is one of DNS or of ~/.ssh/config, or an IPv4 address; an IPv6 address may have a zone: fe80::1%eth0.
_HOST = re.compile(
    r"""
    (?: (?P<user> [A-Za-z0-9_][A-Za-z0-9_.-]* ) @ )?
    (?: \[ (?P<ipv6> [0-9A-Fa-f:.]* : [0-9A-Fa-f:.]* (?: % [A-Za-z0-9_.-]+ )? ) \]
      | (?P<name> [A-Za-z0-9_][A-Za-z0-9_.-]* ) )
    (?: : (?P<port> [0-9]{1,5} ) )?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Host:
    """Where a host is reached; what is None is left to the user's ~/.ssh/config."""

    address: str
    user: str | None = None
    port: int | None = None

    @property
    def name(self) -> str:
        """Name it in inventories, file names and reports, where a colon or a percent sign has a meaning."""
        return re.sub(r"[:%]+", "-", self.address).strip("-") or "localhost"

    def inventory_variables(self) -> dict[str, object]:
        """Return the host's variables for Ansible."""
        known = {"ansible_host": self.address, "ansible_port": self.port, "ansible_user": self.user}
        return {name: value for name, value in known.items() if value is not None}


def parse_host(text: str) -> Host:
    """Parse `[user@]address[:port]`. Raises UsageError."""
    match = _HOST.fullmatch(text.strip())
    if not match:
        hint = (
            "put an IPv6 address in brackets, as in [::1]:22"
            if text.count(":") > 1
            else "must be [user@]address[:port]"
        )
        raise UsageError(f"HOST={text}: {hint}")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"HOST={text}: a port is a number from 1 to 65535")
    return Host(match["ipv6"] or match["name"], match["user"], port)


def parse_hosts(text: str) -> dict[str, Host]:
    """Parse a comma-separated list into hosts by name; two of one address have their port in the name."""
    hosts = [parse_host(part) for part in text.split(",") if part.strip()]
    names = [host.name for host in hosts]
    named = {
        f"{host.name}-{host.port or 22}" if names.count(host.name) > 1 else host.name: host for host in hosts
    }
    if not hosts:
        raise UsageError(f"HOSTS={text}: names no host")
    if len(named) < len(hosts):
        raise UsageError(f"HOSTS={text}: names a host twice")
    return named


def inventory(hosts: Mapping[str, Host]) -> str:
    """Return the hosts as an Ansible inventory."""
    content = {"all": {"hosts": {name: host.inventory_variables() for name, host in hosts.items()}}}
    return yaml.safe_dump(content, sort_keys=False)


def chosen(environment: Mapping[str, str]) -> dict[str, Host] | Path | None:
    """Return what HOST, HOSTS or INVENTORY choose: hosts, an inventory's path, or None for a lab host.

    Raises UsageError where more than one of them is given, or the inventory does not exist.
    """
    given = [name for name in ("HOST", "HOSTS", "INVENTORY") if environment.get(name)]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other: give one of them")
    if not given:
        return None
    value = environment[given[0]]
    if given == ["HOST"]:
        if "," in value:
            raise UsageError(f"HOST={value}: several hosts are given by HOSTS")
        return parse_hosts(value)
    if given == ["HOSTS"]:
        return parse_hosts(value)
    path = Path(value).expanduser().absolute()
    if not path.exists():
        raise UsageError(f"INVENTORY={value}: no such file")
    return path
