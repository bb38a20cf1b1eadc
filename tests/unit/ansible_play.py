"""Runs a play on this computer, to see what Ansible makes of a role's variables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def found(directory, tasks, cases, vars_files=()):
    """Run tasks over all cases in one play, and return the fact `found` that they set.

    Args:
        directory: an empty directory to work in.
        tasks: the play's tasks, in YAML; `cases` is what they loop over.
        cases: a dictionary.
        vars_files: files of variables for the play.

    """
    save = {
        "ansible.builtin.copy": {
            "content": "{{ found | to_json }}",
            "dest": f"{directory}/found.json",
            "mode": "0644",
        }
    }
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(file) for file in vars_files],
        "tasks": [*yaml.safe_load(tasks), save],
    }
    (directory / "cases.json").write_text(json.dumps({"cases": cases}))
    (directory / "play.yml").write_text(json.dumps([play]))
    command = [Path(sys.executable).with_name("ansible-playbook"), directory / "play.yml"]
    done = subprocess.run(
        [*command, "-i", "localhost,", "-c", "local", "-e", f"@{directory}/cases.json"],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((directory / "found.json").read_text())
