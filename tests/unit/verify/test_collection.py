"""Which checks are made of which host."""

import json
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
