"""What the command line does when it is told to provision, verify, roll back, report or list kernels."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cli import ansible, run, sshconfig, target
from cli.errors import InfrastructureError, Interrupted, LockLostError, UsageError
from cli.labhost import lab_host_runs, lab_inventory
from cli.lock import HostLock
from cli.options import Options, read_options
from cli.probe import probe
from cli.run import Run

KERNELS = "playbooks/kernels.yml"


def provision(environment: Mapping[str, str]) -> int:
    """Do every step on the hosts and prove them; return the exit status."""
    options = _options(environment)
    with _opened("provision", options, environment, make_lab_host=True) as current, _locked(current):
        status = _play(current, "playbooks/provision.yml")
        if status:
            return _close(current, status, "a step failed, so there is nothing to prove")
        if options.check:
            return _close(current, 0, "CHECK=1 changes nothing, so there is nothing to prove")
        return _close(current, _checks(current))


def verify(environment: Mapping[str, str]) -> int:
    """Check hosts that were provisioned before; return the exit status."""
    options = _options(environment)
    with _opened("verify", options, environment) as current:
        return _close(current, _checks(current))


def rollback(environment: Mapping[str, str]) -> int:
    """Undo on the hosts what provisioning did; return the exit status."""
    options = _options(environment)
    with _opened("rollback", options, environment) as current, _locked(current):
        return _close(current, _play(current, "playbooks/rollback.yml"))


def report(_environment: Mapping[str, str]) -> int:
    """Show the table of the last run again."""
    latest = run.REPORTS / "latest"
    if not (latest / "run.json").exists():
        raise UsageError("there has been no run yet; `make provision` makes one")
    try:
        print(run.last_screen(latest.resolve()))
    except KeyError:
        raise UsageError(f"{latest.resolve()} was recorded by another version of uring-lab") from None
    return 0


def kernels(environment: Mapping[str, str]) -> int:
    """List the kernels that the mainline archive offers and, where there is a host, those that it has.

    The hosts come last, where they stay on the screen, and come even if the archive is out of reach.
    """
    options = read_options({**environment, "KERNEL": ""}, run.ROOT / "profiles")
    hosts = target.chosen(environment)
    silence = None
    # The localhost that Ansible adds to an inventory has the variables of the group `all`: a mirror, for one.
    inventory = str(hosts) if isinstance(hosts, Path) else "localhost,"
    try:
        for step in run.look(KERNELS, "archive", inventory, options):
            print(step["message"], flush=True)
    except InfrastructureError as error:
        silence = error
    if hosts or lab_host_runs(environment):
        with _opened("kernels", options, environment) as current:
            for step in current.look(KERNELS, "host"):
                print(f"\n{step['host']}:\n{step['message']}", flush=True)
    if silence:
        raise silence
    return 0


def _options(environment: Mapping[str, str]) -> Options:
    options = read_options(environment, run.ROOT / "profiles")
    target.chosen(environment)
    return options


@contextlib.contextmanager
def _opened(
    command: str, options: Options, environment: Mapping[str, str], make_lab_host: bool = False
) -> Iterator[Run]:
    """Find the hosts, prove that each can be reached, and keep the record of the run.

    A run that ends before it began, a host being out of reach or locked, leaves no directory behind.
    """
    choice = target.chosen(environment)
    if choice is None:
        choice = lab_inventory(environment, make_lab_host)
    if isinstance(choice, Path):
        inventory = choice
        hosts = sshconfig.inventory_hosts(inventory, str(ansible.NEWEST / "ansible-inventory"))
        directory = run.new_directory(list(hosts))
    else:
        directory = run.new_directory(list(choice))
        inventory = directory / "inventory.yml"
        run.write_private(inventory, target.inventory(choice))
        hosts = {name: host.inventory_variables() for name, host in choice.items()}
    current = Run(command, hosts, options, inventory, directory)
    try:
        current.prepare()
        current.pythons = _reach(current)
        yield current
    except Interrupted as interruption:
        if (directory / "run.json").exists():
            current.record("interrupted", "the run was interrupted", current.step())
            interruption.args = (
                "interrupted; the same command carries on, `make report` shows how far it came",
            )
        raise
    except LockLostError:
        if (directory / "run.json").exists():
            current.record("interrupted", "another run took the host's lock", current.step())
        raise
    finally:
        if not (directory / "run.json").exists():
            shutil.rmtree(directory)


def _reach(current: Run) -> dict[str, str]:
    """Probe all hosts side by side; return the version of each one's Python.

    Raises InfrastructureError, a line for each that cannot be reached.
    """
    with ThreadPoolExecutor(max_workers=10) as pool:
        probes = {
            name: pool.submit(probe, name, current.ssh_config, current.ssh_arguments(name))
            for name in current.hosts
        }
    problems = [
        str(error) for each in probes.values() if isinstance(error := each.exception(), InfrastructureError)
    ]
    if problems:
        raise InfrastructureError("\n".join(problems))
    return {name: each.result() for name, each in probes.items()}


@contextlib.contextmanager
def _locked(current: Run) -> Iterator[None]:
    """Hold the lock of every host.

    With CHECK=1 none is taken: it changes nothing, and a look at a host must not keep others from their work.
    """
    with contextlib.ExitStack() as locks:
        if not current.options.check:
            for name in current.hosts:
                locks.enter_context(HostLock(name, current.ssh_config))
        yield


def _play(current: Run, playbook: str) -> int:
    """Run a playbook; return our own exit status for how it went."""
    current.record("running")
    current.make_latest()
    status = current.ansible(playbook)
    if status == run.ANSIBLE_UNREACHABLE:
        return InfrastructureError.exit_status
    return 1 if status else 0


def _checks(current: Run) -> int:
    current.record("running")
    current.make_latest()
    return 1 if current.pytest() else 0


def _close(current: Run, status: int, verify: str = "") -> int:
    """Record the outcome and show the last screen; return the exit status."""
    current.record("failed" if status else "done", verify)
    print(f"\n{run.last_screen(current.directory)}", flush=True)
    return status
