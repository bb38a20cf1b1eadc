"""Whether a host can be reached, and if not, what is to be done about it."""

import re
import shlex
import subprocess
from pathlib import Path

from cli.errors import InfrastructureError

#: Seconds for the connection to stand. Ten cover a lost SYN and its repetitions (1 + 2 + 4 s) on a slow line.
CONNECT_TIMEOUT = 10
#: Seconds for the whole probe: a host that accepts connections and then says nothing must not hold us.
PROBE_TIMEOUT = 45

# The interpreter is that of ansible.cfg; the words mean the same to every login shell.
_ASK_PYTHON = "/usr/bin/python3 -V; exit 0"

# What ssh says, and what it means. The first match counts: of a changed key, ssh says several of these.
_MEANINGS = (
    (r"Could not resolve hostname", "does not resolve; check the spelling of the address"),
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed", "changed"),
    (r"Host key verification failed|No .* host key is known", "unknown"),
    (r"Connection refused", "refuses the connection; check that its sshd runs, and the port"),
    (
        r"[Tt]imed out",
        f"does not answer within {CONNECT_TIMEOUT} s; check that it is up and no firewall stands between",
    ),
    (r"No route to host|Network is unreachable", "is not reachable from here; check the network between"),
    (r"Permission denied", "denied"),
    (r"Connection (reset|closed)|kex_exchange_identification", "closes the connection; read its sshd's log"),
)


def ssh_command(ssh_config: Path) -> list[str]:
    """Return the start of every ssh command line of ours: never a question, never a key accepted unseen."""
    return [
        "ssh",
        "-F",
        str(ssh_config),
        "-o",
        "BatchMode=yes",
        "-o",
        f"ConnectTimeout={CONNECT_TIMEOUT}",
        "-o",
        "LogLevel=INFO",
    ]


def probe(name: str, ssh_config: Path, target: list[str]) -> str:
    """Connect to a host once, and return the version of its Python, or "" if it has none.

    ssh_config is a file with a `Host` block for the name; target the arguments that reach the same host
    without it, for the commands that a person is told to type. Raises InfrastructureError, which names the
    cause and the remedy.
    """
    # A connection of its own: a shared one that still stands from an earlier command would prove nothing.
    command = [*ssh_command(ssh_config), "-o", "ControlPath=none", name, _ASK_PYTHON]
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"{name}: connects, then says nothing for {PROBE_TIMEOUT} s; check its load and its sshd"
        ) from None
    if answer.returncode:
        raise InfrastructureError(f"{name}: {explain(answer.stderr, target)}")
    found = re.search(r"^Python (\S+)$", answer.stdout, re.MULTILINE)
    return found[1] if found else ""


def explain(stderr: str, target: list[str]) -> str:
    """Turn what ssh printed on its standard error into one clause: the cause, then the remedy."""
    by_hand = shlex.join(target)
    meaning = next((text for pattern, text in _MEANINGS if re.search(pattern, stderr)), None)
    if meaning == "changed":
        forget = _forget_command(stderr)
        return f"has another host key than before; if that is right: {forget}; then: ssh {by_hand}"
    if meaning == "unknown":
        return f"its host key is not known here; check it and accept it by: ssh {by_hand}"
    if meaning == "denied":
        methods = re.search(r"Permission denied \(([^)]*)\)", stderr)
        wants = ", it wants a password" if methods and "password" in methods[1] else ""
        return f"accepts no key of yours{wants}; give it one by: ssh-copy-id {by_hand}"
    if meaning:
        return meaning
    return f"ssh fails: {(stderr.strip().splitlines() or ['no message'])[-1].strip()}"


def _forget_command(stderr: str) -> str:
    """Find how to forget a changed key: Debian's ssh prints the command, others name the file and line."""
    suggested = re.search(r"ssh-keygen -f \S+ -R \S+", stderr)
    if suggested:
        return suggested[0]
    offending = re.search(r"Offending .* key in (\S+):(\d+)", stderr)
    return f"remove line {offending[2]} of {offending[1]}" if offending else "ssh-keygen -R ADDRESS"
