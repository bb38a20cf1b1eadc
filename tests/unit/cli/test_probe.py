"""What a person is told when a host cannot be reached."""

import socket
import subprocess
from pathlib import Path

import pytest

from cli.errors import InfrastructureError
from cli.probe import probe
from cli.sshconfig import host_block, ssh_arguments

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Offending ED25519 key in /home/me/.ssh/known_hosts:7
"""
DEBIAN = '  remove with:\n  ssh-keygen -f "/home/me/.ssh/known_hosts" -R "[box]:22"\n'
END = "Host key for box has changed and you have requested strict checking.\nHost key verification failed.\n"


@pytest.fixture
def ssh_says(tmp_path, monkeypatch):
    """Put an ssh in the way that prints what it is told to and fails as ssh does."""

    def install(stderr: str) -> None:
        (tmp_path / "stderr").write_text(stderr)
        fake = tmp_path / "ssh"
        fake.write_text(f"#!/bin/sh\ncat {tmp_path}/stderr >&2\nexit 255\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        (
            "ssh: Could not resolve hostname box: Name or service not known\n",
            "does not resolve; check the spelling",
        ),
        ("ssh: connect to host box port 22: Connection refused\n", "refuses the connection"),
        ("ssh: connect to host box port 22: Connection timed out\n", "does not answer within 10 s"),
        ("Connection timed out during banner exchange\n", "does not answer within 10 s"),
        ("ssh: connect to host box port 22: No route to host\n", "is not reachable from here"),
        (CHANGED + DEBIAN + END, 'has another host key than before; if that is right: ssh-keygen -f "/home'),
        (CHANGED + END, "remove line 7 of /home/me/.ssh/known_hosts"),
        ("Host key verification failed.\n", "is not known here; check it and accept it by: ssh -p 22 me@box"),
        (
            "No ED25519 host key is known for box and you have requested strict checking.\n",
            "is not known here",
        ),
        (
            "me@box: Permission denied (publickey,password).\n",
            "it wants a password; give it one by: ssh-copy-id -p 22 me@box",
        ),
        ("me@box: Permission denied (publickey).\n", "accepts no key of yours; give it one by: ssh-copy-id"),
        ("kex_exchange_identification: Connection closed by remote host\n", "closes the connection"),
        ("something new\n", "ssh fails: something new"),
        ("", "ssh fails: no message"),
    ],
)
def test_each_way_to_fail_is_one_line_with_host_and_remedy(ssh_says, stderr, told):
    ssh_says(stderr)
    with pytest.raises(InfrastructureError) as failure:
        probe("box", Path("ssh_config"), ["-p", "22", "me@box"])
    assert str(failure.value).startswith("box: ")
    assert told in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_port_where_nobody_listens_refuses_the_connection(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    arguments = ssh_arguments(
        "box", {"ansible_host": "127.0.0.1", "ansible_port": port, "ansible_user": "me"}
    )
    config = tmp_path / "ssh_config"
    config.write_text(host_block("box", arguments))
    with pytest.raises(InfrastructureError, match="box: refuses the connection"):
        probe("box", config, arguments)


def effective(*arguments: str) -> dict[str, str]:
    answer = subprocess.run(["ssh", "-G", *arguments], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in answer.stdout.splitlines() if " " in line)


def test_our_ssh_config_connects_as_ansible_does(tmp_path):
    (tmp_path / "key").touch()
    variables = {
        "ansible_host": "192.0.2.1",
        "ansible_port": 2201,
        "ansible_user": "lab",
        "ansible_ssh_private_key_file": str(tmp_path / "key"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={tmp_path}/known -o StrictHostKeyChecking=yes "
        "-o IdentitiesOnly=yes",
    }
    config = tmp_path / "ssh_config"
    config.write_text(host_block("lab", ssh_arguments("lab", variables)))
    found = effective("-F", str(config), "lab")
    assert found["hostname"] == "192.0.2.1"
    assert found["port"] == "2201"
    assert found["user"] == "lab"
    assert found["identityfile"] == str(tmp_path / "key")
    assert found["userknownhostsfile"] == f"{tmp_path}/known"
    assert found["stricthostkeychecking"] in ("true", "yes")
    assert found["identitiesonly"] == "yes"


def test_the_users_own_ssh_configuration_counts(tmp_path):
    own = tmp_path / "own"
    own.write_text(
        "Host alias\n  HostName 192.0.2.9\n  Port 2209\n  User me\n  ProxyJump jump\n  ControlMaster auto\n"
    )
    config = tmp_path / "ssh_config"
    config.write_text(host_block("alias", ["-F", str(own), "alias"]))
    found = effective("-F", str(config), "alias")
    assert (found["hostname"], found["port"], found["user"]) == ("192.0.2.9", "2209", "me")
    assert found["proxyjump"] == "jump"
    assert found["controlmaster"] == "false"
