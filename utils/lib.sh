# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# lib.sh -- what utils/bench and utils/test share: packages, space, builds
#
# Sourced from the top of the tree. Nothing here asks a question: with CI=true
# and no terminal the scripts either go on or end with one sentence.

# shellcheck disable=SC2034 # used by whoever sources this
packages_build=(
	cmake g++ gcc libc6-dev ninja-build pkgconf # the build itself
	libpmem-dev libnuma-dev                     # media and NUMA nodes
	libxxhash-dev                               # the hash of a key
	binutils bzip2 make patch                   # the private jemalloc
	libcmocka-dev                               # unit tests
	libevent-dev                                # vmemcached
	libjansson-dev                              # JSON of vmemcache-bench
	libncurses-dev                              # vmemcache-top in a terminal
)

# What counts and reports what the tests execute.
packages_coverage=(gcovr python3)

# Clients and proxies that talk to vmemcached in its tests; optional.
packages_clients=(libmemcached-tools memcached nutcracker python3-pymemcache
	python3-redis redis-tools)

# What `vmemcache-bench compare` measures beside the cache; optional.
packages_peers=(librocksdb-dev memcached)

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

installed()
{
	[[ $(dpkg-query -W -f '${db:Status-Status} ' "$1" 2>/dev/null) == \
		installed* ]]
}

# need_packages NAME...: install with apt what is missing, if anything is.
need_packages()
{
	local missing=() name
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)

	command -v dpkg-query >/dev/null ||
		die "this system has no apt; install the equivalents of these" \
			"Debian packages, then use the presets of cmake: $*"
	for name; do
		installed "$name" || missing+=("$name")
	done
	((${#missing[@]})) || return 0

	command -v apt-get >/dev/null ||
		die "apt-get is missing, and so are these packages: ${missing[*]}"
	if ((EUID != 0)); then
		command -v sudo >/dev/null ||
			die "only root can install what is missing" \
				"(${missing[*]}), and there is no sudo"
		apt=(sudo "${apt[@]}")
	fi
	echo "Installing with apt: ${missing[*]}"
	"${apt[@]}" update </dev/null || die "apt-get update failed"
	"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null ||
		die "apt-get could not install ${missing[*]}"
}

# need_space DIRECTORY MIB: that much must be free there.
need_space()
{
	local free

	free=$(df -Pm "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')
	[[ -n $free ]] || die "there is no $1"
	((free >= $2)) || die "$1 has $free MiB free, $2 MiB are needed"
}

# configure PRESET [OPTION...]: make build/PRESET, options as for cmake. With
# ccache, where it is there: what was compiled in another checkout need not be
# compiled again, nor what two configurations or tests of packages share.
configure()
{
	local launcher=()

	echo "Configuring: $1"
	mkdir -p build
	if command -v ccache >/dev/null; then
		export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
		launcher=(-DCMAKE_{C,CXX}_COMPILER_LAUNCHER=ccache)
	fi
	cmake --preset "$@" "${launcher[@]}" --log-level=NOTICE \
		>build/log 2>&1 || {
		cat build/log
		die "configuring the preset $1 failed"
	}
}

# build PRESET [OPTION...]: what was configured, options as for cmake --build.
build()
{
	echo "Building: $1"
	cmake --build --preset "$@" -j "$(nproc)" ||
		die "building the preset $1 failed"
}

# run_counting COMMAND...: run tests, those of the preset coverage among them,
# and show what they did not execute, whatever the command returns. The sum of
# all tests comes last, once more.
run_counting()
{
	local log=build/coverage/ctest.log status=0

	find build/coverage -name '*.gcda' -delete
	rm -f build/coverage/uncovered
	"$@" 2>&1 | tee "$log" || status=$?
	if [[ -e build/coverage/uncovered ]]; then
		echo "Not executed:"
		cat build/coverage/uncovered
		sed -n '/^[0-9]*% tests passed/,$p' "$log"
	fi
	return "$status"
}
