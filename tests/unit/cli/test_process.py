"""What happens to the programs we run when we are told to stop."""

import os
import signal
import subprocess
import sys
import time

import pytest

from cli import process
from cli.run import ROOT

# As the command line does it: run a program, and on a signal say one line and leave by its exit status.
FRONT = """
import os, signal, sys
from cli import __main__, process
from cli.errors import Interrupted
process._PERSUASION = [(number, 0.3) for number, _ in process._PERSUASION]
signal.signal(signal.SIGINT, __main__._interrupt)
try:
    process.run(["bash", "-c", sys.argv[1]], os.environ, ".")
except Interrupted as interruption:
    sys.exit(interruption.exit_status)
"""


def test_the_exit_status_is_the_programs(tmp_path):
    assert process.run(["sh", "-c", "exit 7"], os.environ, tmp_path) == 7


@pytest.mark.parametrize(
    "program",
    [
        "echo $$; sleep 60 & wait",
        # It pays no heed to a polite request,
        "trap '' INT; echo $$; sleep 60 & wait",
        # to an impolite one either,
        "trap '' INT TERM; echo $$; while :; do sleep 0.2; done",
        # and this one obeys but leaves a child behind.
        "echo $$; (trap '' INT; exec sleep 60) & wait",
    ],
)
def test_ctrl_c_leaves_no_child_behind(program):
    cli = subprocess.Popen(
        [sys.executable, "-c", FRONT, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    group = int(cli.stdout.readline())
    cli.send_signal(signal.SIGINT)
    _, stderr = cli.communicate(timeout=30)
    assert cli.returncode == 130
    assert "Traceback" not in stderr
    # What was killed may wait for init to take note of its end.
    deadline = time.monotonic() + 10
    while process._signal_group(group, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process._signal_group(group, 0)


def test_a_second_ctrl_c_shortens_the_patience():
    slow = FRONT.replace("0.3", "30")
    program = "trap '' INT; echo $$; sleep 60 & wait"
    cli = subprocess.Popen([sys.executable, "-c", slow, program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    cli.stdout.readline()
    began = time.monotonic()
    cli.send_signal(signal.SIGINT)
    time.sleep(0.3)
    cli.send_signal(signal.SIGINT)
    cli.communicate(timeout=30)
    assert time.monotonic() - began < 20
