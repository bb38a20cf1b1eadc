"""A run: its directory under reports/, and the programs that do the work in it."""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cli import ansible, process, screen, sshconfig
from cli.errors import InfrastructureError, UsageError
from cli.options import Options, checked
from cli.plain import plain

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"

#: ansible-playbook's exit status when hosts were unreachable and nothing else went wrong.
ANSIBLE_UNREACHABLE = 4


@dataclass
class Run:
    """One run and what is to be remembered of it. `hosts` are the variables of each host by name."""

    command: str
    hosts: Mapping[str, Mapping[str, object]]
    options: Options
    inventory: Path
    directory: Path
    started: float = field(default_factory=time.time)
    #: The version of each host's Python, as the probe has seen it.
    pythons: Mapping[str, str] = field(default_factory=dict)
    _checking: bool = False

    @functools.cached_property
    def ansible_directory(self) -> Path:
        """The directory of the ansible programs that serve the hosts."""
        return ansible.directory_for(self.pythons)

    @property
    def ssh_config(self) -> Path:
        """The file with which ssh reaches the hosts by their inventory names."""
        return self.directory / "ssh_config"

    def prepare(self) -> None:
        """Write what the programs of the run read.

        Raises UsageError for role variables of a host that make no sense.
        """
        blocks = [sshconfig.host_block(name, self.ssh_arguments(name)) for name in self.hosts]
        write_private(self.ssh_config, "\n".join(blocks))
        write_private(self.directory / "expect.json", json.dumps(self._expected(), indent=2) + "\n")

    def _expected(self) -> dict[str, dict[str, object]]:
        """Return the role variables of each host, resolved by Ansible from all that gives them a value."""
        try:
            # No host is connected to, so any ansible will do.
            steps = look("playbooks/variables.yml", "all", str(self.inventory), self.options)
        except InfrastructureError as error:
            raise UsageError(f"the role variables cannot be resolved: {error}") from None
        given = {step["host"]: json.loads(step["message"]) for step in steps}
        return checked({name: given[name] for name in self.hosts})

    def ssh_arguments(self, name: str) -> list[str]:
        """Return the arguments with which ssh reaches a host without our ssh_config."""
        return sshconfig.ssh_arguments(name, self.hosts[name])

    def record(self, outcome: str, verify: str = "", interrupted: str = "") -> None:
        """Remember how the run stands.

        verify says why the checks did not run, where they did not; interrupted names the step under way then.
        """
        content = {
            "command": self.command,
            "hosts": list(self.hosts),
            "profile": self.options.profile,
            "check": self.options.check,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "outcome": outcome,
            "verify": verify,
            "interrupted": interrupted,
        }
        write_private(self.directory / "run.json", json.dumps(content, indent=2) + "\n")

    def make_latest(self) -> None:
        """Point reports/latest here, for `make report`."""
        link = REPORTS / "latest"
        fresh = REPORTS / f".latest-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.directory.name)
        fresh.replace(link)

    def step(self) -> str:
        """Name the step that is under way, or an empty string before the first."""
        if self._checking:
            return "verify"
        steps = read_steps(self.directory / "steps.json")
        return steps[-1]["step"] if steps else ""

    def ansible(self, playbook: str) -> int:
        """Run a playbook on the hosts; return ansible-playbook's exit status."""
        inventory = str(self.inventory)
        command = playbook_command(playbook, inventory, self.options, self.directory, self.ansible_directory)
        command += ["--check", "--diff"] if self.options.check else []
        command += ["-v"] if self.options.verbose else []
        log = self.directory / "ansible.log"
        write_private(log, "")
        with _connections() as sockets:
            environment = ansible_environment(self.directory / "steps.json") | {
                "ANSIBLE_LOG_PATH": str(log),
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
            }
            return process.run(command, environment, ROOT)

    def look(self, playbook: str, tag: str) -> list[dict]:
        """Run the part of a playbook that has a tag, which is read-only, out of sight; return its steps.

        Raises InfrastructureError, a line for each host on which it failed.
        """
        with _connections() as sockets:
            sockets_here = {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets)}
            return look(
                playbook, tag, str(self.inventory), self.options, sockets_here, self.ansible_directory
            )

    def pytest(self) -> int:
        """Check the hosts; return pytest's exit status."""
        self._checking = True
        command = [
            *(sys.executable, "-m", "pytest", "tests/verify"),
            f"--lab-inventory-ssh-config={self.ssh_config}",
            f"--lab-hosts={','.join(self.hosts)}",
            f"--lab-expect={self.directory / 'expect.json'}",
            f"--lab-steps={self.directory / 'steps.json'}",
            f"--connection={self.options.connection}",
            f"--junit-xml={self.directory / 'junit.xml'}",
            f"--html={self.directory / 'report.html'}",
            "--self-contained-html",
        ]
        # One worker a host: hosts are checked side by side, the checks of one host in their order.
        command += ["-n", str(len(self.hosts)), "--dist", "loadgroup"] if len(self.hosts) > 1 else []
        # Why a check was skipped is in the report; on the screen it would hide the failures.
        command += ["-vv"] if self.options.verbose else ["-q", "-rfE"]
        print("\nverify: Check what the steps left behind", flush=True)
        return process.run(command, os.environ, ROOT, umask=0o077)


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, wherever its directory is copied to."""
    path.touch(mode=0o600)
    path.write_text(text)


def new_directory(hosts: list[str]) -> Path:
    """Make the directory of a run, named after the time and the hosts."""
    names = "+".join(hosts[:3]) + (f"+{len(hosts) - 3}-more" if len(hosts) > 3 else "")
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{names}"
    REPORTS.mkdir(exist_ok=True)
    for number in range(1, 100):
        directory = REPORTS / (stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            # The log and the differences may show what only this user should know.
            directory.mkdir(mode=0o700)
            return directory
    raise FileExistsError(17, "too many runs in one second", str(directory))


def read_steps(path: Path) -> list[dict]:
    """Return what the callback plugin recorded of each step on each host, in order."""
    steps = json.loads(path.read_text()) if path.exists() else []
    return [{**step, "message": plain(step["message"])} for step in steps]


def last_screen(directory: Path) -> str:
    """Draw the table of a run for the terminal that we write to."""
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return screen.render(directory, shutil.get_terminal_size().columns, colours)


def playbook_command(
    playbook: str, inventory: str, options: Options, directory: Path, ansible_directory: Path
) -> list[str]:
    """Return the command that runs a playbook; the profile is written into the directory.

    The profile is the first inventory, as variables of the group `all`, and the command line is -e. So the
    order is: role defaults, profile, the inventory's own variables, group_vars, host_vars, command line.
    """
    profile = directory / "profile.yml"
    write_private(profile, yaml.safe_dump({"all": {"vars": options.profile_variables()}}, sort_keys=False))
    program = str(ansible_directory / "ansible-playbook")
    command = [program, "-i", str(profile), "-i", inventory, playbook]
    return [*command, "-e", json.dumps(options.overrides)]


def ansible_environment(steps: Path) -> dict[str, str]:
    """Return the environment for ansible-playbook; steps is the file that is to record the steps."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "URING_LAB_STEPS": str(steps)}


def look(
    playbook: str,
    tag: str,
    inventory: str,
    options: Options,
    environment: Mapping[str, str] | None = None,
    ansible_directory: Path = ansible.NEWEST,
) -> list[dict]:
    """Run the part of a playbook that has a tag, which is read-only, out of sight; return its steps.

    Raises InfrastructureError, a line for each host on which it failed.
    """
    with tempfile.TemporaryDirectory(prefix="uring-lab-") as directory:
        file = Path(directory) / "steps.json"
        run = subprocess.run(
            [
                *playbook_command(playbook, inventory, options, Path(directory), ansible_directory),
                *("--tags", tag),
            ],
            env=ansible_environment(file) | (environment or {}),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        steps = read_steps(file)
    if run.returncode:
        failed = [
            step["message"] if step["host"] == "localhost" else f"{step['host']}: {step['message']}"
            for step in steps
            if step["status"] in ("failed", "unreachable")
        ]
        said = (run.stderr.strip() or run.stdout.strip()).splitlines() or ["ansible-playbook failed"]
        raise InfrastructureError("\n".join(failed or said[:1]))
    return steps


@contextlib.contextmanager
def _connections() -> Iterator[Path]:
    """Give Ansible a directory for the sockets of its shared connections, and end those when it is done.

    Left alone they would outlive it by the minutes of ControlPersist. The path is short, since that of a
    socket may have no more than 107 characters.
    """
    with tempfile.TemporaryDirectory(prefix="uring-lab-", ignore_cleanup_errors=True) as directory:
        try:
            yield Path(directory)
        finally:
            for master in Path(directory).iterdir():
                command = ["ssh", "-F", "none", "-o", f"ControlPath={master}", "-O", "exit", "any"]
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run(command, capture_output=True, timeout=5, check=False)
