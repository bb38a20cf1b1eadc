"""The connection to a host: paramiko or OpenSSH's client, both with the host key checked."""

import functools
import getpass
import ipaddress
import logging
import shlex
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import paramiko
import testinfra
from testinfra.backend.paramiko import ParamikoBackend
from testinfra.host import Host

#: The two connections; the first is the default, because it measures faster (bench/README.md).
CONNECTIONS = ("paramiko", "ssh")

#: Seconds a host may take to answer a new connection.
CONNECT_TIMEOUT = 30

#: Seconds after which OpenSSH closes an idle connection, in case this process was killed.
PERSIST = 120


class UnreachableError(Exception):
    """The host cannot be verified; the text is one line with the cause and the remedy."""


def open_host(name: str, connection: str, ssh_config: str | None, control_directory: str) -> Host:
    """Make a testinfra host whose commands run as root by sudo. It does not connect yet.

    Args:
        name: the host, as the ssh configuration knows it.
        connection: one of CONNECTIONS.
        ssh_config: path of an ssh configuration; None for the user's own.
        control_directory: private directory with a short path, for OpenSSH's control socket.

    """
    specification = f"[{name}]" if ":" in name else name
    if connection == "paramiko":
        backend = VerifiedParamiko(specification, ssh_config=ssh_config, timeout=CONNECT_TIMEOUT, sudo=True)
        host = Host(backend)
        backend.set_host(host)
        return host
    # BatchMode: fail instead of asking for a password or about a key.
    options = ("BatchMode=yes", "ServerAliveInterval=15", "ServerAliveCountMax=8")
    return testinfra.get_host(
        f"ssh://{specification}",
        ssh_config=ssh_config,
        timeout=CONNECT_TIMEOUT,
        controlpath=f"{control_directory}/%%C",  # testinfra formats the command line once with %
        controlpersist=PERSIST,
        ssh_extra_args=" ".join(f"-o {option}" for option in options),
        sudo=True,
    )


def close_host(host: Host) -> None:
    """Close the connection of a host."""
    backend = host.backend
    if isinstance(backend, VerifiedParamiko):
        backend.client.close()
        return
    configuration = ["-F", backend.ssh_config] if backend.ssh_config else []
    control = f"ControlPath={backend.controlpath.replace('%%', '%')}"
    subprocess.run(
        ["ssh", *configuration, "-o", control, "-O", "exit", backend.host.name],
        check=False,
        capture_output=True,
    )


def control_directory() -> tempfile.TemporaryDirectory:
    """Make a private directory for OpenSSH's sockets; short, as a socket's path has at most 104 bytes."""
    return tempfile.TemporaryDirectory(prefix="uring-lab-", dir="/tmp")


def reach(host: Host) -> None:
    """Connect, become root, and find Python.

    Raises:
        UnreachableError: one of the three failed.

    """
    name = host.backend.hostname
    try:
        answer = host.run("id -u && python3 -c 'import sys; sys.exit(sys.version_info < (3, 6))'")
    except RuntimeError as problem:  # raised by testinfra when ssh exits with 255
        raise UnreachableError(f"{name}: {explain_openssh(problem)}") from None
    except (paramiko.SSHException, OSError) as problem:
        raise UnreachableError(f"{name}: {explain_paramiko(problem)}") from None
    if answer.stdout.split("\n")[0] != "0":
        why = answer.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise UnreachableError(
            f"{name}: sudo did not give root ({why[0]}): "
            "allow the user sudo without a password, or log in as root"
        )
    if answer.rc != 0:
        raise UnreachableError(f"{name}: no Python 3.6 or later: sudo apt-get install python3-minimal")


def explain_openssh(problem: RuntimeError) -> str:
    """Summarise OpenSSH's error output in one line."""
    lines = [line.strip() for line in problem.args[0].stderr.splitlines() if line.strip()]
    text = "\n".join(lines)
    if "Host key verification failed" in text or "IDENTIFICATION HAS CHANGED" in text:
        return HOST_KEY_REFUSED
    if "Permission denied" in text:
        return LOGIN_REFUSED
    return (
        f"{lines[-1] if lines else 'ssh ended without a word'}: is the host up, and its name and port right?"
    )


def explain_paramiko(problem: Exception) -> str:
    """Summarise an exception of paramiko's in one line."""
    if isinstance(problem, paramiko.BadHostKeyException) or "not found in known_hosts" in str(problem):
        return HOST_KEY_REFUSED
    if isinstance(problem, paramiko.AuthenticationException | paramiko.PasswordRequiredException):
        return f"{LOGIN_REFUSED}; --connection=ssh knows more kinds of keys"
    return f"{problem or type(problem).__name__}: is the host up, and its name and port right?"


HOST_KEY_REFUSED = (
    "the host shows another key than the known one, or none is known: make sure that it is the right "
    "machine, then correct the known_hosts file (ssh-keygen -R, and one login by hand)"
)
LOGIN_REFUSED = (
    "the login was refused: the verification needs a key that works without a question (ssh-copy-id)"
)


def address_of(name: str, ssh_config: str | None) -> str | None:
    """Return the address of a host's own ports as seen from here.

    Returns:
        The host name or address that ssh connects to; None if that is not the host itself but a forwarded
        port of this computer or a jump host.

    """
    settings = lookup(name, ssh_config)
    address = settings["hostname"]
    if "proxyjump" in settings or "proxycommand" in settings or address == "localhost":
        return None
    try:
        return None if ipaddress.ip_address(address).is_loopback else address
    except ValueError:
        return address


def lookup(name: str, ssh_config: str | None) -> paramiko.SSHConfigDict:
    """Read what an ssh configuration (the user's own by default) says about a host."""
    path = Path(ssh_config).expanduser() if ssh_config else Path("~/.ssh/config").expanduser()
    configuration = paramiko.SSHConfig.from_path(str(path)) if path.exists() else paramiko.SSHConfig()
    return configuration.lookup(name)


class VerifiedParamiko(ParamikoBackend):
    """Testinfra's paramiko backend with two faults corrected.

    - Its client only warns about an unknown host key and loads no known ones; here only the host's entries in
      the known_hosts files are trusted, and every other key is refused.
    - It reads a command's standard output to the end before standard error, so a command that prints more
      than 2 MB (the window size) to standard error hangs; here both are read in parallel.
    """

    @functools.cached_property
    def client(self) -> paramiko.SSHClient:
        """The connection, made on first use.

        Raises:
            paramiko.SSHException: the host key is unknown or wrong, or the login was refused.
            OSError: no connection.

        """
        settings = lookup(self.host.name, self.ssh_config)
        address = settings["hostname"]
        port = int(self.host.port or settings.get("port", 22))
        client = paramiko.SSHClient()
        # Errors are raised as exceptions; paramiko's log would show them again with a traceback.
        client.set_log_channel("uring-lab.paramiko")
        logging.getLogger("uring-lab.paramiko").setLevel(logging.CRITICAL + 1)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        asked = address if port == 22 else f"[{address}]:{port}"
        for key in known_keys(settings.get("hostkeyalias", asked), settings):
            client.get_host_keys().add(asked, key.get_name(), key)
        client.connect(
            address,
            port=port,
            username=self.host.user or settings.get("user") or getpass.getuser(),
            key_filename=settings.get("identityfile"),
            look_for_keys="identityfile" not in settings,
            allow_agent=settings.get("identitiesonly", "no") != "yes",
            timeout=self.timeout,
            banner_timeout=self.timeout,
            auth_timeout=self.timeout,
            sock=self._proxy(settings, f"[{address}]:{port}"),
        )
        transport = client.get_transport()
        transport.set_keepalive(15)
        if isinstance(transport.sock, socket.socket):  # not with a ProxyCommand
            # As OpenSSH does; otherwise Nagle's algorithm delays the small packets of a command.
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _proxy(self, settings: paramiko.SSHConfigDict, target: str) -> paramiko.ProxyCommand | None:
        """Start the ProxyCommand or ProxyJump of the configuration, if there is one.

        paramiko does not support ProxyJump, so it is translated to the command that OpenSSH runs for it.
        """
        if "proxyjump" in settings and settings["proxyjump"] != "none":
            *first, last = (f"ssh://{jump}" for jump in settings["proxyjump"].split(","))
            command = ["ssh", *(("-F", self.ssh_config) if self.ssh_config else ()), "-o", "BatchMode=yes"]
            command += [*(("-J", ",".join(first)) if first else ()), "-W", target, last]
            return paramiko.ProxyCommand(shlex.join(command))
        if "proxycommand" in settings:
            return paramiko.ProxyCommand(settings["proxycommand"])
        return None

    def _exec_command(self, command: bytes) -> tuple[int, bytes, bytes]:
        channel = self.client.get_transport().open_session()
        channel.exec_command(command)
        errors: list[bytes] = []
        reader = threading.Thread(
            target=lambda: errors.append(channel.makefile_stderr("rb").read()), daemon=True
        )
        reader.start()
        output = channel.makefile("rb").read()
        reader.join()
        return channel.recv_exit_status(), output, b"".join(errors)


def known_keys(name: str, settings: paramiko.SSHConfigDict) -> list[paramiko.PKey]:
    """Read a host's keys from the known_hosts files.

    Args:
        name: address, or [address]:port, or the HostKeyAlias of the ssh configuration.
        settings: what the ssh configuration says about the host.

    """
    files = split_paths(settings.get("userknownhostsfile", "~/.ssh/known_hosts"))
    files += split_paths(settings.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts"))
    keys: list[paramiko.PKey] = []
    for file in files:
        if file.is_file():
            entries = paramiko.HostKeys(str(file)).lookup(name)
            keys += entries.values() if entries else []
    return keys


def split_paths(value: str) -> list[Path]:
    """Split an option's value into its files.

    paramiko strips the quotes from a value that is quoted as a whole, so a value with a space may be one file
    or two: it is taken as one if there is such a file.
    """
    whole = Path(value).expanduser()
    return [whole] if whole.is_file() else [Path(path).expanduser() for path in shlex.split(value)]
