"""Where an upgrade stands, by status.sh and its record: systemd may be upgraded, the record damaged."""

import json
import subprocess
import sys
from pathlib import Path

import ledger
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/release_upgrade/filter_plugins"))

from upgrade_status import upgrade_status

ROLE = Path(__file__).parents[3] / "roles/release_upgrade"
SCRIPT = ROLE / "files/status.sh"
RECORD = "/var/lib/uring-lab/release_upgrade.json"
HOP = {
    "distribution": "debian",
    "from": "bookworm",
    "to": "trixie",
    "version": "13",
    "stage": "running",
    "packages": "5891b5b522d5df086d0ff0b110fbd9d2  -",
}


@pytest.fixture
def run_script(tmp_path):
    """Return a function that runs status.sh in a directory, with a made-up systemctl, for its lines."""
    script = SCRIPT.read_text()
    for directory in ("/var/lib/uring-lab", "/var/log/uring-lab", "/run"):
        script = script.replace(f"={directory}/", f"={tmp_path}/")
    (tmp_path / "release_upgrade.json").write_text(json.dumps(HOP) + "\n")

    def lines(status):
        (tmp_path / "systemctl").write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / "systemctl").chmod(0o755)
        command = ["sh", "-c", f'PATH="{tmp_path}:$PATH"; {script}']
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    return lines


@pytest.fixture
def at_work(tmp_path):
    """Run a script of the upgrade's name, and write down its process as that does."""
    script = tmp_path / "release-upgrade.sh"
    script.write_text("#!/bin/sh\nread -r line\n")
    script.chmod(0o755)
    process = subprocess.Popen([script], stdin=subprocess.PIPE)
    (tmp_path / "uring-lab-release-upgrade.pid").write_text(f"{process.pid}\n")
    yield process
    process.communicate()


@pytest.mark.parametrize(
    ("status", "expected"), [(0, "active"), (1, "active"), (3, "stopped"), (4, "stopped")]
)
def test_systemd_is_believed_where_no_process_is_at_work(run_script, status, expected):
    assert run_script(status)[0] == expected


def test_a_process_at_work_is_believed_before_a_systemd_that_has_lost_sight_of_it(run_script, at_work):
    assert run_script(3)[0] == "active"
    at_work.communicate()
    assert run_script(3)[0] == "stopped"


def test_a_number_that_another_process_has_by_now_is_none_of_ours(run_script, tmp_path):
    (tmp_path / "uring-lab-release-upgrade.pid").write_text("1\n")
    assert run_script(3)[0] == "stopped"


# The record is read on the controller, since the host's Python may be half unpacked.


def test_a_host_without_a_record_is_at_no_upgrade(run_script, tmp_path):
    (tmp_path / "release_upgrade.json").unlink()
    assert upgrade_status(run_script(3), RECORD) == {"state": "none", "hop": {}, "damaged": ""}


@pytest.mark.parametrize("text", [json.dumps(HOP) + "\n", json.dumps(HOP, indent=2, sort_keys=True) + "\n"])
def test_a_record_is_read_as_any_version_has_written_it(run_script, tmp_path, text):
    (tmp_path / "release_upgrade.json").write_text(text)
    assert upgrade_status(run_script(4), RECORD) == {"state": "stopped", "hop": HOP, "damaged": ""}


def test_a_record_of_a_hop_in_preparation_needs_no_packages(run_script, tmp_path):
    hop = {name: value for name, value in HOP.items() if name != "packages"} | {"stage": "preparing"}
    (tmp_path / "release_upgrade.json").write_text(json.dumps(hop))
    assert upgrade_status(run_script(4), RECORD)["hop"] == hop


def test_the_carriage_returns_of_a_terminal_are_no_damage(run_script):
    lines = [line + "\r" for line in run_script(0)]
    assert upgrade_status(lines, RECORD) == {"state": "active", "hop": HOP, "damaged": ""}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "it is empty"),
        ("\0" * 512, "it is empty"),
        (json.dumps(HOP)[:40], "it is no JSON: "),
        ("[]\n", "it holds no record"),
        ('{"from": "bookworm"}\n', "it does not say to, stage"),
    ],
)
def test_a_damaged_record_is_told_in_the_sentence_of_the_ledger(run_script, tmp_path, text, cause):
    (tmp_path / "release_upgrade.json").write_text(text)
    status = upgrade_status(run_script(3), RECORD, ["from", "to", "stage"])
    assert (status["state"], status["hop"]) == ("stopped", {})
    before, after = ledger.damaged(RECORD, cause).split(cause)
    assert status["damaged"].startswith(before + cause)
    assert status["damaged"].endswith(after)
    assert "\n" not in status["damaged"]
