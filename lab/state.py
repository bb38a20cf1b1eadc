"""The state of a machine, stored as `machine.json` in the machine's directory."""

import json
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.process import Process

FILE = "machine.json"


@dataclass
class State:
    """A machine as the last lab command left it."""

    directory: Path
    name: str
    kind: str
    suite: str
    port: int = 0
    #: Path of the image that its disk or root was made from.
    image: str = ""
    #: QEMU, or the supervisor of a container.
    process: Process | None = None
    emulated: bool = False

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.alive()

    def save(self) -> None:
        """Write it to its file atomically."""
        data = {
            "name": self.name,
            "kind": self.kind,
            "suite": self.suite,
            "port": self.port,
            "image": self.image,
            "process": self.process.as_dict() if self.process else None,
            "emulated": self.emulated,
        }
        new = self.directory / f"{FILE}.new"
        new.write_text(json.dumps(data, indent=2) + "\n")
        new.rename(self.directory / FILE)


def load(directory: Path) -> State | None:
    """Return the state of the machine in a directory, or None when there is no machine.

    Raises LabError, with the remedy, when the file cannot be read.
    """
    try:
        data = json.loads((directory / FILE).read_text())
        process = data.pop("process")
        return State(directory=directory, process=Process(**process) if process else None, **data)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"{directory / FILE} cannot be read ({error}). Make sure that no process of the machine runs, "
            f"remove {directory}, and start over."
        ) from error
