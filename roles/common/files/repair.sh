#!/bin/sh
# Completes what an interrupted dpkg or apt has left: packages that are half installed or lack what they depend on.
#   repair.sh check                         prints what is unfinished
#   repair.sh complete [OPTION OF APT-GET]  completes it; the last line is "state of packages changed" where it has
# Prints nothing on a sound host.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1
action=$1
shift

# Of apt's answer these two alone are of interest: it also fails where it cannot get the lock, for one.
unfinished() {
    dpkg --audit || true
    answer=$(apt-get check 2>&1) || true
    case $answer in *"Unmet dependencies"* | *"dpkg was interrupted"*) printf '%s\n' "$answer" ;; esac
}
state() { dpkg-query --show --showformat='${binary:Package} ${Version} ${Status}\n'; }

found=$(unfinished)
test -n "$found" || exit 0
printf '%s\n' "$found"
test "$action" = complete || exit 0
before=$(state)

# A package whose unpacking was interrupted has to be unpacked anew: apt would try to configure it, in vain.
torn=$(dpkg-query --show --showformat='${db:Status-Eflag} ${binary:Package}\n' | sed -n 's/^reinstreq //p')
if [ -n "$torn" ]; then
    directory=$(mktemp -d)
    trap 'rm -r "$directory"' EXIT
    # shellcheck disable=SC2086 # one word each
    (cd "$directory" && apt-get --quiet=2 download $torn && dpkg --unpack ./*.deb)
fi
# What a package lacks to be configured, apt fetches afterwards.
dpkg --configure --pending --force-confdef --force-confold || true
# Without a terminal of apt's own, the errors of dpkg are on stderr.
apt-get --yes --quiet -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=false "$@" install --fix-broken
test "$before" = "$(state)" || echo "state of packages changed"
