#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# build.sh HOW GENERATOR JOBS [OPTION...] -- the libraries can be built by
# whoever does it differently: from an empty directory, without C++, and
# unoptimised to be quick; and without a network, as the private jemalloc is
# there. OPTIONs go to cmake. HOW is
#
#   top                    by themselves, with the interface that programs
#                          were built against (packaging/abi)
#   static                 the static ones alone, for programs that are static
#                          altogether
#   fetch, subdirectory    within another project, FetchContent or
#                          add_subdirectory(); nothing of ours comes along that
#                          was not asked for
set -eu

cd "$(dirname "$0")"
. ./offline.sh
how=$1 generator=$2 jobs=$3
shift 3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
build=$scratch/build

step()
{
	$offline "$@" >"$scratch/log" 2>&1 || {
		echo "failed: $*"
		cat "$scratch/log"
		exit 1
	}
}

# configure SOURCE [OPTION...]
configure()
{
	step cmake -S "$@" -B "$build" -G "$generator" \
		-DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=/nonexistent
	step cmake --build "$build" -j "$jobs"
}

if [ "$how" = top ]; then
	configure ../.. -DVMC_TESTS=OFF -DVMC_BENCHMARKS=OFF \
		-DVMC_EXAMPLES=OFF "$@"
	! command -v abidiff >/dev/null ||
		step ../../packaging/abi/check "$build/src/libvmemcache.so" \
			"$build/src/libmemkind.so"
	exit
fi

if [ "$how" = static ]; then
	prefix=$scratch/prefix
	configure ../.. -DBUILD_SHARED_LIBS=OFF -DVMC_PMEM=OFF \
		-DVMC_BENCHMARKS=OFF -DVMC_EXAMPLES=OFF "$@"
	step cmake --install "$build" --prefix "$prefix"
	if find "$prefix" -name '*.so*' | grep .; then
		echo "shared libraries come along"
		exit 1
	fi
	# what pkg-config and find_package() name is all that is needed
	PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name memkind.pc)")
	export PKG_CONFIG_PATH
	build=$scratch/consumer
	configure consumer -DCMAKE_EXE_LINKER_FLAGS=-static \
		-DCMAKE_PREFIX_PATH="$prefix"
	programs="$build/shared $build/static $build/kinds-shared"
	if command -v meson >/dev/null; then
		step meson setup "$scratch/meson" consumer
		step meson compile -C "$scratch/meson"
		programs="$programs $scratch/meson/consumer"
		programs="$programs $scratch/meson/kinds"
	fi
	for source in consumer:libvmemcache kinds:memkind; do
		program=$scratch/static-${source%:*}
		programs="$programs $program"
		flags=$(pkg-config --static --cflags --libs "${source#*:}")
		# shellcheck disable=SC2086 # words are meant
		step gcc -static "consumer/${source%:*}.c" -o "$program" $flags
	done
	for program in $programs; do
		"$program" "$scratch"
		if readelf -lW "$program" | grep INTERP; then
			echo "not static: $program"
			exit 1
		fi
	done
	exit
fi

configure vendor -DHOW="$how" "$@"
step ctest --test-dir "$build" --no-tests=error --output-on-failure
if ! grep -q 'out of 2$' "$scratch/log"; then
	echo "tests come along"
	cat "$scratch/log"
	exit 1
fi
step cmake --install "$build" --prefix "$scratch/prefix"
if [ "$(cd "$scratch/prefix" && find . -type f)" != ./bin/static ]; then
	echo "files come along"
	find "$scratch/prefix" -type f
	exit 1
fi
if find "$build" -name '*bench*' -o -name '*example*' -o -name '*nodes' \
	-type f | grep .; then
	echo "programs come along"
	exit 1
fi
