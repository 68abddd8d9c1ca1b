/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.c -- what the benchmark switches leave out, and what they do not
 */
#include "fixture.h"

#include <sys/mman.h>
#include <unistd.h>

static void
without_values(enum vmemcache_bench_cfg cfg)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	char buffer[300];
	uint64_t key = 5;
	size_t size;

	vmemcache_bench_set(cache, cfg, 1);
	/* twice what the pool holds, and nothing goes */
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(fixture_put(cache, i, 1, 2100), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EXTENTS), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 1000);
	/* keys and sizes are kept, lookups and policy work */
	assert_fails(fixture_put(cache, 5, 1, 1), EEXIST);
	assert_int_equal(
		vmemcache_get(cache, &key, 8, buffer, 300, 0, &size), 300);
	assert_int_equal(size, 2100);
	key = 1000;
	assert_fails(
		vmemcache_get(cache, &key, 8, buffer, 300, 0, &size), ENOENT);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(fixture_exists(cache, 0), 0);
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	/* off again, values are kept */
	vmemcache_bench_set(cache, cfg, 0);
	assert_int_equal(fixture_put(cache, 1, 1, 2100), 0);
	assert_true(fixture_has(cache, 1, 1, 2100));
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 2304);
	vmemcache_delete(cache);
}

static void
test_index_only(void **state)
{
	(void)state;
	without_values(VMEMCACHE_BENCH_INDEX_ONLY);
}

static void
test_no_alloc(void **state)
{
	(void)state;
	without_values(VMEMCACHE_BENCH_NO_ALLOC);
}

/* Blocks are taken, bytes move neither in nor out. */
static void
test_no_memcpy(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	char buffer[300];
	uint64_t key = 1;

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_NO_MEMCPY, 1);
	memset(buffer, '#', sizeof(buffer));
	assert_int_equal(
		vmemcache_get(cache, &key, 8, buffer, 300, 0, NULL), 300);
	for (size_t i = 0; i < sizeof(buffer); i++)
		assert_int_equal(buffer[i], '#');
	assert_int_equal(fixture_put(cache, 2, 1, 300), 0);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 1024);
	assert_int_equal(fixture_put(cache, 3, 1, VMEMCACHE_MIN_POOL), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 2);
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_NO_MEMCPY, 0);
	assert_int_equal(fixture_evict(cache, 3), 0);
	assert_int_equal(fixture_put(cache, 1, 2, 300), 0);
	assert_true(fixture_has(cache, 1, 2, 300));
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_unknown_switches(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	vmemcache_bench_set(NULL, VMEMCACHE_BENCH_PREFAULT, 1);
	vmemcache_bench_set(cache, (enum vmemcache_bench_cfg)4, 1);
	vmemcache_bench_set(cache, (enum vmemcache_bench_cfg) - 1, 1);
	vmemcache_bench_set(cache, (enum vmemcache_bench_cfg)100000, 1);
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	assert_true(fixture_has(cache, 1, 1, 300));
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* Pages of the pool that are in the page tables or at least in memory. */
static size_t
pages_present(VMEMcache *cache)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t count = cache->pool.size / page, present = 0;
	unsigned char *in = malloc(count);

	assert_non_null(in);
	assert_int_equal(mincore(cache->pool.base, cache->pool.size, in), 0);
	for (size_t i = 0; i < count; i++)
		present += in[i] & 1;
	free(in);
	return present * page;
}

/* Every page is there, what is in the cache stays as it is. */
static void
test_prefault(void **state)
{
	VMEMcache *cache = fixture_open(32 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(fixture_put(cache, i, 1, 2000), 0);
	for (int twice = 0; twice < 2; twice++) {
		vmemcache_bench_set(cache, VMEMCACHE_BENCH_PREFAULT, 1);
		assert_int_equal(pages_present(cache), cache->pool.size);
		for (uint64_t i = 0; i < 1000; i++)
			assert_true(fixture_has(cache, i, 1, 2000));
	}
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_PREFAULT, 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_only),
		cmocka_unit_test(test_no_alloc),
		cmocka_unit_test(test_no_memcpy),
		cmocka_unit_test(test_unknown_switches),
		cmocka_unit_test(test_prefault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
