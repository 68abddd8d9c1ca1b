/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * empty_values_are_unbounded.c -- values without a block were never evicted for
 * each other: five million of them, in a pool of 1 MiB, took 332 MB; then a put
 * that needed one block evicted them all
 */
#include "fixture.h"

enum { BLOCKS = VMEMCACHE_MIN_POOL / VMEMCACHE_MIN_EXTENT };

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

static void
count(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size;
	++*(unsigned *)arg;
}

static void
test_bounded(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(0, 0, policies[i]);
		unsigned evicted = 0;

		vmemcache_callback_on_evict(cache, count, &evicted);
		for (uint64_t key = 0; key < 3 * BLOCKS; key++) {
			assert_int_equal(fixture_put(cache, key, 1, 0), 0);
			assert_int_equal(
				evicted, key < BLOCKS ? 0 : key - BLOCKS + 1);
		}
		assert_true(fixture_has(cache, 3 * BLOCKS - 1, 1, 0));
		fixture_check(cache);

		/* a block for each, and no more */
		for (unsigned blocks = 1; blocks <= 64; blocks *= 4) {
			evicted = 0;
			assert_int_equal(
				fixture_put(cache, 4 * BLOCKS + blocks, 1,
					blocks * VMEMCACHE_MIN_EXTENT),
				0);
			assert_int_equal(evicted, blocks);
		}
		fixture_check(cache);
		while (vmemcache_evict(cache, NULL, 0) == 0)
			;
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

/* What was put first goes first, whether it has blocks or none. */
static void
test_order(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	for (uint64_t key = 0; key < 4 * BLOCKS; key++) {
		size_t size = key % 3 ? 0 : VMEMCACHE_MIN_EXTENT;
		assert_int_equal(fixture_put(cache, key, 1, size), 0);
		if (key < BLOCKS)
			continue;
		assert_int_equal(fixture_exists(cache, key - BLOCKS), 0);
		assert_int_equal(fixture_exists(cache, key - BLOCKS + 1), 1);
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), BLOCKS);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_nothing_is_evicted(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE);
	uint64_t key = 0;

	(void)state;
	for (; key < BLOCKS; key++)
		assert_int_equal(
			fixture_put(cache, key, 1, key % 2 ? 0 : 256), 0);
	assert_fails(fixture_put(cache, key, 1, 0), ENOSPC);
	assert_fails(fixture_put(cache, key, 1, 256), ENOSPC);
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_fails(fixture_put(cache, key, 1, 512), ENOSPC);
	assert_int_equal(fixture_put(cache, key, 1, 256), 0);
	assert_fails(fixture_put(cache, key + 1, 1, 0), ENOSPC);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* Pinned ones stay; they are the pool's room, until the last unpin. */
static void
test_pinned(void **state)
{
	static struct vmemcache_item items[BLOCKS];
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	for (uint64_t key = 0; key < BLOCKS; key++) {
		assert_int_equal(fixture_put(cache, key, 1, 0), 0);
		assert_int_equal(
			vmemcache_pin(cache, &key, sizeof(key), 0, &items[key]),
			0);
	}
	assert_fails(fixture_put(cache, BLOCKS, 1, 0), ENOSPC);
	assert_fails(fixture_put(cache, BLOCKS, 1, 1), ENOSPC);
	assert_int_equal(fixture_evict(cache, 7), 0);
	assert_fails(fixture_put(cache, BLOCKS, 1, 0), ENOSPC);
	vmemcache_unpin(cache, &items[7]);
	assert_int_equal(fixture_put(cache, BLOCKS, 1, 0), 0);
	for (uint64_t key = 0; key < BLOCKS; key++)
		vmemcache_unpin(cache, &items[key]);
	assert_int_equal(fixture_put(cache, BLOCKS + 1, 1, 1), 0);
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* All ways in and out: what is counted comes to what is there. */
static void
test_counted(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();
	struct vmemcache_store how = {
		.struct_size = sizeof(how), .mode = VMEMCACHE_SET};

	(void)state;
	for (uint64_t i = testing_operations(200000); i > 0; i--) {
		uint64_t key = testing_below(&random, 2 * BLOCKS);
		size_t size = testing_below(&random, 3) * 200;
		struct vmemcache_item item;
		static const char value[512];

		how.ttl_ms = testing_below(&random, 4) == 0 ? 1000000 : 0;
		switch (testing_below(&random, 5)) {
		case 0:
			(void)fixture_evict(cache, key);
			break;
		case 1:
			(void)vmemcache_touch(
				cache, &key, sizeof(key), 1000000);
			break;
		case 2:
			assert_int_equal(
				vmemcache_reserve(cache, &key, sizeof(key),
					size, &how, &item),
				0);
			if (testing_below(&random, 3) == 0)
				vmemcache_abort(cache, &item);
			else
				assert_int_equal(
					vmemcache_commit(cache, &item,
						testing_below(&random, 2) ? size
									  : 0,
						NULL),
					0);
			break;
		default:
			assert_int_equal(
				vmemcache_store(cache, &key, sizeof(key), value,
					size, &how, NULL),
				0);
		}
		assert_in_range(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 0, BLOCKS);
		if (i % 1000 == 0)
			fixture_check(cache);
	}
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check(cache);
	assert_int_equal(vmc_load_relaxed(&cache->empties), 0);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_nothing_is_evicted),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
