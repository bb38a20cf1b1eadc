"""Ansible's output for people: a heading per step, a line per task, and the progress of a long task."""

import functools
import importlib.util
import os
import sys
import threading
import time
from pathlib import Path

from ansible import constants as C  # noqa: N812 - Ansible's own custom
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
    name: uring_lab
    type: stdout
    short_description: a heading per step, a line per task
    description:
      - Prints one line for each task when it ends, with its result and the seconds that it took.
      - Shows the elapsed seconds of a long task while it runs.
      - Shows a failure as its message; the whole result is in the log file (C(ANSIBLE_LOG_PATH)).
      - With C(-v), Ansible's default callback does everything.
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
"""

# Ansible loads a plugin by its path, so this repository's packages are not on sys.path.
_spec = importlib.util.spec_from_file_location(
    "uring_lab_plain", Path(__file__).resolve().parents[2] / "cli" / "plain.py"
)
_plain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_plain)

#: Seconds after which the progress of a running task is shown: on a terminal, and in a file or a pipe, where
#: each time adds a line.
PATIENCE_TERMINAL = 2
PATIENCE_FILE = 5
REPEAT_FILE = 60

#: How many lines of a failed command's output are shown.
LAST_LINES = 10

_INDENT = " " * 14
_DEBUG = ("debug", "ansible.builtin.debug")
#: The task that Ansible adds before a role with an argument specification: shown only when it fails.
_VALIDATION = ("validate_argument_spec", "ansible.builtin.validate_argument_spec")


class Progress:
    """Shows the running task and its seconds: on a terminal in place, elsewhere as a line now and then.

    It uses os.write: Ansible forks its workers while the thread runs, and if the thread holds the lock of
    Python's buffered output at that moment, the worker waits for it forever.
    """

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._terminal = os.isatty(descriptor)
        self._lock = threading.Lock()
        self._text = ""
        self._note = ""
        self._began = self._next = 0.0
        self._thread = None

    def begin(self, text: str) -> None:
        """Start to count for a task."""
        with self._lock:
            self._text, self._note = _plain.redacted(text), ""
            self._began = time.monotonic()
            self._next = self._began + (PATIENCE_TERMINAL if self._terminal else PATIENCE_FILE)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def note(self, text: str) -> None:
        """Add something to the running task, such as the number of its attempts."""
        self._note = f", {_plain.redacted(text)}"

    def end(self) -> None:
        """Stop counting."""
        with self._lock:
            self._text = ""

    def aside(self, write) -> None:
        """Clear the progress line of a terminal and call `write`."""
        with self._lock:
            if self._terminal:
                os.write(self._descriptor, b"\r\033[K")
            write()

    def _run(self) -> None:
        while True:
            time.sleep(0.5)
            with self._lock:
                now = time.monotonic()
                if self._text and now >= self._next:
                    self._show(round(now - self._began))
                    self._next = now + (0.5 if self._terminal else REPEAT_FILE)

    def _show(self, seconds: int) -> None:
        line = f"  {'...':<11} {self._text} ({seconds} s{self._note})"
        if self._terminal:
            columns = os.get_terminal_size(self._descriptor).columns
            os.write(self._descriptor, f"\r\033[K{line[: columns - 1]}".encode())
        else:
            os.write(self._descriptor, f"{line}\n".encode())


def _unless_verbose(method):
    """Leave an event to the default callback when Ansible was called with -v."""

    @functools.wraps(method)
    def chosen(self, *arguments, **keywords):
        if self._display.verbosity:
            return getattr(super(CallbackModule, self), method.__name__)(*arguments, **keywords)
        return method(self, *arguments, **keywords)

    return chosen


def _parts(result):
    """Return a result's host, task and values; ansible-core before 2.19 has no public names for them."""
    if hasattr(result, "result"):
        return result.host, result.task, result.result
    return result._host, result._task, result._result


def failure_text(result: dict) -> str:
    """Return why a task failed: the module's message and, for a command, the end of its output."""
    text = str(result.get("msg") or result.get("censored") or "failed without a message").strip()
    if "rc" in result:
        printed = (result.get("stderr") or result.get("stdout") or "").strip()
        lines = [line for line in printed.splitlines() if line not in text][-LAST_LINES:]
        command = result.get("cmd", "")
        command = " ".join(map(str, command)) if isinstance(command, list) else command
        # Ansible words it differently from release to release; a module says what the command printed.
        if result["rc"] and "cmd" in result and text not in printed:
            text = f"exit status {result['rc']}" + (f" of: {command}" if command else "")
        text = "\n".join([text, *lines])
    return text


class CallbackModule(Default):
    """The stdout callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "uring_lab"

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        # All output passes this method: lines, diffs, warnings, the log, and everything with -v.
        show = self._display.display
        self._display.display = lambda text, *rest, **named: show(_plain.redacted(str(text)), *rest, **named)
        self._progress = Progress(sys.stdout.fileno())
        self._heading = None
        self._several_hosts = False
        self._names = {}
        self._roles = []
        self._began = {}
        self._failed_items = {}
        self._differences = {}

    # ---- steps and tasks ----

    @_unless_verbose
    def v2_playbook_on_start(self, playbook):
        """Say nothing: the first heading comes with the first task."""

    @_unless_verbose
    def v2_playbook_on_play_start(self, play):
        """Remember the play."""
        self._play = play
        # Read now, because include_role adds to the play's roles later.
        self._roles = [role.get_name() for role in play.get_roles()]
        variables = play.get_variable_manager().get_vars(play=play)
        self._several_hosts = len(variables.get("ansible_play_hosts_all", [])) > 1

    @_unless_verbose
    def v2_playbook_on_task_start(self, task, is_conditional):
        """Print a heading when a step begins, and start the task's clock."""
        heading = self._step(task)
        if heading != self._heading:
            self._heading = heading
            self._say(f"\n{heading}")
        # The name is templated only at this moment.
        self._names[task._uuid] = task.name or task.action
        if not isinstance(task, TaskInclude):
            self._progress.begin(self._names[task._uuid])

    @_unless_verbose
    def v2_playbook_on_handler_task_start(self, task):
        """Treat a handler as a task."""
        self.v2_playbook_on_task_start(task, False)

    @_unless_verbose
    def v2_playbook_on_cleanup_task_start(self, task):
        """Treat a clean-up as a task."""
        self.v2_playbook_on_task_start(task, False)

    @_unless_verbose
    def v2_runner_on_start(self, host, task):
        """Note when a host began its task."""
        self._began[host.get_name(), task._uuid] = time.monotonic()

    def _step(self, task):
        if len(self._roles) == 1:
            return f"{self._roles[0]}: {self._play.get_name()}"
        return task._role.get_name() if task._role else self._play.get_name()

    # ---- results ----

    @_unless_verbose
    def v2_runner_on_ok(self, result):
        """Print a task that did what it should."""
        host, task, values = _parts(result)
        if isinstance(task, TaskInclude) or task.action in _VALIDATION:
            return
        self._handle_warnings(values)
        if task.action in _DEBUG and "msg" in values:
            mark = "=>" if task.name == "Report" else "note"
            self._line(mark, host, _indented(str(values["msg"])))
        elif values.get("changed"):
            self._finish("would change" if task.check_mode else "changed", result, C.COLOR_CHANGED)
        else:
            self._finish("ok", result, C.COLOR_OK)

    @_unless_verbose
    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Print a task that failed, and why."""
        _, task, values = _parts(result)
        self._handle_warnings(values)
        if ignore_errors:
            self._finish("ignored", result, C.COLOR_SKIP, failure_text(values))
            return
        reasons = self._failed_items.pop(task._uuid, []) if task.loop else []
        self._finish("FAILED", result, C.COLOR_ERROR, "\n".join(reasons) or failure_text(values))

    @_unless_verbose
    def v2_runner_on_unreachable(self, result):
        """Print a host that could not be reached."""
        self._finish("UNREACHABLE", result, C.COLOR_UNREACHABLE, failure_text(_parts(result)[2]))

    @_unless_verbose
    def v2_runner_on_skipped(self, result):
        """Leave a skipped task out."""

    @_unless_verbose
    def v2_runner_item_on_ok(self, result):
        """Leave an item to its task's line."""

    @_unless_verbose
    def v2_runner_item_on_skipped(self, result):
        """Leave an item to its task's line."""

    @_unless_verbose
    def v2_runner_item_on_failed(self, result):
        """Remember why an item failed, for its task's line."""
        _, task, values = _parts(result)
        label = self._get_item_label(values)
        self._failed_items.setdefault(task._uuid, []).append(f"{label}: {failure_text(values)}")

    @_unless_verbose
    def v2_runner_retry(self, result):
        """Show the last line that a retried task printed, or else the number of attempts."""
        _, _, values = _parts(result)
        printed = values.get("stdout_lines") or [""]
        tried = f"attempt {values.get('attempts', 1)} of {values.get('retries', 1)}"
        self._progress.note(printed[-1].strip() or tried)

    @_unless_verbose
    def v2_runner_on_async_poll(self, result):
        """Say nothing: the progress line shows that the task runs."""

    @_unless_verbose
    def v2_runner_on_async_ok(self, result):
        """Say nothing: the task's own result follows."""

    @_unless_verbose
    def v2_runner_on_async_failed(self, result):
        """Say nothing: the task's own result follows."""

    @_unless_verbose
    def v2_on_file_diff(self, result):
        """Remember the diff until the task's line is printed: Ansible sends it before the result."""
        host, task, values = _parts(result)
        parts = [part["diff"] for part in values.get("results", [values]) if part.get("diff")]
        self._differences[host.get_name(), task._uuid] = "".join(
            filter(None, map(self._get_diff, parts))
        ).rstrip()

    @_unless_verbose
    def v2_playbook_on_include(self, included_file):
        """Say nothing: the tasks that are included follow."""

    @_unless_verbose
    def v2_playbook_on_notify(self, handler, host):
        """Say nothing: the handler follows."""

    @_unless_verbose
    def v2_playbook_on_no_hosts_remaining(self):
        """Say nothing: each host's failure has been shown."""

    @_unless_verbose
    def v2_playbook_on_stats(self, stats):
        """Print Ansible's recap only outside of the command line, which prints a table of the steps."""
        self._progress.end()
        if not os.environ.get("URING_LAB_STEPS"):
            super().v2_playbook_on_stats(stats)

    def _finish(self, mark, result, color, reason=""):
        host, task, values = _parts(result)
        seconds = time.monotonic() - self._began.pop((host.get_name(), task._uuid), time.monotonic())
        name = self._names.get(task._uuid, task.get_name())
        items = f" ({len(values['results'])} items)" if task.loop and "results" in values else ""
        self._line(mark, host, f"{name}{items} ({seconds:.1f} s)", color)
        for text, text_color in (
            (reason, color),
            (self._differences.pop((host.get_name(), task._uuid), ""), None),
        ):
            if text:
                self._say(_INDENT + _indented(text), text_color)
        if C.DEFAULT_LOG_PATH:
            self._display.display(self._dump_results(values, indent=4), log_only=True)

    def _line(self, mark, host, text, color=None):
        where = f"{host.get_name()}: " if self._several_hosts else ""
        self._say(f"  {mark:<11} {where}{text}", color)

    def _say(self, text, color=None):
        self._progress.aside(lambda: self._display.display(text, color=color))


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{_INDENT}")
