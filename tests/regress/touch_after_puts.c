/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * touch_after_puts.c -- when nothing but puts had filled the ring, the touch
 * of the next get was dropped, and an entry just used was the next victim
 */
#include "fixture.h"

static void
test_get_after_puts(void **state)
{
	(void)state;
	for (uint64_t puts = 1; puts <= 2 * VMC_RING_SIZE; puts++) {
		VMEMcache *cache =
			fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		for (uint64_t key = 0; key < puts; key++)
			assert_int_equal(fixture_put(cache, key, 1, 1), 0);
		assert_true(fixture_has(cache, 0, 1, 1));
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_int_equal(fixture_exists(cache, 0), puts > 1);
		assert_int_equal(fixture_exists(cache, 1), 0);
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_after_puts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
