"""What a person sees of a playbook, and what is recorded of it."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import yaml

from cli.run import ROOT

ANSIBLE_PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
CONFIGURATION = f"""\
[defaults]
callback_plugins = {ROOT}/playbooks/callback_plugins
stdout_callback = uring_lab
callbacks_enabled = uring_lab_steps
callback_result_format = yaml
interpreter_python = {sys.executable}
"""


class Play:
    """A playbook of one play a role, on this computer."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.steps_file = directory / "steps.json"
        self._plays = []
        (directory / "ansible.cfg").write_text(CONFIGURATION)

    def role(self, name: str, tasks: list[dict]) -> None:
        """Add a play with a role of these tasks."""
        folder = self.directory / "roles" / name / "tasks"
        folder.mkdir(parents=True)
        (folder / "main.yml").write_text(yaml.safe_dump(tasks))
        self._plays.append({"name": f"Do the {name}", "hosts": "all", "gather_facts": False, "roles": [name]})

    def command(self, *arguments: str) -> list[str]:
        """Write the playbook and return the command that runs it."""
        (self.directory / "play.yml").write_text(yaml.safe_dump(self._plays))
        inventory = [] if "-i" in arguments else ["-i", "here,"]
        return [ANSIBLE_PLAYBOOK, "-c", "local", "play.yml", *inventory, *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment it needs."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return own | {"URING_LAB_STEPS": str(self.steps_file), "NO_COLOR": "1"} | more

    def __call__(self, *arguments: str, **environment: str) -> str:
        """Run it and return what it printed."""
        answer = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert "callback" not in answer.stdout.lower(), "Ansible complains about the plugin"
        return re.sub(r"\(\d+\.\d s\)", "(N s)", answer.stdout)

    def steps(self) -> list[dict]:
        """Return the record, without the times."""
        steps = json.loads(self.steps_file.read_text())
        assert self.steps_file.stat().st_mode & 0o777 == 0o600, "others may read it"
        assert all(step.pop("seconds") >= 0 for step in steps)
        return steps


@pytest.fixture
def play(tmp_path):
    return Play(tmp_path)


def debug(name: str, text: str) -> dict:
    return {"name": name, "ansible.builtin.debug": {"msg": text}}


def shell(name: str, script: str, **keywords) -> dict:
    return {"name": name, "ansible.builtin.shell": script, **keywords}


def step(name: str, status: str, changed: int, tasks: int, message: str, host: str = "here") -> dict:
    return {
        "step": name,
        "host": host,
        "status": status,
        "changed": changed,
        "tasks": tasks,
        "message": message,
    }


def test_a_step_is_a_heading_and_a_task_a_line(play):
    play.role(
        "kernel",
        [
            shell("Look", "true", changed_when=False),
            shell("Change", "true"),
            shell("Leave out", "true", when=False),
            shell("Repeat for {{ inventory_hostname }}", "echo {{ item }}", loop=[1, 2]),
            debug("Tell", "one\ntwo"),
            debug("Report", "6.12 runs"),
        ],
    )
    play.role("samples", [shell("Skip", "true", when=False)])
    assert play().strip().splitlines() == [
        "kernel: Do the kernel",
        "  ok          Look (N s)",
        "  changed     Change (N s)",
        "  changed     Repeat for here (2 items) (N s)",
        "  note        one",
        "              two",
        "  =>          6.12 runs",
        "",
        "samples: Do the samples",
    ]
    assert play.steps() == [
        step("kernel", "changed", 2, 5, "6.12 runs"),
        step("samples", "skipped", 0, 0, ""),
    ]


def test_a_failure_is_its_message_and_no_dump(play):
    play.role("kernel", [{"name": "Judge", "ansible.builtin.fail": {"msg": "no kernel\nuse KERNEL=keep"}}])
    play.role("samples", [shell("Never", "true")])
    assert play().strip().splitlines()[1:] == [
        "  FAILED      Judge (N s)",
        "              no kernel",
        "              use KERNEL=keep",
    ]
    assert play.steps() == [step("kernel", "failed", 0, 1, "no kernel use KERNEL=keep")]


def test_a_failed_command_shows_its_last_lines(play):
    play.role("liburing", [shell("Build", "seq 30 >&2; echo 'cc: broken' >&2; exit 4")])
    printed = play()
    assert "exit status 4 of: seq 30" in printed
    assert "cc: broken" in printed
    assert "  22\n" in printed
    assert "  21\n" not in printed
    assert play.steps() == [step("liburing", "failed", 0, 1, "exit status 4: cc: broken")]


def test_failed_items_are_shown_each_with_its_reason(play):
    play.role("liburing", [shell("Build", "echo bad >&2; exit {{ item }}", loop=[0, 3])])
    printed = play()
    assert "FAILED      Build (2 items)" in printed
    assert "3: exit status 3 of" in printed
    assert play.steps() == [step("liburing", "failed", 0, 1, "exit status 3: bad")]


RESCUED = {"name": "Try", "block": [shell("Break", "exit 1")], "rescue": [shell("Mend", "true")]}


def test_a_failure_that_was_rescued_is_none_in_the_record(play):
    play.role("kernel", [RESCUED, debug("Report", "the old kernel is back")])
    play()
    assert play.steps() == [step("kernel", "changed", 1, 3, "the old kernel is back")]


def test_a_failure_that_was_rescued_is_none_even_if_a_later_step_fails(play):
    play.role("kernel", [RESCUED, debug("Report", "the old kernel is back")])
    play.role("samples", [{"name": "Judge", "ansible.builtin.fail": {"msg": "no compiler"}}])
    play()
    assert play.steps() == [
        step("kernel", "changed", 1, 3, "the old kernel is back"),
        step("samples", "failed", 0, 1, "no compiler"),
    ]


def test_a_report_after_a_failure_does_not_hide_it(play):
    play.role(
        "kernel",
        [
            {
                "name": "Try",
                "block": [{"name": "Break", "ansible.builtin.fail": {"msg": "broken"}}],
                "always": [debug("Report", "cleaned up")],
            }
        ],
    )
    play()
    assert play.steps() == [step("kernel", "failed", 0, 2, "broken")]


def test_an_ignored_failure_is_marked_so(play):
    play.role("kernel", [shell("Try", "exit 1", ignore_errors=True)])
    assert "  ignored     Try" in play()
    assert play.steps()[0]["status"] == "ok"


@pytest.mark.parametrize("verbosity", ["", "-v"])
def test_a_secret_stays_secret(play, verbosity, tmp_path):
    play.role("kernel", [shell("Hide", "echo hunter$((1 + 1)); exit 1", no_log=True)])
    log = tmp_path / "log"
    printed = play(*filter(None, [verbosity]), ANSIBLE_LOG_PATH=str(log))
    assert "FAILED" in printed
    for text in (printed, log.read_text(), play.steps_file.read_text()):
        assert "hunter2" not in text
    assert "hidden" in play.steps()[0]["message"]


def test_the_log_has_the_whole_result(play, tmp_path):
    play.role("kernel", [shell("Change", "echo all of it")])
    assert "all of it" not in play(ANSIBLE_LOG_PATH=str(tmp_path / "log"))
    assert "stdout: all of it" in (tmp_path / "log").read_text()


def test_verbose_is_ansibles_own_output(play):
    play.role("kernel", [shell("Change", "echo all of it")])
    printed = play("-v")
    assert "TASK [kernel : Change]" in printed
    assert "stdout: all of it" in printed
    assert play.steps() == [step("kernel", "changed", 1, 1, "")]


def test_check_says_what_would_change_and_shows_the_difference(play, tmp_path):
    copy = {"content": "new\n", "dest": str(tmp_path / "file"), "mode": "0600"}
    play.role("kernel", [{"name": "Write", "ansible.builtin.copy": copy}])
    printed = play("--check", "--diff")
    assert re.search(r"  would change Write.*\n(              .*\n)*              \+new\n", printed)
    assert not (tmp_path / "file").exists()


def test_hosts_are_named_where_there_are_several(play):
    play.role("kernel", [debug("Report", "{{ inventory_hostname }} is done")])
    printed = play("-i", "web1,web2")
    assert "=>          web1: web1 is done" in printed
    assert sorted(play.steps(), key=lambda entry: entry["host"]) == [
        step("kernel", "ok", 0, 1, "web1 is done", "web1"),
        step("kernel", "ok", 0, 1, "web2 is done", "web2"),
    ]


def test_a_host_out_of_reach_is_recorded(play):
    play.role(
        "kernel", [{"name": "Connect", "ansible.builtin.ping": {}, "vars": {"ansible_connection": "ssh"}}]
    )
    assert "UNREACHABLE" in play("-i", "nowhere.invalid,", "-c", "ssh")
    assert play.steps()[0]["status"] == "unreachable"


def test_a_playbook_of_roles_in_tasks_has_a_step_a_role(play):
    play.role("kernel", [debug("Report", "old kernel back")])
    play.role("samples", [debug("Report", "gone")])
    command = play.command()
    tasks = [
        {"name": "Undo", "ansible.builtin.import_role": {"name": name}} for name in ("samples", "kernel")
    ]
    content = [{"name": "Undo all", "hosts": "all", "gather_facts": True, "tasks": tasks}]
    (play.directory / "play.yml").write_text(yaml.safe_dump(content))
    subprocess.run(command, cwd=play.directory, env=play.environment(), capture_output=True, check=True)
    assert play.steps() == [
        step("samples", "ok", 0, 1, "gone"),
        step("kernel", "ok", 0, 1, "old kernel back"),
    ]


def test_a_role_that_a_role_includes_is_no_step_of_its_own(play):
    play.role("liburing", [shell("Build", "true")])
    include = {"name": "Include", "ansible.builtin.include_role": {"name": "liburing"}}
    play.role("samples", [include, debug("Report", "built")])
    play._plays.pop(0)
    headings = [line for line in play().splitlines() if line and not line.startswith(" ")]
    assert headings == ["samples: Do the samples"]
    assert play.steps() == [step("samples", "changed", 1, 2, "built")]


def test_the_recap_is_ansibles_where_nobody_draws_a_table(play):
    play.role("kernel", [debug("Report", "x")])
    assert "PLAY RECAP" not in play()
    assert "PLAY RECAP" in play(URING_LAB_STEPS="")


def test_the_record_survives_ctrl_c(play):
    play.role("preflight", [debug("Report", "fine")])
    play.role(
        "kernel",
        [shell("Begin", "true"), shell("Hang", "touch hangs; sleep 60", args={"chdir": str(play.directory)})],
    )
    ansible = subprocess.Popen(
        play.command(),
        cwd=play.directory,
        env=play.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # What a shell starts in the background ignores Ctrl-C, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (play.directory / "hangs").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    # Python swallows a signal that arrives while it forks: a person then presses Ctrl-C again.
    for _press in range(4):
        os.killpg(ansible.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            ansible.communicate(timeout=15)
            break
    assert ansible.poll() is not None
    assert play.steps() == [step("preflight", "ok", 0, 1, "fine"), step("kernel", "changed", 1, 1, "")]


@pytest.mark.parametrize(
    ("prints", "note"), [("true", "attempt \\d of "), ("echo begun; echo 45 %, Unpacking", "45 %, Unpacking")]
)
def test_a_terminal_shows_that_a_task_is_at_work_in_place(play, prints, note):
    tries = f"{prints}; test $(cat n) = 2 || {{ echo $(($(cat n) + 1)) > n; exit 1; }}"
    waiting = {
        "register": "tried",
        "until": "tried.rc == 0",
        "retries": 5,
        "delay": 1,
        "args": {"chdir": str(play.directory)},
    }
    (play.directory / "n").write_text("0\n")
    play.role("kernel", [shell("Wait for it", tries, **waiting)])
    controlling, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    ansible = subprocess.Popen(
        play.command(),
        cwd=play.directory,
        env=play.environment(),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(controlling, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(controlling)
    assert ansible.wait() == 0
    text = seen.decode()
    assert re.search(rf"\r\x1b\[K  \.\.\.         Wait for it \(\d+ s, {note}", text)
    # Nothing of it stays: the line is erased before the result is written in its place.
    assert re.search(r"\r\x1b\[K  changed     Wait for it \(\d\.\d s\)\r\n", text)


@pytest.mark.parametrize("verbosity", ["", "-v"])
def test_neither_escapes_nor_passwords_reach_screen_log_and_record(play, verbosity, tmp_path):
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31mfine http://me:hunter2@mirror/debian"
    copy = {"content": hostile + "\n", "dest": str(tmp_path / "file"), "mode": "0600"}
    play.role("kernel", [{"name": "Write", "ansible.builtin.copy": copy}, debug("Report", hostile)])
    log = tmp_path / "log"
    printed = play("--check", "--diff", *filter(None, [verbosity]), ANSIBLE_LOG_PATH=str(log))
    for text in (printed, log.read_text(), play.steps()[0]["message"]):
        assert "://***@mirror" in text
        assert not any(one in text for one in ("\x1b", "\x9b", "hunter2"))
