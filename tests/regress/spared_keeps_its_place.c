/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spared_keeps_its_place.c -- a store over an item that failed, as there was
 * not enough room, made that item the most recently used
 */
#include "fixture.h"

enum { KEYS = 4, QUARTER = VMEMCACHE_MIN_POOL / KEYS };

static int
store(VMEMcache *cache, uint64_t key, size_t size)
{
	static const char value[VMEMCACHE_MIN_POOL];

	return vmemcache_store(
		cache, &key, sizeof(key), value, size, NULL, NULL);
}

/*
 * Of the pool's four items each in turn is stored over by what would need the
 * blocks of all. They are evicted in the order in which they came.
 */
static void
test_store_that_fails(void **state)
{
	(void)state;
	for (uint64_t spared = 0; spared < KEYS; spared++) {
		VMEMcache *cache =
			fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		for (uint64_t key = 0; key < KEYS; key++)
			assert_int_equal(store(cache, key, QUARTER), 0);
		for (unsigned i = 0; i < 3; i++)
			assert_fails(store(cache, spared, VMEMCACHE_MIN_POOL),
				ENOSPC);
		fixture_check(cache);
		for (uint64_t key = 0; key < KEYS; key++) {
			assert_true(fixture_exists(cache, key));
			assert_int_equal(store(cache, KEYS + key, QUARTER), 0);
			assert_false(fixture_exists(cache, key));
		}
		vmemcache_delete(cache);
	}
}

/* The same where victims are in reserve, which are many small ones. */
static void
test_small_ones(void **state)
{
	enum { SMALL = 256, COUNT = VMEMCACHE_MIN_POOL / SMALL };
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t next = 0, oldest = 0;

	(void)state;
	while (next < COUNT)
		assert_int_equal(store(cache, next++, SMALL), 0);
	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t spared = oldest + i % 70;
		if (i % 50 == 0)
			assert_fails(store(cache, spared, VMEMCACHE_MIN_POOL),
				ENOSPC);
		assert_int_equal(store(cache, next++, SMALL), 0);
		assert_false(fixture_exists(cache, oldest));
		assert_true(fixture_exists(cache, ++oldest));
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_that_fails),
		cmocka_unit_test(test_small_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
