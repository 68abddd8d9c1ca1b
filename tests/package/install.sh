#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# install.sh BUILD-DIRECTORY -- what `cmake --install` leaves is complete:
# programs build against either library through pkg-config and through
# find_package(), shared and static, and run
set -eu

cd "$(dirname "$0")/consumer"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix

# The components of the cache bring no file that memkind's packages have, and
# all components together are everything.
for component in cache dev tools server; do
	cmake --install "$1" --prefix "$prefix" --component $component \
		>"$scratch/log"
done
if find "$prefix" -name '*memkind*' -o -name '*hbw*' | grep .; then
	echo "these files of memkind's come with the cache"
	exit 1
fi
for component in memkind memkind-dev memkind-tools; do
	cmake --install "$1" --prefix "$prefix" --component $component \
		>"$scratch/log"
done
cmake --install "$1" --prefix "$scratch/all" >"$scratch/log"
diff -r "$scratch/all" "$prefix"
"$prefix/bin/vmemcache-bench" --help >"$scratch/log"
"$prefix/bin/vmemcache-top" --version >"$scratch/log"
[ ! -e "$prefix/bin/vmemcached" ] || "$prefix/bin/vmemcached" --version >"$scratch/log"
library=$(dirname "$(find "$prefix" -name libvmemcache.so)")
export LD_LIBRARY_PATH="$library" PKG_CONFIG_PATH="$library/pkgconfig"
for file in "$library/libvmemcache.so.0" "$library/libvmemcache.a" \
	"$library/libmemkind.so.0" "$library/libmemkind.a" \
	"$library/libmemtier.so.0" "$library/libmemtier.a" "$prefix/include/memkind_memtier.h" \
	"$prefix/share/man/man3/memtier_malloc.3" \
	"$prefix/share/man/man7/libmemtier.7" \
	"$prefix/include/libvmemcache.h" \
	"$prefix/share/man/man3/vmemcache.3" \
	"$prefix/share/man/man1/vmemcache-top.1" \
	"$prefix/share/man/man3/vmemcache_get.3" \
	"$prefix/share/man/man3/vmemcache_publish.3" \
	"$prefix/share/man/man7/libvmemcache.7"; do
	[ -s "$file" ] || { echo "not installed: $file"; exit 1; }
done
# nothing may depend on the tree that it was built from; its own name alone
# would not tell: in /vmemcache it is in every manual page
tree=$(cd ../../.. && pwd)
if grep -rlIF -e "$1" -e "$tree/src" -e "$tree/include" "$prefix"; then
	echo "these files name the source tree"
	exit 1
fi

echo "memtier"
set_by_memtier=$(env -u LD_LIBRARY_PATH "$prefix/bin/memtier" -v -r 1:2 \
	-t INIT_VAL=600 -f "$scratch" true 2>&1)
case $set_by_memtier in
*libmemtier:*) echo "$set_by_memtier"; exit 1 ;;
*LD_PRELOAD="$prefix"/bin/*FS_DAX*THRESHOLDS=INIT_VAL:600* | \
	*THRESHOLDS=INIT_VAL:600*LD_PRELOAD="$prefix"/bin/*FS_DAX*) ;;
*) echo "$set_by_memtier"; exit 1 ;;
esac
for wrong in "" "-r" "-r 1 true" "-r 1:x true" "-r 1:2:3 true" "-x true" \
	"-f /tmp true"; do
	# shellcheck disable=SC2086 # words are meant
	if "$prefix/bin/memtier" $wrong 2>"$scratch/log"; then
		echo "accepted: memtier $wrong"
		exit 1
	fi
done

echo "pkg-config"
# build SOURCE LIBRARY TO MODULE: the shared one, then the static
build() {
	local flags="pkg-config --define-prefix $4"
	# shellcheck disable=SC2046 # words are meant
	gcc "$1" -o "$3shared" $($flags --cflags --libs)
	# shellcheck disable=SC2046
	gcc "$1" -o "$3static" $($flags --cflags) "$library/lib$2.a" \
		$($flags --static --libs | sed "s/-l$2//")
}
build consumer.c vmemcache "$scratch/" libvmemcache
build kinds.c memkind "$scratch/kinds-" memkind

echo "find_package"
cmake -S . -B "$scratch/build" -DCMAKE_PREFIX_PATH="$prefix" >"$scratch/log" ||
	{ cat "$scratch/log"; exit 1; }
cmake --build "$scratch/build" >"$scratch/log" ||
	{ cat "$scratch/log"; exit 1; }

for name in shared static kinds-shared kinds-static; do
	for program in "$scratch/$name" "$scratch/build/$name"; do
		"$program" "$scratch"
		linked=$(ldd "$program" | grep -cE 'libvmemcache|libmemkind' ||
			true)
		case $program in
		*shared) [ "$linked" = 1 ] ;;
		*static) [ "$linked" = 0 ] ;;
		esac
	done
done

echo "libmemtier"
flags=$(pkg-config --define-prefix --cflags --static --libs memkind)
tiers="KIND:DRAM,RATIO:1;POLICY:STATIC_RATIO"
# shellcheck disable=SC2086 # words are meant
gcc tiers.c -o "$scratch/tiers" $flags
! "$scratch/tiers"
LD_PRELOAD="$library/libmemtier.so.0" MEMKIND_MEM_TIERS=$tiers "$scratch/tiers"
for memkind in "$library/libmemkind.a" "$library/libmemkind.so"; do
	# shellcheck disable=SC2086 # words are meant
	gcc tiers.c -o "$scratch/tiers" "$library/libmemtier.a" "$memkind" \
		${flags%% -lmemkind*} ${flags#* -lmemkind}
	MEMKIND_MEM_TIERS=$tiers "$scratch/tiers"
done
