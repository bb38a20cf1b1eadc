"""What apt itself says of a transaction: its simulation before, and its own history after."""

import glob
import gzip
import re

HISTORY = "/var/log/apt/history.log"

#: An option that apt does not know and writes into its history with the rest of the command line: by it a
#: transaction of ours is told from one of the owner's.
MARK = "Uring-Lab::Transaction"

_INST = re.compile(r"^Inst (\S+) (?:\[(\S+)\] )?\(", re.MULTILINE)
_REMV = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
_NAME = re.compile(r"([a-z0-9][a-z0-9.+-]*)(?::[a-z0-9-]+)? \(")


def simulated(text):
    """Read what ``apt-get --simulate`` has printed.

    Returns:
        A dict: ``new``, the sorted packages that would be new; ``replaced``, the present version of each
        package that another one would replace; ``removed``, the sorted packages that would go.

    """
    found = _INST.findall(text)
    return {
        "new": sorted({_bare(name) for name, present in found if not present}),
        "replaced": {_bare(name): present for name, present in found if present},
        "removed": sorted({_bare(name) for name in _REMV.findall(text)}),
    }


def installed_by(mark, history):
    """Return the packages that a transaction has installed, or None where the history does not have it.

    apt writes the entry before dpkg begins, so that it is there for a transaction that was cut off, too.

    Args:
        mark: the transaction's.
        history: the texts of apt's history, as ``read_history`` returns it.

    Source: apt-pkg/deb/dpkgpm.cc, pkgDPkgPM::OpenLog.

    """
    for entry in _entries(history):
        if re.search(r"%s=%s(\s|$)" % (MARK, re.escape(mark)), entry.get("Commandline", "")):
            return _NAME.findall(entry.get("Install", ""))
    return None


def installed_by_others(history):
    """Return the set of packages that transactions without our mark have installed."""
    names = set()
    for entry in _entries(history):
        if MARK not in entry.get("Commandline", ""):
            names.update(_NAME.findall(entry.get("Install", "")))
    return names


def read_history(path=HISTORY):
    """Return the text of apt's history, that of rotated files included, the newest first."""
    texts = []
    for name in [path, *sorted(glob.glob(path + ".*.gz"), key=_rotation)]:
        try:
            with gzip.open(name, "rb") if name.endswith(".gz") else open(name, "rb") as file:
                texts.append(file.read().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n\n".join(texts)


def _rotation(name):
    return int((re.findall(r"\.(\d+)\.gz$", name) or ["0"])[0])


def _entries(history):
    for part in re.split(r"\n\s*\n", history):
        yield dict(line.split(": ", 1) for line in part.splitlines() if ": " in line)


def _bare(name):
    return name.split(":")[0]
