#!/bin/sh
# The article's commands for liburing and the samples, as one would type them on a Debian host whose kernel will do: all
# updates, the debs by mk-build-deps and dpkg-buildpackage from the distribution's source package, the programs. Nothing
# is verified, cleaned up or remembered. Needs root; the samples' sources are in ./samples.
set -eu
export DEBIAN_FRONTEND=noninteractive
here=$PWD

sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list
apt-get -q update
apt-get -qy upgrade
apt-get -qy install --no-install-recommends build-essential devscripts equivs luajit
cd "$(mktemp -d)"
apt-get -q source liburing
cd liburing-*/
mk-build-deps --install --remove --tool 'apt-get -qy --no-install-recommends' debian/control
DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage -b -uc -us
apt-get -qy install ../liburing2_*.deb ../liburing-dev_*.deb
make -C "$here/samples"
