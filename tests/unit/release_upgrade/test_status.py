"""What is made of an upgrade's state by status.sh, while systemd is upgraded itself."""

import subprocess
from pathlib import Path

import pytest

LOOK = Path(__file__).parents[3] / "roles/release_upgrade/files/status.sh"


@pytest.fixture
def look(tmp_path):
    """Return a function that runs status.sh in a folder, with a made-up systemctl, for its first line."""
    script = LOOK.read_text()
    for folder in ("/var/lib/uring-lab", "/var/log/uring-lab", "/run"):
        script = script.replace(f"={folder}/", f"={tmp_path}/")
    (tmp_path / "release_upgrade.json").write_text("{}\n")

    def first_line(status):
        (tmp_path / "systemctl").write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / "systemctl").chmod(0o755)
        command = ["sh", "-c", f'PATH="{tmp_path}:$PATH"; {script}']
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[0]

    return first_line


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
def test_systemd_is_believed_where_no_process_is_at_work(look, status, expected):
    assert look(status) == expected


def test_a_process_at_work_is_believed_before_a_systemd_that_has_lost_sight_of_it(look, at_work):
    assert look(3) == "active"
    at_work.communicate()
    assert look(3) == "stopped"


def test_a_number_that_another_process_has_by_now_is_none_of_ours(look, tmp_path):
    (tmp_path / "uring-lab-release-upgrade.pid").write_text("1\n")
    assert look(3) == "stopped"
