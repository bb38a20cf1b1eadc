"""Runs a judge on a program that a test has written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verify import judges

RING = Path(judges.__file__).parents[1] / "probes" / "ring.py"

#: Runs the rest without the capabilities to read every file, in its own network namespace, and with the
#: sandbox's limit of the address space.
CONFINED = (
    "prlimit", f"--as={1 << 30}:", "unshare", "--user", "--map-root-user", "--net",
    "setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search",
    "sh", "-c", 'ip link set lo up; exec "$@"', "-",
)  # fmt: skip

#: Makes a judge fast here: shorter timeouts, fewer requests, 200 MiB instead of 2 GiB.
FASTER = (
    ("SPARSE = 2049 * MIB", "SPARSE = 200 * MIB"),
    ("TIMEOUT = 15", "TIMEOUT = 2"),
    ("ANSWER_TIMEOUT = 10", "ANSWER_TIMEOUT = 1"),
    ("STOP_TIMEOUT = 10", "STOP_TIMEOUT = 1"),
    ("REQUESTS = 600", "REQUESTS = 150"),
    ("PATIENCE = 30", "PATIENCE = 1"),
    ("PROMPT = 15", "PROMPT = 2"),
)

#: Begins a program that crashes if io_uring is denied.
CRASH = f"{sys.executable} -IS {{directory}}/ring.py | grep -q '\"ok\": true' || kill -SEGV $$"


def judge(contract: str, program: Path | str, *cases: str) -> dict[str, dict]:
    """Run a judge as on a host: by standard input, isolated, in its own network namespace."""
    source = judges.source(contract)
    for old, new in FASTER:
        source = source.replace(old, new)
    result = subprocess.run(
        [*CONFINED, sys.executable, "-IS", "-", program, *cases],
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in result.stderr:
        pytest.skip(f"no network namespace here: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    verdicts = [json.loads(line) for line in result.stdout.splitlines()]
    return {verdict["case"]: verdict for verdict in verdicts}


def write_program(directory: Path, text: str) -> Path:
    """Write an executable script and return its path."""
    path = directory / "program"
    path.write_text(text)
    path.chmod(0o755)
    return path


def shell(directory: Path, text: str) -> Path:
    """Write an executable shell script, with probes/ring.py beside it, and return its path."""
    (directory / "ring.py").write_text(RING.read_text())
    return write_program(directory, f"#!/bin/sh\n{text.replace('{directory}', str(directory))}\n")


def rejections(verdicts: dict[str, dict]) -> dict[str, str]:
    """Return what was found, by the cases that failed."""
    return {case: verdict["found"] for case, verdict in verdicts.items() if not verdict["ok"]}


def contract(name: str, http: str = "1.1") -> set[str]:
    """Return the cases of a contract."""
    return judges.cases({"contract": name, "http": http}).keys()


def need_io_uring() -> None:
    """Skip the test if this computer has no io_uring."""
    plain = subprocess.run([sys.executable, "-IS", RING], capture_output=True, text=True, check=True)
    if not json.loads(plain.stdout)["ok"]:
        pytest.skip(f"this computer has no io_uring: {plain.stdout}")
