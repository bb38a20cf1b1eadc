#!/bin/sh
# The state of the host after a hop, as NAME=VALUE lines. Run as root, since dpkg takes its lock. Plain sh: see
# status.sh.
# shellcheck source=/dev/null
. /etc/os-release
export LC_ALL=C
echo "codename=$VERSION_CODENAME"
echo "audit=$(dpkg --audit 2>&1 | tr '\n' ' ')"
# What apt would install or remove now, or why it cannot; empty when nothing is left to do.
echo "pending=$(apt-get --simulate --quiet dist-upgrade 2>&1 | sed -n -E 's/^((Inst|Remv) [^ ]+|E: .*).*/\1/p' | head -n 5 | tr '\n' ';')"
echo "packages=$(sha256sum < /var/lib/dpkg/status)"
echo "result=$(systemctl show --property=Result --value uring-lab-release-upgrade.service)"
