#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# memtier_ctl_set() of memkind takes numbers where its manual says strings
#
# libmemtier(3) of memkind 1.14 says of each setting that the "provided string"
# is converted to a number, and the argument is a const void *. So one would
# pass "700" to have a threshold of 700 bytes. The library reads the argument as
# a pointer to size_t instead: the three characters are the number 3158071
# (0x303037). The call returns 0 all the same. Only when the tiers are made is
# the threshold found to be out of its range, and the reason is told to nobody
# unless MEMKIND_DEBUG is set.
#
# Seen with memkind 1.14.0-2 of Debian 12, on x86-64:
#
#     string: set 0, tiers refused
#     pointer to size_t: set 0, tiers made: 699 bytes from tier 0, 700 from 1
#     MEMKIND_ERROR: Maximum value of threshold 0 is too low (val = 3158071, max = 1535)
#
# Run by hand; needs apt and cc, no root. Fails if it changes.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for package in libmemkind0=1.14.0-2 libmemkind-dev=1.14.0-2 libdaxctl1=76.1-1 \
	libnuma1=2.0.16-1; do
	apt-get -qq download "$package" >/dev/null 2>&1 ||
		{ echo "cannot get $package" >&2; exit 2; }
	dpkg -x "${package%=*}"_*.deb root
done

cat >tiers.c <<'C'
#include <memkind_memtier.h>
#include <stdio.h>

static int
tier_of(struct memtier_memory *memory, size_t size)
{
	void *object = memtier_malloc(memory, size);
	int tier = memkind_detect_kind(object) == MEMKIND_REGULAR;

	memtier_free(object);
	return tier;
}

static void
threshold(const char *how, const void *value)
{
	struct memtier_builder *builder =
		memtier_builder_new(MEMTIER_POLICY_DYNAMIC_THRESHOLD);
	struct memtier_memory *memory;

	memtier_builder_add_tier(builder, MEMKIND_DEFAULT, 1);
	memtier_builder_add_tier(builder, MEMKIND_REGULAR, 1);
	printf("%s: set %d, ", how, memtier_ctl_set(builder,
		"policy.dynamic_threshold.thresholds[0].val", value));
	memory = memtier_builder_construct_memtier_memory(builder);
	if (memory) {
		printf("tiers made: 699 bytes from tier %d, 700 from %d\n",
			tier_of(memory, 699), tier_of(memory, 700));
		memtier_delete_memtier_memory(memory);
	} else {
		printf("tiers refused\n");
	}
	memtier_builder_delete(builder);
}

int
main(void)
{
	char text[sizeof(size_t)] = "700";
	size_t number = 700;

	threshold("string", text);
	threshold("pointer to size_t", &number);
	return 0;
}
C
lib=$dir/root/usr/lib/x86_64-linux-gnu
cc -I root/usr/include tiers.c "$lib/libmemkind.so.0" \
	-Wl,-rpath,"$lib:$dir/root/lib/x86_64-linux-gnu" \
	-Wl,--allow-shlib-undefined -o tiers
{
	./tiers
	MEMKIND_DEBUG=1 ./tiers 2>&1 | grep 'is too low'
} | tee seen
diff - seen <<'SEEN' && echo "as stated"
string: set 0, tiers refused
pointer to size_t: set 0, tiers made: 699 bytes from tier 0, 700 from 1
MEMKIND_ERROR: Maximum value of threshold 0 is too low (val = 3158071, max = 1535)
SEEN
