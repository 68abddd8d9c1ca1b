#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# jemalloc.sh COPY [build] -- utils/build-jemalloc takes what it was told to
# and nothing else, without a network. COPY is one that it made; the release is
# beside it, or this is skipped. "build" makes another copy, which takes a
# minute; utils/test makes its own so.
set -eu

cd "$(dirname "$0")/../.."
. tests/package/offline.sh
release=$(find "$(dirname "$1")" -maxdepth 1 -name 'jemalloc-*.tar.bz2' |
	head -1)
[ -n "$release" ] || exit 77
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cache=$scratch/cache copy=$1

# make_copy OPTION...: its status, with its words in $scratch/log
make_copy()
{
	$offline utils/build-jemalloc --cache "$cache" "$@" \
		>"$scratch/log" 2>&1
}

# refused TEXT OPTION...: it fails, says that, and leaves no copy
refused()
{
	text=$1
	shift
	if make_copy "$@"; then
		echo "not refused: $*"
	elif ! grep -q -e "$text" "$scratch/log"; then
		echo "not said: $text"
	elif [ -n "$(find "$scratch" -name origin)" ]; then
		echo "left a copy: $*"
	else
		return 0
	fi
	cat "$scratch/log"
	exit 1
}

# same OPTION...: the copy is that of before
same()
{
	make_copy "$@" && [ "$(cat "$scratch/log")" = "$copy" ] && return
	echo "not the same copy: $*"
	cat "$scratch/log"
	exit 1
}

mkdir "$scratch/empty" "$scratch/changed"
cp "$release" "$scratch/changed/changed.tar.bz2"
echo >>"$scratch/changed/changed.tar.bz2"

for source in "$scratch/none" "$scratch/empty" "$scratch/changed" \
	"$scratch/changed/changed.tar.bz2"; do
	refused 'SHA-256' --source "$source"
done
if [ -n "$offline" ]; then
	refused '1. let apt reach'
	grep -q 'VMC_JEMALLOC_SOURCE=FILE_OR_DIRECTORY' "$scratch/log"
	grep -q 'VMC_JEMALLOC_ARCHIVE=ON' "$scratch/log"
fi

if [ "${2:-}" = build ]; then
	make_copy --source "$release" || {
		cat "$scratch/log"
		exit 1
	}
	copy=$(tail -1 "$scratch/log")
	[ "$(cat "$copy/origin")" = source ]
fi
cache=$(dirname "$copy")
same
same --source "$(dirname "$release")"
tar -xjf "$release" -C "$scratch"
same --source "$(find "$scratch" -maxdepth 1 -name 'jemalloc-*')"

# The archive, if it is there, is told of and has a copy of its own.
cache=$scratch/cache
if make_copy --archive; then
	grep -q 'cannot be dlopen' "$scratch/log"
	[ "$(cat "$(tail -1 "$scratch/log")/origin")" = archive ]
else
	grep -q 'there is no libjemalloc-dev' "$scratch/log"
fi
