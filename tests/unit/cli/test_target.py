"""How HOST, HOSTS and INVENTORY are read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.errors import UsageError
from cli.sshconfig import inventory_hosts
from cli.target import Host, chosen, inventory, parse_host, parse_hosts

ANSIBLE_INVENTORY = str(Path(sys.executable).parent / "ansible-inventory")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("box", Host("box")),
        ("me@box", Host("box", "me")),
        ("me@box.example.org:2222", Host("box.example.org", "me", 2222)),
        ("192.0.2.7:22", Host("192.0.2.7", None, 22)),
        ("[::1]", Host("::1")),
        ("root@[fe80::1%eth0]:2201", Host("fe80::1%eth0", "root", 2201)),
    ],
)
def test_a_host_is_user_address_and_port(text, host):
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["", "@box", "me@", "box:", "box:ssh", "box:0", "box:65536", "-oProxyCommand=x", "a b", "me@-x", "[box]"],
)
def test_what_is_no_host_is_refused(text):
    with pytest.raises(UsageError, match="HOST="):
        parse_host(text)


def test_an_ipv6_address_without_brackets_is_refused_with_the_right_form():
    with pytest.raises(UsageError, match=r"in brackets, as in \[::1\]:22"):
        parse_host("fe80::1")


addresses = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z][a-z0-9-]{0,10}){0,3}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)
users = st.none() | st.from_regex(r"[a-z_][a-z0-9_.-]{0,15}", fullmatch=True)
ports = st.none() | st.integers(1, 65535)


@given(addresses, users, ports)
def test_every_host_survives_being_written_and_read(address, user, port):
    text = f"[{address}]" if ":" in address else address
    text = f"{user}@{text}" if user else text
    text = f"{text}:{port}" if port else text
    assert parse_host(text) == Host(address, user, port)


@given(st.text(max_size=30))
def test_no_text_makes_the_parser_fail_in_another_way(text):
    try:
        host = parse_host(text)
    except UsageError:
        return
    # ssh takes an argument that begins with a dash for an option.
    assert not host.address.startswith("-")
    assert not (host.user or "").startswith("-")


def test_hosts_of_one_address_are_told_apart_by_their_ports():
    assert list(parse_hosts("lab@127.0.0.1:2201,lab@127.0.0.1:2202,box")) == [
        "127.0.0.1-2201",
        "127.0.0.1-2202",
        "box",
    ]


@pytest.mark.parametrize("text", [",", "box,box", "a@box,b@box"])
def test_no_host_and_the_same_host_twice_are_refused(text):
    with pytest.raises(UsageError, match="HOSTS="):
        parse_hosts(text)


def test_the_inventory_gives_ansible_the_same_hosts(tmp_path):
    file = tmp_path / "inventory.yml"
    file.write_text(inventory(parse_hosts("me@[fe80::1%eth0]:2222,box")))
    assert inventory_hosts(file, ANSIBLE_INVENTORY) == {
        "box": {"ansible_host": "box"},
        "fe80-1-eth0": {"ansible_host": "fe80::1%eth0", "ansible_port": 2222, "ansible_user": "me"},
    }


def test_hosts_of_an_inventory_without_variables_are_found(tmp_path):
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        yaml.safe_dump({"all": {"children": {"web": {"hosts": {"a": None, "b": {"x": 1}}}}}})
    )
    assert inventory_hosts(inventory, ANSIBLE_INVENTORY) == {"a": {}, "b": {"x": 1}}


def test_an_inventory_that_names_no_host_is_refused(tmp_path):
    inventory = tmp_path / "empty.json"
    inventory.write_text(json.dumps({"all": {"hosts": {}}}))
    with pytest.raises(UsageError, match="names no host"):
        inventory_hosts(inventory, ANSIBLE_INVENTORY)


def test_no_choice_is_a_lab_host_and_two_are_refused(tmp_path):
    assert chosen({"HOST": ""}) is None
    assert chosen({"HOST": "me@box"}) == {"box": Host("box", "me")}
    assert chosen({"INVENTORY": str(tmp_path)}) == tmp_path
    with pytest.raises(UsageError, match="HOST and INVENTORY exclude each other"):
        chosen({"HOST": "box", "INVENTORY": "x"})
    with pytest.raises(UsageError, match="no such file"):
        chosen({"INVENTORY": str(tmp_path / "none.yml")})
    with pytest.raises(UsageError, match="given by HOSTS"):
        chosen({"HOST": "a,b"})


def test_a_name_is_one_that_ssh_and_the_file_system_take(tmp_path):
    name = Host("fe80::1%eth0").name
    (tmp_path / name).touch()
    config = tmp_path / "ssh_config"
    config.write_text(f"Host {name}\n    HostName found\n")
    answer = subprocess.run(["ssh", "-F", config, "-G", name], capture_output=True, text=True, check=True)
    assert "hostname found" in answer.stdout
