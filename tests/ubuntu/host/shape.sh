#!/bin/sh
# Makes this Debian container a freshly installed simulated Ubuntu host, whatever its state.
#   shape.sh CODENAME VERSION
codename=$1
version=$2
www=/opt/simulated-ubuntu/www
export DEBIAN_FRONTEND=noninteractive

# Remove the traces of earlier tests and of the role under test.
systemctl stop uring-lab-release-upgrade.service 2>/dev/null || true
systemctl reset-failed uring-lab-release-upgrade.service 2>/dev/null || true
rm -rf /var/lib/uring-lab /var/log/uring-lab /var/log/dist-upgrade /var/lib/simulated-ubuntu
rm -f /run/reboot-required /run/reboot-required.pkgs /run/simulated-ubuntu-hindrance /etc/lab-service.conf*
rm -rf /etc/apt/sources.list* /etc/update-manager
mkdir -p /var/lib/simulated-ubuntu /etc/apt/sources.list.d

# The servers.
install -m 0644 /opt/simulated-ubuntu/simulated-archive.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --quiet simulated-archive.service
systemctl restart simulated-archive.service
sed -i '/ubuntu.com/d' /etc/hosts
echo 127.0.0.1 archive.ubuntu.com security.ubuntu.com old-releases.ubuntu.com changelogs.ubuntu.com \
    packages.example.com >>/etc/hosts
install -m 0644 $www/ubuntu-archive-keyring.asc /etc/apt/trusted.gpg.d/
mkdir -p /usr/share/keyrings
base64 -d >/usr/share/keyrings/ubuntu-archive-keyring.gpg <<END
$(sed -e '1,/^$/d' -e '/^=/,$d' $www/ubuntu-archive-keyring.asc)
END

# Sources as an installer writes them, and two of a third party, one of them the same for all releases.
for pocket in '' -updates; do
    echo "deb http://archive.ubuntu.com/ubuntu $codename$pocket main universe"
done >/etc/apt/sources.list
echo "deb http://security.ubuntu.com/ubuntu $codename-security main universe" >>/etc/apt/sources.list
echo 'deb http://packages.example.com/apt stable main' >/etc/apt/sources.list.d/tool.list
echo "deb http://packages.example.com/apt $codename main" >/etc/apt/sources.list.d/tool-of-the-release.list

# The release's packages without updates; downgraded if an earlier test has upgraded them.
rm -f /etc/os-release
apt-mark unhold lab-service lab-held >/dev/null 2>&1 || true
for deb in lab-service_$version.0 lab-held_$version ubuntu-minimal_$version ubuntu-release-upgrader-core_$version.1 lab-tool_1.0; do
    find $www -name "${deb}_all.deb"
done | xargs dpkg --install --force-downgrade --force-confnew --force-confmiss
rm -rf /var/lib/apt/lists/*
