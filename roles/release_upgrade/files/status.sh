#!/bin/sh
# Where an upgrade to another release stands, in three lines: a word, its record (JSON), its latest sign of life.
#   active   its unit is at work
#   stopped  its record is there and no unit: it has ended, or the host went down under it
#   none     there is none
# Plain sh without root: half-way through an upgrade Python and sudo may not work.
record=/var/lib/uring-lab/release_upgrade.json
log=/var/log/uring-lab/release-upgrade.log
pid=/run/uring-lab-release-upgrade.pid
if ! test -e "$record"; then
    echo none
    exit
fi
# 3 and 4 say that the unit is not running; anything else may be systemd being upgraded itself. While it re-executes
# itself it was once seen to have lost a unit whose process was still running, so the process is checked, too.
systemctl is-active --quiet uring-lab-release-upgrade.service
case $? in
    3 | 4) grep -aqs release-upgrade.sh "/proc/$(cat "$pid" 2>/dev/null)/cmdline" && echo active || echo stopped ;;
    *) echo active ;;
esac
tr '\n' ' ' <"$record"
echo
# apt's own account of its progress (pmstatus:PACKAGE:PERCENT:TEXT), or what the upgrader printed last.
tail -qn 1 "$log.progress" "$log" 2>/dev/null | awk -F : '
    /^(pm|dl)status:/ { printf "%d %%, %s\n", $3, $4; found = 1; exit }
    { last = $0 }
    END { if (!found) print substr(last, 1, 100) }'
