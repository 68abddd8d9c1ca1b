/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * costs.c -- what a miss costs: ADAPTIVE keeps what is dear for its blocks, in
 * whatever way the cost was given; the others ignore it
 */
#include "fixture.h"

#include <math.h>

enum { BLOCKS = VMEMCACHE_MIN_POOL / 256, KEYS = 3 * BLOCKS };

/* Of Zipf .8: how likely the keys up to that are. */
static double up_to[KEYS];

static void
make_distribution(void)
{
	double sum = 0;

	for (unsigned i = 0; i < KEYS; i++)
		up_to[i] = sum += pow(i + 1, -.8);
}

static uint64_t
draw(uint64_t *random)
{
	double at = (double)testing_below(random, 1u << 30) / (1u << 30) *
		    up_to[KEYS - 1];
	unsigned low = 0, high = KEYS - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (up_to[middle] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct misses {
	uint64_t count, cost;
	uint64_t metadata; /* at the end */
};

/*
 * As a program does: a get, and on a miss a store. A miss of every tenth key,
 * whatever its rank, costs 20, of others 1; the cache is told of that in that
 * unit, 0: not.
 */
static struct misses
run(enum vmemcache_repl_p policy, uint32_t unit)
{
	VMEMcache *cache = fixture_open(VMEMCACHE_MIN_POOL, 256, policy);
	uint64_t random = 1, requests = 80 * BLOCKS;
	struct misses misses = {0};
	char value[256] = {0};

	for (uint64_t i = 0; i < requests; i++) {
		uint64_t key = draw(&random);
		uint32_t cost = key % 10 == 7 ? 20 : 1;
		const struct vmemcache_store how = {
			.struct_size = sizeof(how), .cost = cost * unit};
		if (vmemcache_get(cache, &key, sizeof(key), value,
			    sizeof(value), 0, NULL) >= 0)
			continue;
		if (i >= requests / 4) {
			misses.count++;
			misses.cost += cost;
		}
		assert_int_equal(vmemcache_store(cache, &key, sizeof(key),
					 value, sizeof(value), &how, NULL),
			0);
	}
	misses.metadata = fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
	fixture_check(cache);
	vmemcache_delete(cache);
	return misses;
}

static void
test_two_classes(void **state)
{
	struct misses without, with, other_unit;

	(void)state;
	make_distribution();
	without = run(VMEMCACHE_REPLACEMENT_ADAPTIVE, 0);
	with = run(VMEMCACHE_REPLACEMENT_ADAPTIVE, 1);
	other_unit = run(VMEMCACHE_REPLACEMENT_ADAPTIVE, 1000);
	print_message("misses %llu, that cost %llu; with costs %llu, %llu; "
		      "with other units %llu, %llu\n",
		(unsigned long long)without.count,
		(unsigned long long)without.cost,
		(unsigned long long)with.count, (unsigned long long)with.cost,
		(unsigned long long)other_unit.count,
		(unsigned long long)other_unit.cost);
	assert_true(with.cost <= without.cost * 2 / 3);
	assert_true(with.count <= without.count * 105 / 100);
	assert_true(other_unit.cost <= without.cost * 2 / 3);
	assert_true(other_unit.count <= without.count * 105 / 100);
	assert_true(with.metadata > without.metadata);
}

/* The others neither heed a cost nor have memory for it. */
static void
test_other_policies(void **state)
{
	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_SIEVE,
		VMEMCACHE_REPLACEMENT_S3FIFO};

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		VMEMcache *cache =
			fixture_open(VMEMCACHE_MIN_POOL, 256, policies[p]);
		unsigned long long metadata[2];
		for (unsigned turn = 0; turn < 2; turn++) {
			for (uint64_t key = 0; key < BLOCKS; key++) {
				const struct vmemcache_store how = {
					.struct_size = sizeof(how),
					.cost = turn * (key < BLOCKS / 2)};
				assert_int_equal(
					vmemcache_store(cache, &key,
						sizeof(key), "", 1, &how, NULL),
					0);
			}
			metadata[turn] = fixture_stat(
				cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
			while (vmemcache_evict(cache, NULL, 0) == 0)
				;
		}
		assert_int_equal(metadata[0], metadata[1]);
		vmemcache_delete(cache);
	}
}

static const struct vmemcache_store dear = {
	.struct_size = sizeof(dear), .cost = UINT32_MAX};

static void
by_store(VMEMcache *cache, uint64_t key)
{
	assert_int_equal(
		vmemcache_store(cache, &key, sizeof(key), "", 1, &dear, NULL),
		0);
}

static void
by_replacing(VMEMcache *cache, uint64_t key)
{
	assert_int_equal(fixture_put(cache, key, 1, 256), 0);
	by_store(cache, key);
}

static void
by_store_many(VMEMcache *cache, uint64_t key)
{
	struct vmemcache_store_request r = {.key = &key,
		.key_size = sizeof(key),
		.value = "",
		.value_size = 1,
		.how = &dear};

	assert_int_equal(vmemcache_store_many(cache, &r, 1), 1);
}

/* With room for more than is committed, and a tag and a time to live beside. */
static void
by_reserve(VMEMcache *cache, uint64_t key)
{
	struct vmemcache_store how = dear;
	struct vmemcache_item item;

	how.tag = 7;
	how.ttl_ms = 86400000;
	assert_int_equal(
		vmemcache_reserve(cache, &key, sizeof(key), 1000, &how, &item),
		0);
	assert_int_equal(vmemcache_commit(cache, &item, 1, NULL), 0);
}

static int
make_nothing(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct vmemcache_item item;

	(void)cache;
	(void)key;
	(void)key_size;
	(void)arg;
	return vmemcache_loading_reserve(loading, 1, NULL, &item) ? errno : 0;
}

static void
by_load(VMEMcache *cache, uint64_t key)
{
	struct vmemcache_item item;

	assert_int_equal(vmemcache_load(cache, &key, sizeof(key), make_nothing,
				 NULL, &dear, VMEMCACHE_FOREVER, &item),
		0);
	vmemcache_unpin(cache, &item);
}

/* Another entry has a time to live then, and the cost as well. */
static void
by_store_and_touch(VMEMcache *cache, uint64_t key)
{
	by_store(cache, key);
	assert_int_equal(
		vmemcache_touch(cache, &key, sizeof(key), 86400000), 0);
}

/* Among cheap ones that are as old, a few are dear: these stay. */
static void
test_ways(void **state)
{
	static void (*const ways[])(VMEMcache *, uint64_t) = {by_store,
		by_replacing, by_store_many, by_reserve, by_load,
		by_store_and_touch};
	const struct vmemcache_store cheap = {
		.struct_size = sizeof(cheap), .cost = 1};
	enum { DEAR = 64 };

	(void)state;
	for (unsigned w = 0; w < sizeof(ways) / sizeof(*ways); w++) {
		VMEMcache *cache = fixture_open(VMEMCACHE_MIN_POOL, 256,
			VMEMCACHE_REPLACEMENT_ADAPTIVE);
		unsigned stayed = 0, cheap_stayed = 0;
		for (uint64_t key = 0; key < 4 * BLOCKS; key++)
			if (key >= BLOCKS && key < BLOCKS + DEAR)
				ways[w](cache, key);
			else
				assert_int_equal(vmemcache_store(cache, &key,
							 sizeof(key), "", 1,
							 &cheap, NULL),
					0);
		for (uint64_t key = 0; key < 2 * BLOCKS; key++)
			if (fixture_exists(cache, key) == 1)
				++*(key >= BLOCKS && key < BLOCKS + DEAR
						? &stayed
						: &cheap_stayed);
		/* what is taken for a ghost once in 1000 times */
		assert_true(cheap_stayed < BLOCKS / 50);
		/* twice round, which one of 32 does not survive each time */
		assert_true(stayed > DEAR / 2);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/* The largest and the smallest, of values of all sizes: all goes on. */
static void
test_extremes(void **state)
{
	VMEMcache *cache = fixture_open(
		VMEMCACHE_MIN_POOL, 256, VMEMCACHE_REPLACEMENT_ADAPTIVE);
	static const char value[VMEMCACHE_MIN_POOL / 2];
	uint64_t random = testing_seed();

	(void)state;
	for (uint64_t key = 0; key < 20000; key++) {
		struct vmemcache_store how = {.struct_size = sizeof(how)};
		how.cost =
			testing_below(&random, 2) ? UINT32_MAX : key % 3 == 0;
		size_t size = testing_below(&random, 2000);
		if (key % 500 == 0)
			size = sizeof(value);
		assert_int_equal(vmemcache_store(cache, &key, sizeof(key),
					 value, size, &how, NULL),
			0);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_classes),
		cmocka_unit_test(test_other_policies),
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
