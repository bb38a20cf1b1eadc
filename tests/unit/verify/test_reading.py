"""What the verification parses on the controller: expectations, catalog, GRUB, ssh configuration."""

import hashlib
import json

import paramiko
import pytest

from tests.verify import connection, expectation, grub

GRUB_CFG = """\
set default="${saved_entry}"
function gfxmode {
    set gfxpayload="${1}"
}
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-UUID' {
    if [ x$grub_platform = xxen ]; then insmod xzio; fi
    linux /boot/vmlinuz-6.12.57+deb12-cloud-amd64 root=UUID=UUID ro
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-UUID' {
    menuentry 'Debian, with Linux 6.12.57' --class debian $menuentry_id_option 'gnulinux-6.12-advanced-UUID' {
        linux /boot/vmlinuz-6.12.57+deb12-cloud-amd64 root=UUID=UUID ro
    }
    menuentry 'Debian, with Linux 6.1.0' --class debian $menuentry_id_option 'gnulinux-6.1-advanced-UUID' {
        linux\t/vmlinuz-6.1.0-49-cloud-amd64 root=UUID=UUID ro
    }
}
menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
    fwsetup
}
"""


def test_grubs_entries_are_found_by_their_path_of_ids():
    assert grub.entries(GRUB_CFG) == {
        "gnulinux-simple-UUID": "6.12.57+deb12-cloud-amd64",
        "gnulinux-advanced-UUID>gnulinux-6.12-advanced-UUID": "6.12.57+deb12-cloud-amd64",
        "gnulinux-advanced-UUID>gnulinux-6.1-advanced-UUID": "6.1.0-49-cloud-amd64",
    }


def test_grubs_environment_is_read():
    listing = "saved_entry=gnulinux-advanced-UUID>gnulinux-6.1-advanced-UUID\nnext_entry=\n"
    assert grub.environment(listing) == {
        "saved_entry": "gnulinux-advanced-UUID>gnulinux-6.1-advanced-UUID",
        "next_entry": "",
    }


def test_a_missing_file_of_expectations_is_empty():
    assert expectation.read_json(None, dict) == {}
    assert expectation.read_steps("/there/is/no/such/file") == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{", "is not JSON"), ("[]", "a JSON object is wanted"), (None, "No such file")],
)
def test_an_invalid_file_of_expectations_is_refused_in_one_line(tmp_path, content, complaint):
    path = tmp_path / "expect.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(expectation.ExpectationError, match=complaint) as refusal:
        expectation.read_json(str(path), dict)
    assert "\n" not in str(refusal.value)


def test_each_host_has_expectations_of_its_own(tmp_path):
    path = tmp_path / "expect.json"
    path.write_text(json.dumps({"a": {"kernel_source": "keep"}, "b": {}}))
    assert expectation.read_expected(str(path), ["a", "b"])["a"] == {"kernel_source": "keep"}
    assert expectation.read_expected(None, ["a", "b"]) == {"a": {}, "b": {}}


def test_a_file_of_expectations_without_a_host_is_refused(tmp_path):
    """It would be verified as if nothing had been asked of it."""
    path = tmp_path / "expect.json"
    path.write_text(json.dumps({"a": {}, "kernel_source": "keep"}))
    for host in ("b", "kernel_source"):
        with pytest.raises(expectation.ExpectationError, match=f"has no variables of the host {host}"):
            expectation.read_expected(str(path), ["a", host])


@pytest.mark.parametrize(
    ("expected", "sources"),
    [
        ({"samples_source": "ours"}, {"ours"}),
        ({"samples_source": "upstream"}, {"upstream"}),
        ({"samples_source": "all"}, {"ours", "upstream"}),
        ({}, {"ours", "upstream"}),
    ],
)
def test_a_host_is_asked_for_the_samples_of_its_source(expected, sources):
    samples = [sample for sample in expectation.read_catalog() if expectation.is_asked_for(sample, expected)]
    assert {sample["source"] for sample in samples} == sources


def test_a_broken_catalog_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(expectation, "CATALOG", tmp_path / "catalog.yml")
    with pytest.raises(expectation.ExpectationError, match="no catalog"):
        expectation.read_catalog()


@pytest.mark.parametrize(
    ("release", "found"),
    [
        ("5.4.0-1-amd64", {"always": "a"}),
        ("5.6", {"always": "a", "bound": "b (Linux from 5.5 before 5.7)"}),
        ("5.6.19-050619-generic", {"always": "a", "bound": "b (Linux from 5.5 before 5.7)"}),
        ("5.7.0", {"always": "a"}),
        ("5.10.0-37-cloud-amd64", {"always": "a", "new": "n (Linux from 5.10)"}),
        ("6.1.0-49-amd64", {"always": "a", "new": "n (Linux from 5.10)"}),
        (None, {"always": "a", "bound": "b (Linux from 5.5 before 5.7)", "new": "n (Linux from 5.10)"}),
    ],
)
def test_a_fault_may_be_bound_to_a_range_of_kernels(release, found):
    sample = {
        "known_faults": {
            "always": "a",
            "bound": {"fault": "b", "from": "5.5", "before": "5.7"},
            "new": {"fault": "n", "from": "5.10"},
        }
    }
    assert expectation.known_faults(sample, release) == found


@pytest.mark.parametrize(
    ("reference", "same"),
    [
        ("8bee206", True),
        ("8BEE206EC2E0", True),
        ("8bee20", False),
        ("9bee206", False),
        ("liburing-2.9", False),
    ],
)
def test_a_commit_is_recognised_by_an_abbreviated_id(reference, same):
    commit = "8bee206ec2e0a31c0fc0df4a96c213235a438f5a"
    assert (expectation.is_commit_id(reference) and expectation.is_same_commit(reference, commit)) is same


@pytest.fixture
def key():
    return paramiko.RSAKey.generate(2048)


def configuration(tmp_path, *lines):
    """Write an ssh configuration for one host."""
    path = tmp_path / "ssh_config"
    path.write_text("\n".join(["Host box", "  HostName 192.0.2.7", *(f"  {line}" for line in lines), ""]))
    return str(path)


def test_only_the_hosts_own_key_is_trusted(tmp_path, key):
    known = tmp_path / "known hosts"
    known.write_text(
        f"192.0.2.8 ssh-rsa {paramiko.RSAKey.generate(2048).get_base64()}\n"
        f"[192.0.2.7]:2222 ssh-rsa {key.get_base64()}\n"
    )
    lines = (f'UserKnownHostsFile "{known}"', "GlobalKnownHostsFile none")
    settings = connection.lookup("box", configuration(tmp_path, *lines))
    assert connection.known_keys("[192.0.2.7]:2222", settings) == [key]
    assert connection.known_keys("192.0.2.7", settings) == []


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ((), "192.0.2.7"),
        (("HostName 127.0.0.1",), "192.0.2.7"),  # the first value counts, as with ssh
        (("ProxyJump other",), None),
        (("ProxyCommand nc %h %p",), None),
    ],
)
def test_the_address_of_the_hosts_ports_is_none_behind_a_proxy(tmp_path, lines, address):
    assert connection.address_of("box", configuration(tmp_path, *lines)) == address


def test_a_forwarded_port_of_this_computer_is_not_the_host(tmp_path):
    path = tmp_path / "ssh_config"
    path.write_text("Host box\n  HostName 127.0.0.1\n  Port 2222\n")
    assert connection.address_of("box", str(path)) is None


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (paramiko.SSHException("Server 'box' not found in known_hosts"), connection.HOST_KEY_REFUSED),
        (
            paramiko.AuthenticationException("no"),
            f"{connection.LOGIN_REFUSED}; --connection=ssh knows more kinds of keys",
        ),
        (TimeoutError("timed out"), "timed out: is the host up, and its name and port right?"),
    ],
)
def test_a_failed_connection_is_reported_in_one_line(problem, line):
    assert connection.explain_paramiko(problem) == line
    assert "\n" not in line


def test_the_digest_of_our_samples_equals_that_of_sha256sum(tmp_path, monkeypatch):
    """The samples role computes it in a shell; if the two differ, every verification fails."""
    for name in ("b.c", "a/main.c", "a/program"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(expectation, "CATALOG", tmp_path / "catalog.yml")
    listing = "".join(
        f"{hashlib.sha256(name.encode()).hexdigest()}  ./{name}\n" for name in ("a/main.c", "b.c")
    )
    assert expectation.digest_of_ours() == hashlib.sha256(listing.encode()).hexdigest()


def test_steps_are_read(tmp_path):
    path = tmp_path / "steps.json"
    path.write_text(json.dumps([{"step": "kernel"}]))
    assert expectation.read_steps(str(path)) == [{"step": "kernel"}]
