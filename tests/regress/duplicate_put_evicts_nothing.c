/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * duplicate_put_evicts_nothing.c -- libvmemcache 0.8.1 made room for a put
 * before it looked whether the key was there: EEXIST, and an innocent entry
 * was gone
 */
#include "fixture.h"

static void
test_duplicate_put(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	const uint64_t blocks = VMEMCACHE_MIN_POOL / 256;
	static const size_t sizes[] = {0, 1, 256, 257, 100000,
		VMEMCACHE_MIN_POOL, VMEMCACHE_MIN_POOL + 1};

	(void)state;
	for (uint64_t key = 0; key < blocks; key++)
		assert_int_equal(fixture_put(cache, key, 1, 256), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* the oldest, one in between, the newest */
		assert_fails(fixture_put(cache, 0, 2, sizes[i]), EEXIST);
		assert_fails(fixture_put(cache, 77, 2, sizes[i]), EEXIST);
		assert_fails(
			fixture_put(cache, blocks - 1, 2, sizes[i]), EEXIST);
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 0);
	fixture_check(cache);
	/* nor did it count as a use: the oldest still is */
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(fixture_exists(cache, 0), 0);
	for (uint64_t key = 1; key < blocks; key++)
		assert_true(fixture_has(cache, key, 1, 256));
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duplicate_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
