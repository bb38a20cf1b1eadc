#!/bin/sh
# One hop from a release to the next one: the main process of the unit uring-lab-release-upgrade.
#   release-upgrade.sh debian|ubuntu CODENAME
# It can be started again after it was interrupted at any point. Nobody reads its exit status: the role asks the host
# for its state afterwards (host_status.sh).
set -eu
distribution=$1
codename=$2
directory=/var/lib/uring-lab
log=/var/log/uring-lab/release-upgrade.log
exec >>"$log" 2>&1 3>"$log.progress"
echo $$ >/run/uring-lab-release-upgrade.pid # for status.sh

# LANGUAGE would override LC_ALL in the messages of Ubuntu's upgrader, and LANG would choose its mirror.
export LC_ALL=C.UTF-8 LANGUAGE=C LANG=C DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none
# A login gets the proxies of /etc/environment, and a unit does not.
for name in http_proxy https_proxy no_proxy; do
    value=$(sed -n "s/^ *\(export *\)\{0,1\}$name=[\"']\{0,1\}\([^\"']*\).*/\2/p" /etc/environment 2>/dev/null | tail -n 1)
    test -z "$value" || export "$name=$value"
done
# Configuration files that were changed here stay as they are: dpkg's by apt.conf, ucf's since that is its answer where
# nobody is asked. (UCF_FORCE_CONFFOLD would have Debian 12's ucf keep the unchanged ones too.)
export APT_CONFIG=$directory/release-upgrade.apt.conf
# The host is rebooted after the hop, and needrestart might restart this very unit.
export NEEDRESTART_SUSPEND=1

say() { printf '\n== %s, %s\n' "$(date -u '+%F %T.%3N')" "$*"; }
say "Begun to upgrade to $codename"  # log_tail.sh looks for this

# apt's timers would take the locks, and the upgrader does not wait for them.
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
    # All packages before the first is installed: a network that fails here leaves the host as it was.
    say "Fetching the packages of $codename"
    apt_get --download-only dist-upgrade
    # First those that need no other package installed or removed, as Debian's release notes recommend.
    say "Upgrading, part 1: packages that need no new ones"
    apt_get upgrade --without-new-pkgs
    say "Upgrading, part 2: everything"
    apt_get dist-upgrade
}

# Ubuntu's upgrader starts on a host of the old release alone; once it has rewritten the sources, apt goes on in its
# place.
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
