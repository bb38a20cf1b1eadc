"""A mainline archive of bootable kernels, and the kernel step with that archive."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.e2e.support import ROOT, playbook, playbook_command
from tests.mirror import kernels, server
from tests.mirror.archive import Mirror
from tests.mirror.minimal_debs import base

#: Seconds until an unconfirmed trial reboots. An emulated machine answers 30 s after its start.
CONFIRM = 120

#: A real Linux 5.6 under its mainline name; URING_LAB_KERNELS names a directory with VERSION/*.deb.
REAL_VERSION, REAL_RELEASE = "5.6.4", "5.6.4-050604-generic"
REAL_DIRECTORY = Path(os.environ.get("URING_LAB_KERNELS", "")) / REAL_VERSION
REAL_DEBS = sorted(REAL_DIRECTORY.glob("*.deb"))
NO_REAL_DEBS = f"URING_LAB_KERNELS names no directory with {REAL_VERSION}/*.deb, a real Linux 5.6"


class Archive:
    """The archive, its server, and the role variables to use it.

    Attributes:
        mirror: the archive's files.
        server: the server, which can inject faults.
        headers: whether its builds have headers, whose installation takes half a minute under emulation.

    """

    def __init__(self, directory: Path, running: server.Server, headers: bool):
        self.directory = directory
        self.headers = headers
        self.mirror = Mirror(directory / "mainline")
        self.server = running

    def add(self, version: str, stamp: str, variant: str = "good", layout: str = "folder") -> str:
        """Add a build of a kernel that boots, or fails to boot as `variant` says; return its release."""
        directory = self.directory / f"{version}-{stamp}"
        made = kernels.build(directory, version, stamp, variant, headers=self.headers)
        self.mirror.add(version, made, layout=layout)
        return f"{base(version)}-generic"

    def variables(self, version: str, **others: object) -> str:
        """Return the role's variables for a version, as JSON."""
        given = {
            "kernel_source": "mainline",
            "kernel_version": version,
            "kernel_mainline_url": self.server.url,
            "kernel_mainline_key": str(self.mirror.key),
            "kernel_mainline_fingerprint": self.mirror.fingerprint,
            "kernel_confirm_timeout": CONFIRM,
            "kernel_headers": self.headers,
            "__kernel_retries": 1,
            "__kernel_retry_delay": 1,
        }
        return json.dumps(given | others)

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a run, with a separate download cache."""
        return {"XDG_CACHE_HOME": str(self.directory / "cache")}

    def step(self, host, version: str, *arguments: str, **others: object) -> tuple[int, str]:
        """Run the kernel step on a host; return its exit status and its output in one line."""
        given = ["-e", self.variables(version, **others), *arguments]
        code, output = playbook(host, "kernel", *given, environment=self.environment)
        return code, " ".join(output.split())


@contextlib.contextmanager
def archive(directory: Path, headers: bool = True) -> Iterator[Archive]:
    """Serve an empty archive on the loopback interface of this computer, the controller."""
    root = directory / "mainline"
    root.mkdir()
    with server.serve(root) as running:
        yield Archive(directory, running, headers)


@contextlib.contextmanager
def real_archive(directory: Path) -> Iterator[Archive]:
    """Serve the real kernel in the layout of its time, signed by a key of the test's own."""
    with archive(directory, headers=False) as served:
        served.mirror.add(REAL_VERSION, REAL_DEBS)
        yield served


def killed(
    host, variables: str, reached: Callable[[], object], environment: dict[str, str] | None = None
) -> None:
    """Run the kernel step on a host and kill its controller as soon as something is reached."""
    run = subprocess.Popen(
        playbook_command(host, "kernel", "-e", variables),
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not reached():
            assert run.poll() is None, "it ended before that"
            time.sleep(0.5)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
