"""What Ansible makes of a role's variables: a play on this computer that puts what it finds into a fact."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def found(folder, tasks, cases, vars_files=()):
    """Run tasks over cases and return what they have put into the fact `found`: one run for all of them.

    Args:
        folder: an empty one to work in.
        tasks: the play's tasks, in YAML; `cases` is what they loop over.
        cases: a dictionary.
        vars_files: files of variables for the play.

    """
    keep = {
        "ansible.builtin.copy": {
            "content": "{{ found | to_json }}",
            "dest": f"{folder}/found.json",
            "mode": "0644",
        }
    }
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(file) for file in vars_files],
        "tasks": [*yaml.safe_load(tasks), keep],
    }
    (folder / "cases.json").write_text(json.dumps({"cases": cases}))
    (folder / "play.yml").write_text(json.dumps([play]))
    command = [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml"]
    done = subprocess.run(
        [*command, "-i", "localhost,", "-c", "local", "-e", f"@{folder}/cases.json"],
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
    return json.loads((folder / "found.json").read_text())
