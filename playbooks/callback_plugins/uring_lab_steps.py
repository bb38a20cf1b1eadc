"""Records what each step did on each host, for the final table and the report."""

import importlib.util
import json
import os
import time
from pathlib import Path

from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: uring_lab_steps
    type: aggregate
    short_description: a record of every step on every host
    description:
      - Writes a JSON list with an entry for each step and host. The file is rewritten after each result, so
        that it is complete however the run ends.
      - A step is a role. Its message is that of its last task named C(Report), or the reason of its failure.
      - Does nothing unless the environment variable C(URING_LAB_STEPS) names the file.
"""

# Ansible loads a plugin by its path, so this repository's packages are not on sys.path.
_spec = importlib.util.spec_from_file_location(
    "uring_lab_plain", Path(__file__).resolve().parents[2] / "cli" / "plain.py"
)
_plain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_plain)

_REPORT = "Report"


def _parts(result):
    """Return a result's host, task and values; ansible-core before 2.19 has no public names for them."""
    if hasattr(result, "result"):
        return result.host, result.task, result.result
    return result._host, result._task, result._result


class CallbackModule(CallbackBase):
    """The aggregate callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "uring_lab_steps"

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        path = os.environ.get("URING_LAB_STEPS")
        self.disabled = not path
        self._path = Path(path or os.devnull)
        self._play = None
        self._steps = {}
        self._roles = []
        self._began = {}
        self._failed_items = {}
        self._reports = {}

    def v2_playbook_on_play_start(self, play):
        """Remember the play."""
        self._play = play
        # Read now, because include_role adds to the play's roles later.
        self._roles = [role.get_name() for role in play.get_roles()]

    def v2_runner_on_start(self, host, task):
        """Start the step's clock with its first task on the host."""
        self._began.setdefault((self._step(task), host.get_name()), time.monotonic())

    def v2_runner_on_ok(self, result):
        """Count a task that did what it should."""
        _, task, values = _parts(result)
        if isinstance(task, TaskInclude):
            return
        message = str(values["msg"]) if task.name == _REPORT and "msg" in values else None
        self._add(result, "changed" if values.get("changed") else "ok", message)

    def v2_runner_on_skipped(self, result):
        """Record a skipped task; a step with only such tasks is skipped."""
        self._add(result, "skipped")

    def v2_runner_item_on_failed(self, result):
        """Remember the reason of a loop's first failed item."""
        host, task, values = _parts(result)
        self._failed_items.setdefault((task._uuid, host.get_name()), _reason(values))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Record a failure and its reason."""
        host, task, values = _parts(result)
        reason = self._failed_items.pop((task._uuid, host.get_name()), None) or _reason(values)
        self._add(result, "ok" if ignore_errors else "failed", None if ignore_errors else reason)

    def v2_runner_on_unreachable(self, result):
        """Record that the host could not be reached."""
        self._add(result, "unreachable", _reason(_parts(result)[2]))

    def v2_playbook_on_stats(self, stats):
        """Withdraw failures that a rescue section handled."""
        for entry in self._steps.values():
            summary = stats.summarize(entry["host"])
            if entry["status"] == "failed" and not summary["failures"] and not summary["unreachable"]:
                self._withdraw_failure(entry)
        self._write()

    def _step(self, task):
        if len(self._roles) == 1:
            return self._roles[0]
        return task._role.get_name() if task._role else self._play.get_name()

    def _add(self, result, outcome, message=None):
        host, task, _ = _parts(result)
        name = host.get_name()
        step = self._step(task)
        if (
            task._role is None
            and outcome not in ("failed", "unreachable")
            and (step, name) not in self._steps
        ):
            # Gathering facts is not a step.
            return
        if (step, name) not in self._steps:
            self._end_earlier_steps(name)
            self._steps[step, name] = {
                "step": step,
                "host": name,
                "status": "skipped",
                "changed": 0,
                "tasks": 0,
                "seconds": 0.0,
                "message": "",
            }
        entry = self._steps[step, name]
        if outcome != "skipped":
            entry["tasks"] += 1
            entry["changed"] += outcome == "changed"
            if outcome in ("failed", "unreachable"):
                entry["status"] = outcome
            elif entry["status"] not in ("failed", "unreachable"):
                entry["status"] = "changed" if entry["changed"] else "ok"
        entry["seconds"] = round(time.monotonic() - self._began.get((step, name), time.monotonic()), 1)
        if message is not None:
            message = _plain.redacted(message)
            if outcome in ("ok", "changed"):
                self._reports[step, name] = message
            # A report in an `always` section after a failure must not hide the reason.
            if outcome == entry["status"] or entry["status"] not in ("failed", "unreachable"):
                entry["message"] = message
        self._write()

    def _end_earlier_steps(self, host):
        """Withdraw failures of earlier steps: a host that reached this step was rescued from them."""
        for entry in self._steps.values():
            if entry["host"] == host and entry["status"] == "failed":
                self._withdraw_failure(entry)

    def _withdraw_failure(self, entry):
        entry["status"] = "changed" if entry["changed"] else "ok"
        entry["message"] = self._reports.get((entry["step"], entry["host"]), "")

    def _write(self):
        # Atomic, because it may be read at any time; readable only for this user.
        fresh = self._path.with_suffix(".tmp")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(list(self._steps.values()), indent=2) + "\n")
        fresh.replace(self._path)


def _reason(values):
    """Return why a task failed, in one line: of a command its exit status and last line."""
    reason = " ".join(str(values.get("msg") or values.get("censored") or "failed without a message").split())
    printed = (values.get("stderr") or values.get("stdout") or "").strip()
    # Ansible's own words for it differ from release to release; a module's are what the command has printed.
    if values.get("rc") and "cmd" in values and reason not in printed:
        last = printed.splitlines()[-1:]
        reason = ": ".join([f"exit status {values['rc']}", *(line.strip() for line in last)])
    return reason
