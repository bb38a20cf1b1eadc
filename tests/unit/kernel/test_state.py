"""What the kernel role reads of a host's packages, settings and records."""

import subprocess

import pytest

RELEASE = "6.1.0-49-amd64"


class Host:
    """A module whose commands answer from a table."""

    def __init__(self, answers=None, tolerant=False):
        self.answers = answers or {}
        self.params = {"tolerant": tolerant}

    def run_command(self, command):
        """Return what the table has."""
        return self.answers.get(command[0], (1, "", "not found"))

    def fail_json(self, msg):
        """Fail the test."""
        pytest.fail(msg)


@pytest.fixture
def state(load_module, monkeypatch):
    module = load_module("kernel", "kernel_state")
    monkeypatch.setattr(module.os, "uname", lambda: ("Linux", "host", RELEASE))
    return module


@pytest.mark.parametrize(
    ("said", "package"),
    [
        (f"linux-image-{RELEASE}: /boot/vmlinuz-{RELEASE}\n", f"linux-image-{RELEASE}"),
        (f"linux-image-mine:amd64: /boot/vmlinuz-{RELEASE}\n", "linux-image-mine"),
        (f"diversion by mine from: /boot/vmlinuz-{RELEASE}\n", ""),
        ("", ""),
    ],
)
def test_the_fallback_is_the_package_that_owns_the_image_whatever_its_name(state, said, package):
    assert state.fallback(Host({"dpkg-query": (0, said, "")}))["package"] == package


@pytest.mark.parametrize(
    ("line", "mark"), [("Auto-Installed: 1", "auto"), ("Auto-Installed: 0", "manual"), (None, "manual")]
)
def test_the_mark_is_that_of_the_package_itself(state, monkeypatch, tmp_path, line, mark):
    other = "Package: linux-image-amd64\nArchitecture: amd64\nAuto-Installed: 1\n"
    own = f"Package: linux-image-{RELEASE}\nArchitecture: amd64\n{line}\n" if line else ""
    (tmp_path / "states").write_text(f"{other}\n{own}\n{other.replace('image', 'headers')}\n")
    monkeypatch.setattr(state, "EXTENDED_STATES", str(tmp_path / "states"))
    said = f"linux-image-{RELEASE}: /boot/vmlinuz-{RELEASE}\n"
    assert state.fallback(Host({"dpkg-query": (0, said, "")}))["mark"] == mark


def test_a_settings_file_after_ours_that_changes_the_default_is_named(state, monkeypatch, tmp_path):
    monkeypatch.setattr(state, "SETTINGS", str(tmp_path))
    monkeypatch.setattr(state, "OWN_SETTINGS", str(tmp_path / "zz-uring-lab.cfg"))
    for name in ("10-before.cfg", "zz-uring-lab.cfg", "zzz.cfg", "zzz.bak"):
        (tmp_path / name).write_text("GRUB_DEFAULT=0\n")
    (tmp_path / "zzzz.cfg").write_text("GRUB_TIMEOUT=1\n")

    class Shell(Host):
        def run_command(self, command):
            return subprocess.run(command, check=False).returncode, "", ""

    assert state.later_settings(Shell()) == [str(tmp_path / "zzz.cfg")]


@pytest.mark.parametrize("text", ["", "\0\0\0", '{"release": "5.6', "[]"])
def test_a_damaged_manifest_is_told_in_a_sentence(state, monkeypatch, tmp_path, text):
    monkeypatch.setattr(state.ledger, "DIRECTORY", str(tmp_path / "ledger"))
    (tmp_path / "kernel.json").write_text(text)
    found = state.records(Host(tolerant=True), str(tmp_path / "kernel.json"))
    assert found["manifest"] == {}
    assert len(found["damaged"]) == 1
    assert "kernel.json is damaged" in found["damaged"][0]
    assert "`make rollback` takes back what is certain" in found["damaged"][0]


def test_of_a_host_without_a_ledger_the_manifest_says_what_is_ours(state, monkeypatch, tmp_path):
    monkeypatch.setattr(state.ledger, "DIRECTORY", str(tmp_path / "ledger"))
    (tmp_path / "kernel.json").write_text(
        '{"previous": "6.1", "promoted": true, "packages": {"a": "1", "b": "1"}, "added": ["a"]}'
    )
    record = state.records(Host(), str(tmp_path / "kernel.json"))["record"]
    assert list(record["packages"]) == ["a"]
    assert record["holds"] == ["a", "b"]
    assert record["grub"]["previous"] == "6.1"
