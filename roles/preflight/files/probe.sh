#!/bin/sh
# What a later step needs to know of a host, as NAME=VALUE lines. Plain sh, read-only, no Python:
# it must answer on any host, so that the answer can be a sentence and not a traceback.
PATH=$PATH:/usr/sbin:/sbin
os() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d \"\'; }
# As it runs, or else as it was packaged; a container has neither, or its host's.
kernel_config() { { zcat /proc/config.gz || cat "/boot/config-$(uname -r)"; } 2>/dev/null; }
# Regular files: Debian 12 links /etc/sysctl.d/99-sysctl.conf to /etc/sysctl.conf.
setting() { find /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d -name '*.conf' -type f -exec grep -lE "^[[:space:]]*-?kernel[./]$1[[:space:]]*=" {} + 2>/dev/null; }
free_mib() { df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }'; }
echo "id=$(os ID)"
echo "name=$(os PRETTY_NAME)"
echo "version=$(os VERSION_ID)"
echo "codename=$(os VERSION_CODENAME)"
echo "machine=$(uname -m)"
echo "architecture=$(dpkg --print-architecture 2>/dev/null)"
echo "kernel=$(uname -r)"
echo "user=$(id -un)"
echo "sudo=$(if [ "$(id -u)" = 0 ]; then echo root; elif ! command -v sudo >/dev/null; then echo missing; elif sudo -n true 2>/dev/null; then echo yes; else echo no; fi)"
echo "python=$(/usr/bin/python3 -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)"
echo "init=$(cat /proc/1/comm 2>/dev/null)"
echo "container=$(systemd-detect-virt --container 2>/dev/null)"
echo "virtualization=$(systemd-detect-virt 2>/dev/null)"
echo "free_root=$(free_mib /)"
echo "free_var=$(free_mib /var)"
echo "io_uring_disabled=$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null)"
echo "io_uring_disabled_by=$(setting io_uring_disabled | xargs)"
echo "io_uring_built=$(kernel_config | grep -qx '# CONFIG_IO_URING is not set' && echo no)"
echo "upgrade=$(test -e /var/lib/uring-lab/release_upgrade.json && echo begun)"
