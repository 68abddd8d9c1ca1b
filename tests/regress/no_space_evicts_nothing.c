/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * no_space_evicts_nothing.c -- in libvmemcache 0.8.1 a put nearly as large as
 * the pool evicted everything, and then said ENOSPC
 */
#include "fixture.h"

static void
fill(VMEMcache *cache)
{
	for (uint64_t key = 0; key < VMEMCACHE_MIN_POOL / 1024; key++)
		assert_int_equal(fixture_put(cache, key, 1, 1024), 0);
}

static void
forbid(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)arg;
	fail_msg("%s", "an eviction in vain");
}

static void
test_too_large(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	fill(cache);
	vmemcache_callback_on_evict(cache, forbid, NULL);
	assert_fails(
		fixture_put(cache, 5000, 1, VMEMCACHE_MIN_POOL + 1), ENOSPC);
	assert_fails(
		fixture_put(cache, 5000, 1, 2 * VMEMCACHE_MIN_POOL), ENOSPC);
	for (uint64_t key = 0; key < VMEMCACHE_MIN_POOL / 1024; key++)
		assert_true(fixture_has(cache, key, 1, 1024));
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* As large as the pool, to the byte, is not too large. */
static void
test_as_large_as_the_pool(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	fill(cache);
	assert_int_equal(fixture_put(cache, 5000, 1, VMEMCACHE_MIN_POOL), 0);
	assert_true(fixture_has(cache, 5000, 1, VMEMCACHE_MIN_POOL));
	assert_int_equal(fixture_put(cache, 5001, 1, VMEMCACHE_MIN_POOL), 0);
	assert_true(fixture_has(cache, 5001, 1, VMEMCACHE_MIN_POOL));
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 1);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/*
 * The pool would do, but what holds it cannot be evicted: it is being evicted
 * already, in whose callback we are. All the others must stay.
 */
static void
put_what_cannot_fit(
	VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)key, (void)key_size;
	vmemcache_callback_on_evict(cache, forbid, NULL);
	assert_fails(fixture_put(cache, 5000, 1, VMEMCACHE_MIN_POOL), ENOSPC);
	++*(int *)arg;
}

static void
test_not_enough_to_evict(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	int calls = 0;

	(void)state;
	fill(cache);
	vmemcache_callback_on_evict(cache, put_what_cannot_fit, &calls);
	assert_int_equal(fixture_evict(cache, 100), 0);
	assert_int_equal(calls, 1);
	for (uint64_t key = 0; key < VMEMCACHE_MIN_POOL / 1024; key++)
		assert_int_equal(fixture_exists(cache, key), key != 100);
	fixture_check(cache);
	/* and in the order in which they were */
	vmemcache_callback_on_evict(cache, NULL, NULL);
	for (uint64_t key = 0; key < 200; key++) {
		if (key == 100)
			continue;
		assert_int_equal(fixture_exists(cache, key), 1);
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_int_equal(fixture_exists(cache, key), 0);
	}
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_as_large_as_the_pool),
		cmocka_unit_test(test_not_enough_to_evict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
