"""Which checks are made of which host."""

import json
import re
import subprocess
import sys

from cli.run import ROOT


def test_a_host_is_checked_for_the_samples_that_it_was_asked_for_alone(tmp_path):
    expect = tmp_path / "expect.json"
    sources = {"a": "ours", "b": "upstream", "c": "all"}
    expect.write_text(json.dumps({host: {"samples_source": source} for host, source in sources.items()}))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/verify"]
    command += ["--lab-hosts=a,b,c", f"--lab-expect={expect}"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found = {host: set() for host in sources}
    for host, names in found.items():
        names |= {
            line.split(f"[{host}-")[1].split("/")[0]
            for line in done.stdout.splitlines()
            if f"[{host}-" in line
        }
    assert found == {"a": {"ours"}, "b": {"upstream"}, "c": {"ours", "upstream"}}


def test_the_checks_of_a_host_stay_in_one_process(tmp_path):
    """They have one connection and one set of answers; two at once would disturb each other on the host."""
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("Host *\n  HostName 127.0.0.1\n  Port 1\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "tests/verify/test_release.py",
    ]
    command += ["--lab-hosts=a,b", f"--lab-inventory-ssh-config={ssh_config}"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    made = re.findall(r"^\[(gw\d)\] .*\[([ab])\b", done.stdout, re.MULTILINE)
    assert len(made) > len(set(made)) == 2, done.stdout
