#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# build.sh top GENERATOR JOBS [OPTION...] -- the libraries can be built by
# whoever does it differently: from an empty directory, unoptimised to be
# quick. OPTIONs go to cmake.
set -eu

cd "$(dirname "$0")"
how=$1 generator=$2 jobs=$3
shift 3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step()
{
	"$@" >"$scratch/log" 2>&1 || {
		echo "failed: $*"
		cat "$scratch/log"
		exit 1
	}
}

case $how in
top) source=../.. ;;
esac
step cmake -S "$source" -B "$scratch/build" -G "$generator" \
	-DCMAKE_BUILD_TYPE=Debug -DBUILD_TESTING=OFF "$@"
step cmake --build "$scratch/build" -j "$jobs" \
	--target vmemcache_static vmemcache memkind
