"""Run several commands on a host in one round trip.

A command over ssh takes half a second on an emulated host, so a test file runs all its commands at once and
its tests read the answers.
"""

import base64
import json
from dataclasses import dataclass

import paramiko
import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

#: Seconds that one command may take on the host.
QUESTION_TIMEOUT = 120

#: Ends a script on standard input; no script of ours contains this line.
END_OF_SCRIPT = "END-OF-SCRIPT"

ASK = """\
export LC_ALL=C
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
ask() {
    timeout %(timeout)d sh -c "$2" >"$scratch/out" 2>"$scratch/err" </dev/null
    echo "$1 $? =$(base64 -w0 "$scratch/out") =$(base64 -w0 "$scratch/err")"
}
"""


class CheckError(Exception):
    """The script of a check failed; the text is one line."""


@dataclass
class Answer:
    """The result of one command on the host."""

    command: str
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of the output that are not empty."""
        return [line for line in self.out.splitlines() if line.strip()]

    def json(self) -> dict:
        """Parse the output as JSON; empty if there is no output (a missing manifest)."""
        return json.loads(self.out) if self.out.strip() else {}


def name(host: Host) -> str:
    """Return the host's name in messages."""
    return host.backend.hostname


def ask(host: Host, **questions: str) -> dict[str, Answer]:
    """Run several shell commands on a host as root, in one round trip.

    Args:
        host: the host.
        questions: shell commands by the names of their answers.

    """
    script = ASK % {"timeout": QUESTION_TIMEOUT}
    script += "".join(host.backend.quote("ask %s %s\n", key, command) for key, command in questions.items())
    result = run(host, script)
    answers = {}
    for line in result.stdout.splitlines():
        key, status, out, err = line.split(" ")
        answers[key] = Answer(questions[key], int(status), decode(out), decode(err))
    if set(answers) != set(questions):
        pytest.fail(f"{name(host)}: some questions had no answer: {result.stderr.strip()}", pytrace=False)
    return answers


def decode(field: str) -> str:
    """Decode a command's output."""
    return base64.b64decode(field[1:]).decode(errors="replace")


def run(host: Host, command: str) -> CommandResult:
    """Run one command; if the connection breaks, fail the test with one line."""
    try:
        return host.run(command)
    except (RuntimeError, paramiko.SSHException, OSError) as problem:
        pytest.fail(f"{name(host)}: the connection broke: {problem}", pytrace=False)


def run_python(host: Host, prefix: str, source: str, *arguments: object) -> dict:
    """Run a Python script on a host by standard input and parse the JSON that it prints.

    Args:
        host: the host.
        prefix: a command to start Python with, such as runuser.
        source: the script, for Python 3.6.
        arguments: of the script.

    Raises:
        CheckError: it printed no JSON.

    """
    result = run(host, python_command(host, prefix, source, *arguments))
    return read_json(host, result.stdout, result)


def python_command(host: Host, prefix: str, source: str, *arguments: object) -> str:
    """Return the shell command that runs a Python script by standard input.

    The interpreter is isolated (-I) and skips the site module (-S), which halves its start-up time.
    """
    given = "".join(host.backend.quote(" %s", str(argument)) for argument in arguments)
    return f"{prefix} python3 -IS -{given} <<'{END_OF_SCRIPT}'\n{source}\n{END_OF_SCRIPT}\n"


def read_json(host: Host, text: str, result: CommandResult) -> dict:
    """Parse the JSON that a script printed.

    Args:
        host: the host.
        text: the JSON.
        result: the result of the command that printed it.

    Raises:
        CheckError: it is not JSON.

    """
    try:
        return json.loads(text)
    except ValueError:
        said = (result.stderr.strip() or text.strip() or "nothing").splitlines()[-1]
        raise CheckError(
            f"{name(host)}: a check ended with exit status {result.rc}, saying: {said}"
        ) from None
