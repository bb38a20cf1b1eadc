#!/bin/sh
# One hop from a release to the next one: the main process of the unit uring-lab-release-upgrade.
#   release-upgrade.sh debian|ubuntu CODENAME
# Can be started again wherever an earlier one was cut off. Its exit status is of no account: what is true of the host
# afterwards tells whether the hop has been made.
set -eu
distribution=$1
codename=$2
directory=/var/lib/uring-lab
log=/var/log/uring-lab/release-upgrade.log
exec >>"$log" 2>&1 3>"$log.progress"
echo $$ >/run/uring-lab-release-upgrade.pid # for status.sh

# LANGUAGE would go before LC_ALL in what Ubuntu's upgrader says, and LANG would choose its mirror.
export LC_ALL=C.UTF-8 LANGUAGE=C LANG=C DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none
# A login gets the proxies of /etc/environment, and a unit does not.
for name in http_proxy https_proxy no_proxy; do
    value=$(sed -n "s/^ *\(export *\)\{0,1\}$name=[\"']\{0,1\}\([^\"']*\).*/\2/p" /etc/environment 2>/dev/null | tail -n 1)
    test -z "$value" || export "$name=$value"
done
# Configuration files that were changed here stay as they are: dpkg's by apt.conf, ucf's since that is its answer where nobody
# is asked. (UCF_FORCE_CONFFOLD would have Debian 12's ucf keep the unchanged ones too.)
export APT_CONFIG=$directory/release-upgrade.apt.conf
# The host is rebooted after the hop, and needrestart might restart this very unit.
export NEEDRESTART_SUSPEND=1

say() { printf '\n== %s, %s\n' "$(date -u '+%F %T.%3N')" "$*"; }
say "Begun to upgrade to $codename"  # log_tail.sh looks for this

# What runs by the clock would hold the locks, and the upgrader does not wait for them.
timers=$(systemctl list-units --plain --no-legend --state=active 'apt-daily*.timer' | cut -d ' ' -f 1)
for timer in $timers; do systemctl stop "$timer"; done
trap 'for timer in $timers; do systemctl start "$timer"; done' EXIT
trap 'exit 143' TERM

apt_get() { apt-get --yes --quiet -o APT::Status-Fd=3 "$@"; }

repair() {
    say "Completing what an interrupted dpkg has left"
    sh "$directory/release-upgrade.repair.sh" complete -o APT::Status-Fd=3
}

by_apt() {
    say "Fetching the lists of $codename"
    apt_get update
    repair
    # All of it, before anything is touched: a network that fails here leaves the host as it was.
    say "Fetching the packages of $codename"
    apt_get --download-only dist-upgrade
    # First what needs no other package to come or go, as Debian's release notes have it.
    say "Upgrading, part 1: packages that need no new ones"
    apt_get upgrade --without-new-pkgs
    say "Upgrading, part 2: everything"
    apt_get dist-upgrade
}

# Ubuntu's upgrader starts on a host of the old release alone; once it has rewritten the sources, apt goes on in its place.
by_upgrader() {
    repair
    say "Running do-release-upgrade"
    do-release-upgrade --mode=server --frontend=DistUpgradeViewNonInteractive
}

if [ "$distribution" = debian ] || apt-get indextargets | grep -q "^Release: $codename"; then
    by_apt
else
    by_upgrader
fi
say "Done"
