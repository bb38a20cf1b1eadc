"""The programs that the verification runs on a host say why they cannot make a ring."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verify import judges

PROBES = Path(judges.__file__).parents[1] / "probes"

#: Runs the rest with too little locked memory: not by RLIMIT_MEMLOCK, because only some kernels count rings.
INJECT = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=io_uring_setup:error=ENOMEM")

REASON = "too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)"


@pytest.fixture(autouse=True)
def _need_strace():
    if not shutil.which("strace"):
        pytest.skip("no strace: install strace")


def run(*command):
    """Run a command under INJECT."""
    return subprocess.run([*INJECT, *command], capture_output=True, text=True, check=False, timeout=30)


def test_the_probe_of_the_kernel_explains_too_little_locked_memory():
    answer = json.loads(run(sys.executable, "-IS", PROBES / "ring.py").stdout)
    assert answer == {"ok": False, "found": f"[Errno 12] io_uring_setup: {REASON}"}


def test_the_program_with_liburing_explains_too_little_locked_memory(tmp_path):
    if not shutil.which("cc") or not Path("/usr/include/liburing.h").exists():
        pytest.skip("no compiler or no liburing headers: install gcc and liburing-dev")
    build = ["cc", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "program", PROBES / "version.c", "-luring"]
    subprocess.run(build, check=True)
    done = run(tmp_path / "program")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"io_uring_queue_init: {REASON}\n"
