"""liburing's source on the controller, as a git repository."""

import subprocess

from tests.e2e.debian_source import get_source


def make_repository(host, directory):
    """Make a git repository of the archive's source package in an empty directory, with one commit."""
    unpack = ["tar", "-xz", "--no-same-owner", "-C", directory]
    subprocess.run(unpack, input=get_source(host, "liburing"), check=True)
    git(directory, "init", "--quiet")
    git(directory, "add", "--all", "--force")
    git(directory, "commit", "--quiet", "--message", "all")


def git(directory, *arguments):
    """Run git in a directory and return its output."""
    command = ["git", "-C", directory, "-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
