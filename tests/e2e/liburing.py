"""liburing's source on the controller, as a git repository."""

import subprocess

# Runs in the container, because this computer may have no package lists; writes the tree to standard output.
GET_SOURCE = r"""
set -eu
exec 3>&1 >&2 </dev/null
sudo apt-get update
sudo apt-get install --yes --no-install-recommends dpkg-dev
mkdir -p /tmp/source/lists/partial /tmp/source/cache && cd /tmp/source
. /etc/os-release
uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $VERSION_CODENAME")
echo "deb-src $uri $VERSION_CODENAME main" > sources
set -- -o Dir::Etc::sourcelist=/tmp/source/sources -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists=/tmp/source/lists -o Dir::Cache=/tmp/source/cache
apt-get "$@" update
apt-get "$@" source --only-source liburing
tar -cz -C liburing-*/ --exclude=.pc . >&3
"""


def make_repository(host, directory):
    """Make a git repository of the archive's source package in an empty directory, with one commit."""
    ssh = ["ssh", "-F", host.ssh_config, host.name, GET_SOURCE]
    packed = subprocess.run(ssh, check=True, stdout=subprocess.PIPE, timeout=300).stdout
    subprocess.run(["tar", "-xz", "--no-same-owner", "-C", directory], input=packed, check=True)
    git(directory, "init", "--quiet")
    git(directory, "add", "--all", "--force")
    git(directory, "commit", "--quiet", "--message", "all")


def git(directory, *arguments):
    """Run git in a directory and return its output."""
    command = ["git", "-C", directory, "-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
