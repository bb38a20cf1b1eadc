"""Source packages of a lab host's archive."""

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
apt-get "$@" source --only-source PACKAGE
tar -cz -C PACKAGE-*/ --exclude=.pc . >&3
"""


def get_source(host, package):
    """Return a source package's tree, with Debian's patches, as a compressed tar."""
    ssh = ["ssh", "-F", host.ssh_config, host.name, GET_SOURCE.replace("PACKAGE", package)]
    return subprocess.run(ssh, check=True, stdout=subprocess.PIPE, timeout=300).stdout
