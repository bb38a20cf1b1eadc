#!/bin/sh
# What a trial boot that nobody saw has left on the host: the report of the dead man's switch, and the journal.
#
# usage: diagnostics.sh UNCONFIRMED SECONDS BOOT_ID
#   UNCONFIRMED  the file that the switch has written, where it has
#   SECONDS      after which it would have
#   BOOT_ID      of the boot before the trial
set -eu
unconfirmed=$1 seconds=$2 boot_id=$3

if test -e "$unconfirmed"; then
    echo "It came up, but was not confirmed within $seconds s: nobody could reach it, or nobody tried."
    echo 'What it had of a network, and its failed units:'
    cat "$unconfirmed"
else
    echo "It did not run its services for as long as $seconds s."
fi

before=$(journalctl --boot=-1 --lines=1 --output=export --no-pager 2>/dev/null | sed -n 's/^_BOOT_ID=//p')
if test -n "$before" && test "$before" != "$(echo "$boot_id" | tr -d -)"; then
    echo 'The end of its journal:'
    journalctl --boot=-1 --lines=12 --output=short-monotonic --no-hostname --no-pager
fi
