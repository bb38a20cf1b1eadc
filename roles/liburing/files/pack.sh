#!/bin/sh
# pack.sh FOLDER ARCHIVE
#
# Packs a liburing tree as a reproducible tar archive: only names, contents and x bits count, so its digest identifies
# the tree. From a git work tree it takes tracked and untracked files, but neither .git nor ignored files.
# Prints three lines: the archive's SHA-256; the version in liburing.spec; the commit, with "+changes" if files differ
# from it, or an empty line without git. Runs on the controller.
set -eu
directory=$1 archive=$2

if ! [ -f "$directory/debian/control" ] || ! [ -f "$directory/liburing.spec" ]; then
    echo "$directory is no liburing tree: it must have debian/control and liburing.spec, as upstream's does" >&2
    exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C
cd "$directory"

commit=
if [ -e .git ]; then
    # A repository's configuration may name programs to run (core.fsmonitor, filter.*.clean), so git gets a directory
    # without that configuration.
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
