#!/usr/bin/python3
"""A simulation of Ubuntu's do-release-upgrade: downloads the upgrader of an offered release and runs it.

The checks, their order, the messages and the exit statuses are the real one's: 1 when there is nothing to do
or something has to be done first, and 0 when the upgrader could not be downloaded or verified. Mode and front
end are passed on but have no effect: it always behaves as the non-interactive front end.
"""

import argparse
import configparser
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import apt

BEHAVIOUR = Path("/var/lib/simulated-ubuntu/behaviour")
KEYRING = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"


def offered():
    """Return the meta-release stanza of the offered release, or exit with the reason."""
    settings = configparser.ConfigParser()
    settings.read(["/etc/update-manager/meta-release", "/etc/update-manager/release-upgrades"])
    prompt = settings.get("DEFAULT", "Prompt", fallback="normal").lower()
    if prompt in ("never", "no"):
        end(
            1,
            "In /etc/update-manager/release-upgrades Prompt \nis set to never so upgrading is not possible.",
        )
    uri = settings.get("METARELEASE", "URI_LTS" if prompt == "lts" else "URI")
    try:
        text = get(uri).decode()
    except urllib.error.HTTPError:
        text = ""
    except urllib.error.URLError:
        print(f"Failed to connect to {uri}. Check your Internet connection or proxy settings")
        text = ""
    stanzas = [
        dict(line.split(": ", 1) for line in part.splitlines()) for part in text.split("\n\n") if part.strip()
    ]
    names = [stanza["Dist"] for stanza in stanzas]
    present = subprocess.check_output(["lsb_release", "-c", "-s"], text=True).strip()
    later = stanzas[names.index(present) + 1 :] if present in names else []
    # Skips unsupported releases, even if the next one's upgrader does not support an upgrade from here.
    found = next((stanza for stanza in later if stanza["Supported"] == "1"), None)
    if found is None and prompt == "lts":
        end(1, "There is no development version of an LTS available.")
    if found is None:
        end(1, "No new release found.")
    return found


def check_the_host():
    """Exit with the reason if the host is not ready."""
    pending = [
        package.name
        for package in apt.Cache()
        if package.is_upgradable and "Phased-Update-Percentage" not in package.candidate.record
    ]
    if pending:
        end(1, "Please install all available updates for your release before upgrading.")
    packages = Path("/var/run/reboot-required.pkgs")
    waiting = packages.read_text().split() if packages.exists() else []
    if any(name in ("libc6", "linux-base") or name.startswith("linux-image-") for name in waiting):
        end(1, "You have not rebooted after updating a package which requires a reboot.")


def behaviour():
    """Return the behaviour of this run: the first line of the file, removed unless it is the last."""
    first, *rest = BEHAVIOUR.read_text().splitlines()
    if rest:
        BEHAVIOUR.write_text("\n".join(rest))
    return first


def fetch(stanza, play):
    """Download the upgrader and return its path; on a failure exit with status 0, like the real one."""
    directory = Path(tempfile.mkdtemp(prefix="ubuntu-release-upgrader-"))
    os.chdir(directory)
    tool = stanza["UpgradeTool"]
    packed = Path(tool).name
    signature = f"{packed}.gpg"
    try:
        Path(signature).write_bytes(get(stanza["UpgradeToolSignature"]))
        Path(packed).write_bytes(get(tool if play != "fetch fails" else f"{tool}.gone"))
    except urllib.error.URLError as error:
        print(f"Err {error}")
        end(0, "Failed to fetch\nFetching the upgrade failed. There may be a network problem. ")
    if play == "not authentic":
        Path(packed).write_bytes(b"changed on its way")
    print(f"authenticate '{packed}' against '{signature}' ")
    verify = ["gpgv", "--keyring", KEYRING, signature, packed]
    if subprocess.run(verify, stderr=subprocess.DEVNULL, check=False).returncode:
        end(0, "Authentication failed\nAuthenticating the upgrade failed.")
    print(f"extracting '{packed}'")
    with tarfile.open(packed) as tar:
        tar.extractall()  # noqa: S202  # made by the tests, and verified
    return str(directory / stanza["Dist"])


def get(uri):
    """Download a URI. Raises URLError."""
    with urllib.request.urlopen(uri, timeout=20) as answer:  # noqa: S310  # the meta-release files' own
        return answer.read()


def end(status, words):
    """Print a message and exit."""
    print(words)
    sys.exit(status)


def main():
    """Run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--check-dist-upgrade-only", action="store_true")
    parser.add_argument("-m", "--mode", default="server")
    parser.add_argument("-f", "--frontend", default="DistUpgradeViewText")
    options = parser.parse_args()
    print("Checking for a new Ubuntu release", flush=True)
    stanza = offered()
    if options.check_dist_upgrade_only:
        end(0, f"New release '{stanza['Version']}' available.\nRun 'do-release-upgrade' to upgrade to it.")
    check_the_host()
    play = behaviour()
    if play == "release notes":
        # Versions of 2021 ask even non-interactively, and take the end of the input as a no.
        print("\n= Welcome =\n\nContinue [yN] ", end="", flush=True)
        if not sys.stdin.readline().lower().startswith("y"):
            sys.exit(0)
    script = fetch(stanza, play)
    sys.stdout.flush()
    os.execv(script, [script, play, options.mode, options.frontend])  # noqa: S606  # as the real one does


main()
