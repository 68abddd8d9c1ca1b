/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool_holds_values_alone.c -- libvmemcache 0.8.1 kept 32 bytes of header an
 * extent in the pool: values of 256, 512 and 1024 bytes used 50, 67 and 80 %
 */
#include "fixture.h"

static void
test_every_block_holds_values(void **state)
{
	static const size_t sizes[] = {256, 512, 1024, 4096, 65536};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		VMEMcache *cache =
			fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		uint64_t count = VMEMCACHE_MIN_POOL / sizes[i];

		for (uint64_t key = 0; key < count; key++)
			assert_int_equal(
				fixture_put(cache, key, 1, sizes[i]), 0);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			VMEMCACHE_MIN_POOL);
		/* and so it stays, whatever comes and goes */
		for (uint64_t key = count; key < 20 * count; key++)
			assert_int_equal(
				fixture_put(cache, key, 1, sizes[i]), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), count);
		for (uint64_t key = 19 * count; key < 20 * count; key++)
			assert_true(fixture_has(cache, key, 1, sizes[i]));
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_block_holds_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
