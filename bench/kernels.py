"""Measure the samples on several kernels, one after the other, in one lab machine.

Usage: python -m bench.kernels [--name bench] [--rounds 3] [--seconds 2] [--filter REGEX] KERNEL...

A KERNEL is what make's KERNEL takes: keep (the machine's own), apt:SUITE/PACKAGE, debs:FOLDER, 5.6. The
kernel role installs and tries it. Rates of different kernels are of different boots of an emulated machine,
so only ratios to nginx on the same kernel are shown. The machine is left for another run; `make lab-down
NAME=bench` removes it.
"""

import argparse
import json
import os
import subprocess
import sys

from bench.errors import BenchError
from bench.programs import ROOT
from bench.samples import count, pattern
from cli import ansible
from cli.errors import UsageError
from cli.options import role_variables
from lab import access, machine
from lab.errors import LabError

REPORTS = ROOT / "reports" / "bench-kernels"

#: What bench.samples needs there.
TREE = ("bench", "lab", "samples", "roles/samples/defaults")

#: 05 against 08 is READV and WRITEV against RECV and SEND; 09 -5 is what Linux 5.6 has, 09 what came since.
SERVERS = "^server, 611 B.*: (05|08|09|nginx$)"

#: A part of bench.samples' results.json: case, contender, and what of it is shown.
Results = dict[str, dict[str, dict[str, float]]]


def main() -> int:
    """Measure, print a table per case, write it, and return an exit status."""
    parser = argparse.ArgumentParser(description="Measure the samples on several kernels in a lab machine.")
    parser.add_argument("kernels", nargs="+", metavar="KERNEL")
    parser.add_argument("--name", default="bench", help="of the lab machine (default: %(default)s)")
    parser.add_argument("--rounds", type=count, default=3, help="per case (default: %(default)s)")
    parser.add_argument("--seconds", type=count, default=2, help="of load (default: %(default)s)")
    parser.add_argument("--filter", type=pattern, default=pattern(SERVERS), metavar="REGEX")
    arguments = parser.parse_args()
    try:
        chosen = {value: role_variables({"KERNEL": value}) for value in arguments.kernels}
        machine.install_packages(arguments.name, "vm", None)
        host = machine.up(arguments.name, "vm")
        prepare(host)
        found = {}
        for variables in chosen.values():
            install(host, variables)
            release, results = measure(host, arguments)
            found[release] = results
            write(found)
    except (BenchError, LabError, UsageError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    print(markdown(found))
    return 0


def prepare(host: machine.Machine) -> None:
    """Copy what was committed to the machine, and install what a measurement needs there."""
    tree = subprocess.run(["git", "archive", "HEAD", *TREE], cwd=ROOT, capture_output=True, check=True)
    shell(host, "mkdir -p uring-lab && tar -x -C uring-lab", tree.stdout)
    shell(host, "cd uring-lab && lab/system-packages bench && sudo apt-get install -q -y python3-yaml")


def install(host: machine.Machine, variables: dict[str, object]) -> None:
    """Run the kernel role. Raises BenchError."""
    playbook = ["playbooks/kernel.yml", "-e", json.dumps(variables)]
    command = [ansible.NEWEST / "ansible-playbook", "-i", host.inventory, *playbook]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    if subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False).returncode:
        raise BenchError(f"the kernel of {variables} could not be installed")


def measure(host: machine.Machine, arguments: argparse.Namespace) -> tuple[str, Results]:
    """Measure on the kernel that runs; return its release and the ratios."""
    options = f"--rounds {arguments.rounds} --seconds {arguments.seconds} --upstream /none"
    options += f" --filter '{arguments.filter.pattern}'"
    shell(host, f"cd uring-lab && sudo python3 -m bench.samples {options}")
    read = json.loads(shell(host, "cat uring-lab/reports/bench-samples/results.json"))
    cases = {
        f"{case['title']}, {case['label']}": {
            name: {**row, "rounds": len(case["rounds"][name])} for name, row in case["summary"].items()
        }
        for case in read["cases"]
    }
    return read["about"]["kernel"], cases


def shell(host: machine.Machine, command: str, stdin: bytes = b"") -> str:
    """Run a shell command on the machine and return what it prints. Raises BenchError."""
    ssh = access.ssh(host.directory, host.name, command)
    done = subprocess.run(ssh, input=stdin, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise BenchError(f"{host.name}: `{command}` ended with {done.returncode}")
    return done.stdout.decode()


def write(found: dict[str, Results]) -> None:
    """Write what was found so far, so that an interrupted measurement is not lost."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (REPORTS / "ratios.md").write_text(markdown(found))


def markdown(found: dict[str, Results]) -> str:
    """Return a table per case: a row per contender, a column per kernel.

    Args:
        found: the results by the kernel's release.

    """
    parts = []
    for case in dict.fromkeys(case for results in found.values() for case in results):
        rows = [results.get(case, {}) for results in found.values()]
        parts.append(f"| {case} | {' | '.join(found)} |\n| --- |{' --- |' * len(found)}")
        for name in dict.fromkeys(name for row in rows for name in row):
            parts.append(f"| {name} | {' | '.join(_cell(row.get(name)) for row in rows)} |")
        parts.append("")
    return "\n".join(parts)


def _cell(row: dict[str, float] | None) -> str:
    if row is None or row["ratio"] is None:
        return "failed"
    return f"{row['ratio']:.2f} ({row['won']:.0f}/{row['rounds']}), CPU {row['cpu_ratio']:.2f}"


if __name__ == "__main__":
    sys.exit(main())
