#!/bin/sh
# What the latest attempt at a hop has written: the end of the upgrader's own log, if it wrote one, and then that of
# ours. Earlier attempts are left out, since their reason may have been remedied.
log=/var/log/uring-lab/release-upgrade.log
# To the millisecond: attempts follow within a second.
begun=$(sed -n 's/^== \(.*\), Begun to upgrade .*/\1/p' "$log" | tail -n 1)
find /var/log/dist-upgrade/main.log -newermt "$begun UTC" -exec tail -n 30 {} + 2>/dev/null
awk '/^== .*, Begun to upgrade / { words = "" } { words = words $0 "\n" } END { printf "%s", words }' "$log" | tail -n 60
