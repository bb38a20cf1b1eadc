"""What the kernel role makes of apt's simulation: with the headers, and without them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

GOOD = {"rc": 0, "stdout": "Inst linux-image-5.6"}
REMOVES = {"rc": 0, "stdout": "Inst linux-image-5.6\nRemv openssh-server"}
UNMET = {"rc": 100, "stdout": " linux-headers-5.6 : Depends: libssl1.1 but it is not installable"}
SKIPPED = {"skipped": True}

#: By name: the two results that Ansible has registered, and whether the debs are refused.
CASES = {
    "whole": (GOOD, SKIPPED, False),
    "headers-unmet": (UNMET, GOOD, False),
    "unmet-without-them-too": (UNMET, UNMET, True),
    "removes": (REMOVES, SKIPPED, True),
    "removes-without-headers-too": (REMOVES, REMOVES, True),
    "headers-unmet-and-removes-without-them": (UNMET, REMOVES, True),
}

PLAY = """
- hosts: localhost
  gather_facts: false
  vars_files: [VARS]
  tasks:
    - ansible.builtin.set_fact:
        found: "{{ found | default({}) | combine({item.key: names}) }}"
      vars:
        names: "{{ __kernel_debs_checks | rejectattr('ok') | map(attribute='name') }}"
        __kernel_state: {running: 6.1.0-49-amd64}
        __kernel_folder: {release: 5.6.0-050600-generic}
        __kernel_simulation: "{{ item.value[0] }}"
        __kernel_simulation_bare: "{{ item.value[1] }}"
      loop: "{{ cases | dict2items }}"
    - ansible.builtin.copy:
        content: "{{ found | to_json }}"
        dest: "{{ playbook_dir }}/found.json"
        mode: "0644"
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Return what Ansible makes of the cases: one run for all of them."""
    folder = tmp_path_factory.mktemp("simulation")
    (folder / "cases.json").write_text(json.dumps({"cases": CASES}))
    (folder / "play.yml").write_text(PLAY.replace("VARS", str(ROOT / "roles/kernel/vars/main.yml")))
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


@pytest.mark.parametrize("case", CASES)
def test_debs_that_apt_would_not_install_or_that_remove_a_package_are_refused(refused, case):
    assert refused[case] == (["dependencies"] if CASES[case][2] else [])
