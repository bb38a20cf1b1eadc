"""Measure provisioning against the article's commands, typed by a script into an identical fresh container.

Usage: python -m bench.provision [--rounds 3] [--suite bookworm]

Each turn makes a new container from the same image, which is not part of the time.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from bench import output, rounds, samples, table
from bench.errors import BenchError
from bench.programs import ROOT
from cli import ansible
from lab import access, machine
from lab.archive import suite as known_suite
from lab.errors import LabError

REPORTS = ROOT / "reports" / "bench-provision"

ARTICLE = Path(__file__).with_name("article.sh")

NAME = "bench-provision"

#: What a contender does to a container.
Work = Callable[[machine.Machine], None]

#: The processor time that the container's control group has used, in microseconds.
USED = "sed -n 's/^usage_usec //p' /sys/fs/cgroup/cpu.stat"


def main() -> int:
    """Measure, print the tables, write the reports, and return an exit status."""
    parser = argparse.ArgumentParser(description="Measure provisioning against the commands by hand.")
    parser.add_argument("--rounds", type=samples.count, default=3, help="per case (default: %(default)s)")
    parser.add_argument("--suite", help="a release (default: this computer's own)")
    arguments = parser.parse_args()
    # SIGTERM takes the same clean-up path as Ctrl-C, so that no container is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    suite = known_suite(arguments.suite).name
    results = []
    try:
        machine.install_packages(NAME, "container", suite)
        for case in cases(suite):
            results.append(rounds.measure(case, arguments.rounds, output.Progress(case.name)))
            output.clear()
            print(table.terminal(results[-1]) + "\n", flush=True)
    except (BenchError, LabError) as problem:
        output.say(str(problem))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        machine.down(NAME)
        if results:
            output.write(REPORTS, results, about(suite, arguments.rounds), {})
    return 0


def cases(suite: str) -> Iterator[rounds.Case]:
    """Make the cases; the second one begins with a container that was provisioned by the way."""

    def contender(
        place: Callable[[], AbstractContextManager[machine.Machine]], work: Work
    ) -> Callable[[], rounds.Figures]:
        def turn() -> rounds.Figures:
            with place() as host:
                return measured(host, work)

        return turn

    def fresh() -> AbstractContextManager[machine.Machine]:
        return container(suite)

    yield rounds.Case(
        title="A fresh container",
        label=suite,
        reference="the article's commands",
        figure="time",
        contenders={
            "the article's commands": contender(fresh, type_commands),
            "make provision": contender(fresh, provision),
            "without its verification": contender(fresh, steps_alone),
        },
    )
    with container(suite) as provisioned:
        provision(provisioned)

        def again() -> AbstractContextManager[machine.Machine]:
            return nullcontext(provisioned)

        yield rounds.Case(
            title="The same container again",
            label=suite,
            reference="make verify",
            figure="time",
            contenders={
                "make verify": contender(again, verify),
                "make provision": contender(again, provision),
            },
        )


@contextmanager
def container(suite: str) -> Iterator[machine.Machine]:
    """Make a fresh container, and remove it."""
    machine.down(NAME)
    try:
        yield machine.up(NAME, "container", suite)
    finally:
        machine.down(NAME)


def measured(host: machine.Machine, work: Work) -> rounds.Figures:
    """Do the work; return the seconds that it took, and those of processor time in the container."""
    before = int(shell(host, USED))
    start = time.monotonic()
    work(host)
    return {"time": time.monotonic() - start, "cpu": (int(shell(host, USED)) - before) / 1e6}


def type_commands(host: machine.Machine) -> None:
    """Copy the samples, and run the article's commands."""
    tree = subprocess.run(
        ["tar", "-c", "--exclude=program", "samples"], cwd=ROOT, capture_output=True, check=True
    )
    shell(host, "tar -x", tree.stdout)
    shell(host, "sudo sh -s", ARTICLE.read_bytes())


def shell(host: machine.Machine, command: str, stdin: bytes = b"") -> str:
    """Run a shell command in the container and return what it prints. Raises BenchError."""
    return run(access.ssh(host.directory, host.name, command), stdin)


def provision(host: machine.Machine) -> None:
    """Provision the container, and verify it."""
    run(["make", "provision", f"INVENTORY={host.inventory}"])


def verify(host: machine.Machine) -> None:
    """Verify the container."""
    run(["make", "verify", f"INVENTORY={host.inventory}"])


def steps_alone(host: machine.Machine) -> None:
    """Provision the container without a verification."""
    playbook = ["playbooks/provision.yml", "-e", "@profiles/archive.yml"]
    run([str(ansible.NEWEST / "ansible-playbook"), "-i", str(host.inventory), *playbook])


def run(command: list[str], stdin: bytes = b"") -> str:
    """Run a command of this computer and return what it prints. Raises BenchError with its last line."""
    # Make's own variables would be those of the make that called us.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    done = subprocess.run(command, cwd=ROOT, env=environment, input=stdin, capture_output=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines() or ["nothing"]
        raise BenchError(f"`{' '.join(command[:3])} …` ended with {done.returncode}, saying: {said[-1]}")
    return done.stdout.decode()


def about(suite: str, count: int) -> dict:
    """Return the computer, the versions and the parameters of a measurement."""
    return {**output.computer(), "suite": suite, "rounds": count, "ansible-core": ansible.newest}


if __name__ == "__main__":
    sys.exit(main())
