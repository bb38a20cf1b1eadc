#!/usr/bin/python3
"""A simulation of the upgrader that do-release-upgrade downloads: upgrades, or fails in a given way.

It really rewrites the sources (old-releases becomes archive), runs apt and dpkg, and restores the sources if
it gives up before that. Like the real one's non-interactive front end it writes errors only to main.log,
answers every question with yes, keeps changed configuration files and does not reboot.
"""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCES = Path("/etc/apt/sources.list.d")
OWN = re.compile(r"^deb.*//[^/]*\bubuntu\.com/")
ENTRY = re.compile(r"(deb(?:-src)?) (\S+) (\S+) (.*)")
#: The sources files that were created.
MADE = []
LOGS = Path("/var/log/dist-upgrade")
HINDRANCE = Path("/run/simulated-ubuntu-hindrance")

#: Errors before and after the sources are rewritten, in the real one's words.
BEFORE = {
    "lock": "Unable to get exclusive lock This usually means that another package management application",
    "broken packages": "Broken packages Your system contains broken packages that couldn't be fixed",
    "python link": "Can not upgrade Your python3 install is corrupted. Please fix the",
}
AFTER = {
    "no space": "Not enough free disk space The upgrade needs a total of 9 G free space on disk '/'.",
    "no way": "Could not calculate the upgrade An unresolvable problem occurred",
    "not fetched": "Could not download the upgrades The upgrade has aborted.",
}


def start_log():
    """Begin main.log, and move the logs of an earlier run to a subdirectory."""
    LOGS.mkdir(parents=True, exist_ok=True)
    earlier = LOGS / time.strftime("%Y%m%d-%H%M")
    for log in LOGS.glob("*.log"):
        earlier.mkdir(exist_ok=True)
        log.rename(earlier / log.name)
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.DEBUG, filename=LOGS / "main.log", format=form)
    logging.info("release-upgrader version 'simulated' started")


def sources():
    """Return apt's sources files, each with the path of its backup."""
    files = [Path("/etc/apt/sources.list"), *SOURCES.glob("*.list")]
    return [(file, Path(f"{file}.distUpgrade")) for file in files]


def rewrite(present, to):
    """Point the distribution's entries at the new release and comment out those of others."""
    for file, copy in sources():
        shutil.copy2(file, copy)
        lines = [_rewritten(line, present, to) for line in file.read_text().splitlines()]
        file.write_text("".join(f"{line}\n" for line in lines))


def _rewritten(line, present, to):
    if not line.startswith("deb"):
        return line
    if not OWN.search(line):
        return f"# {line} # disabled on upgrade to {to}"
    return re.sub(rf"\b{present}\b", to, line).replace("//old-releases.ubuntu.com/", "//archive.ubuntu.com/")


def migrate(present, to):
    """Convert the one-line format to deb822. Comments are left out."""
    for file, copy in sources():
        shutil.copy2(file, copy)
        stanzas, left = {}, []
        for line in file.read_text().splitlines():
            found = ENTRY.fullmatch(_rewritten(line, present, to) if OWN.search(line) else line)
            if not found:
                left.append(line)
                continue
            stanza = "Types: {}\nURIs: {}\nSuites: {}\nComponents: {}\n".format(*found.groups())
            name = "ubuntu" if OWN.search(line) else "third-party"
            name = name if file.name == "sources.list" else file.stem
            stanzas.setdefault(name, []).append(stanza if OWN.search(line) else f"Enabled: no\n{stanza}")
        file.unlink()
        for name, made in stanzas.items():
            MADE.append(SOURCES / f"{name}.sources")
            MADE[-1].write_text("\n".join(made))
        if left:
            Path(f"{file}.disabled").write_text("".join(f"# {line}\n" for line in left))
    Path("/etc/apt/sources.list").write_text("# Ubuntu sources have moved to sources.list.d/ubuntu.sources\n")


def restore():
    """Restore the sources."""
    for copy in [*SOURCES.glob("*.distUpgrade"), *SOURCES.parent.glob("*.distUpgrade")]:
        shutil.copy2(copy, copy.with_suffix(""))
    for file in MADE:
        file.unlink()


def refuse(words):
    """Log the reason, restore the sources and exit."""
    logging.error("%s (None)", words)
    logging.debug("abort called")
    restore()
    logging.error("view.abort called")
    sys.exit(1)


def apt_get(*arguments):
    """Start apt-get like the real one: non-interactive, keeping configuration files. Return its process."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "--yes", "--quiet", "-o", "Dpkg::Options::=--force-confold", *arguments]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)


def upgrade(play):
    """Upgrade the packages; exit on a failure."""
    if play in ("package fails", "dies half-way", "host dies"):
        HINDRANCE.write_text("fails" if play == "package fails" else "hangs")
    work = apt_get("dist-upgrade")
    if play in ("dies half-way", "host dies"):
        while HINDRANCE.exists():
            time.sleep(0.1)
        if play == "host dies":
            subprocess.run(["systemctl", "--force", "--force", "reboot"], check=False)
            time.sleep(60)
        os.killpg(work.pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    if work.wait():
        logging.error("got a error from dpkg for pkg: 'lab-service'")
        logging.error("Could not install the upgrades The upgrade has aborted. (None)")
        sys.exit(1)


def main():
    """Run with the given behaviour."""
    play = sys.argv[1]
    start_log()
    settings = json.loads(Path("settings.json").read_text())
    present = subprocess.check_output(["lsb_release", "-c", "-s"], text=True).strip()
    to = settings["to"]
    if present not in settings["from"]:
        refuse(f"Can not upgrade An upgrade from '{present}' to '{to}' is not supported with this tool.")
    if play in BEFORE:
        refuse(BEFORE[play])
    if play == "does nothing":
        sys.exit(0)
    (migrate if settings["deb822"] else rewrite)(present, to)
    if apt_get("update").wait():
        refuse("Error during update A problem occurred during the update.")
    if play in AFTER:
        refuse(AFTER[play])
    if play == "crashes":
        logging.error("not handled exception:\nTraceback (most recent call last):\nKeyError: 'candidate'")
        sys.exit(1)
    for step in range({"slow": 20, "never ends": 10**6}.get(play, 0)):
        print(f"fetched http://archive.ubuntu.com/ubuntu/pool/{step} ({step}/100)", flush=True)
        time.sleep(1)
    upgrade(play)
    if settings["deb822"]:
        for copy in [*SOURCES.glob("*.distUpgrade"), *SOURCES.parent.glob("*.distUpgrade")]:
            copy.unlink()
    logging.debug("confirmRestart() called")


main()
