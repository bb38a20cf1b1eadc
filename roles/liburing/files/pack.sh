#!/bin/sh
# pack.sh FOLDER ARCHIVE
#
# Packs a liburing tree as a tar archive in which only names, contents and x bits count, so that its digest tells one tree
# from another. Of a git work tree it takes the files that git knows or would add: neither .git nor what a build left there.
# Prints three lines: the archive's SHA-256; the version that the tree says it has; the commit, "+changes" behind it where
# files differ from it, empty where there is no git. Runs on the controller.
set -eu
directory=$1 archive=$2

if ! [ -f "$directory/debian/control" ] || ! [ -f "$directory/liburing.spec" ]; then
    echo "$directory is no liburing tree: it must hold debian/control and liburing.spec, as upstream's does" >&2
    exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C
cd "$directory"

commit=
if [ -e .git ]; then
    # A repository's own configuration may name programs to run (core.fsmonitor, filter.*.clean): it is looked at through
    # a directory with a configuration of ours.
    common=$(git rev-parse --path-format=absolute --git-common-dir)
    own=$(git rev-parse --absolute-git-dir)
    mkdir "$scratch/git"
    for name in objects refs packed-refs info; do
        ! [ -e "$common/$name" ] || ln -s "$common/$name" "$scratch/git/$name"
    done
    for name in HEAD index; do
        ! [ -e "$own/$name" ] || cp "$own/$name" "$scratch/git/$name"
    done
    git() { command git --git-dir="$scratch/git" --work-tree=. -c core.bare=false "$@"; }
    git ls-files -z --cached --others --exclude-standard | sort -zu >"$scratch/known"
    git ls-files -z --deleted | sort -zu >"$scratch/deleted"
    comm -z -23 "$scratch/known" "$scratch/deleted" >"$scratch/files"
    commit=$(git rev-parse HEAD)
    [ -z "$(git status --porcelain)" ] || commit="$commit+changes"
else
    find . ! -type d -print0 | sort -z >"$scratch/files"
fi

tar --create --null --no-recursion --files-from="$scratch/files" --format=gnu --mtime=2020-01-01Z \
    --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX | tee "$archive" | sha256sum | cut -d' ' -f1
awk '/^Version:/ { print $2; exit }' liburing.spec
echo "$commit"
