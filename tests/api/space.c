/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c -- how much of a full pool holds values, and in how many pieces
 */
#include "fixture.h"

#define POOL ((size_t)32 << 20)
#define BLOCK 256

/* Sizes from 1 to 128 blocks, each power of two as likely. */
static size_t
any_size(uint64_t *random)
{
	size_t scale = (size_t)BLOCK << testing_below(random, 8);

	return scale / 2 + testing_below(random, scale / 2 + 1);
}

/* A part stays free, and what the last victim had more than was wanted. */
static void
expect_full(VMEMcache *cache, uint64_t part, uint64_t largest)
{
	uint64_t used = fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED);

	assert_true(used <= POOL - POOL / part + largest);
	assert_true(used + POOL / part + largest >= POOL);
}

/*
 * Many times over, with gets at random: values are not cut up more and more, as
 * twice as much is kept free when they are.
 */
static void
test_pieces(void **state)
{
	uint64_t random = testing_seed(), key = 0, bytes = 0;
	uint64_t turnovers = RUNNING_ON_VALGRIND ? 2 : 24;
	VMEMcache *cache = fixture_open(POOL, BLOCK, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	while (bytes < turnovers * POOL) {
		size_t size = any_size(&random);
		assert_int_equal(fixture_put(cache, ++key, 1, size), 0);
		bytes += size;
		for (int gets = 0; gets < 2; gets++) {
			uint64_t old = key - testing_below(&random, 1000);
			vmemcache_get(
				cache, &old, sizeof(old), NULL, 0, 0, NULL);
		}
	}
	expect_full(cache, 128, 128 * BLOCK);
	uint64_t entries = fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
	uint64_t runs = fixture_stat(cache, VMEMCACHE_STAT_EXTENTS);
	if (runs > 2 * entries)
		fail_msg("%lu runs of %lu values", runs, entries);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* Values of one size fill the pool but for that little. */
static void
test_one_size(void **state)
{
	static const size_t sizes[] = {256, 1000, 4096, 32768};

	(void)state;
	for (int i = 0; i < 4; i++) {
		VMEMcache *cache =
			fixture_open(POOL, BLOCK, VMEMCACHE_REPLACEMENT_LRU);
		uint64_t rounded = (sizes[i] + BLOCK - 1) / BLOCK * BLOCK;
		for (uint64_t key = 0; key < 2 * POOL / rounded; key++)
			assert_int_equal(
				fixture_put(cache, key, 1, sizes[i]), 0);
		expect_full(cache, 256, rounded);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EXTENTS),
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES));
		vmemcache_delete(cache);
	}
}

/* As many large values fit as the pool is times their size. */
static void
test_large(void **state)
{
	(void)state;
	for (uint64_t parts = 1; parts <= 128; parts *= 2) {
		VMEMcache *cache =
			fixture_open(POOL, BLOCK, VMEMCACHE_REPLACEMENT_LRU);
		for (uint64_t key = 0; key < 2 * parts; key++)
			assert_int_equal(
				fixture_put(cache, key, 1, POOL / parts), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), parts);
		/* small ones beside them: as much as one of them makes room */
		assert_int_equal(fixture_put(cache, 1000, 1, BLOCK), 0);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES),
			parts == 1 ? 1 : parts);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/* What a large value took of the free blocks comes back a little at a time. */
static void
test_no_flood(void **state)
{
	VMEMcache *cache = fixture_open(POOL, BLOCK, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t key = 0;

	(void)state;
	while (fixture_stat(cache, VMEMCACHE_STAT_EVICT) == 0)
		assert_int_equal(fixture_put(cache, key++, 1, 1024), 0);
	assert_int_equal(fixture_put(cache, key++, 1, 300 * BLOCK), 0);
	for (int i = 0; i < 300; i++) {
		uint64_t before = fixture_stat(cache, VMEMCACHE_STAT_EVICT);
		assert_int_equal(fixture_put(cache, key++, 1, 1024), 0);
		assert_in_range(
			fixture_stat(cache, VMEMCACHE_STAT_EVICT) - before, 1,
			i < 100 ? 2 : 1);
	}
	expect_full(cache, 256, 4 * BLOCK);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* A key that is there: nothing changes, however full the pool is. */
static void
test_refused(void **state)
{
	VMEMcache *cache = fixture_open(POOL, BLOCK, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t key = 0;

	(void)state;
	for (uint64_t evicted = 0; evicted < 3; evicted++) {
		while (fixture_stat(cache, VMEMCACHE_STAT_EVICT) == evicted)
			assert_int_equal(fixture_put(cache, key++, 1, 1024), 0);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(
				fixture_put(cache, key - 1, 2, 1024), -1);
			assert_int_equal(errno, EEXIST);
		}
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_EVICT), evicted + 1);
		assert_true(fixture_has(cache, key - 1, 1, 1024));
	}
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_one_size),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_no_flood),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
