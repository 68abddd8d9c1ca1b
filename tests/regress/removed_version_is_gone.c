/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * removed_version_is_gone.c -- a removal, which a clear or a removal of the
 * prefix forestalled in its callback, said that there was another version, or
 * that another value had been stored; there was none. As on_evict was told of
 * it, it is this call that has removed the key, and no other
 */
#include "items.h"

static void
clear(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)key, (void)key_size;
	++*(unsigned *)arg;
	assert_int_equal(vmemcache_clear(cache), 0);
}

static void
remove_prefix(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	++*(unsigned *)arg;
	assert_int_equal(vmemcache_remove_prefix(cache, key, key_size), 0);
	assert_int_equal(vmemcache_exists(cache, key, key_size, NULL), 0);
}

static void
test_version_is_gone(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t key = 1, version;
	unsigned calls = 0;

	(void)state;
	vmemcache_callback_on_evict(cache, clear, &calls);
	assert_int_equal(vmemcache_store(cache, &key, sizeof(key), "value", 5,
				 NULL, &version),
		0);
	assert_int_equal(
		vmemcache_remove(cache, &key, sizeof(key), version), 0);
	assert_int_equal(calls, 1);
	assert_int_equal(fixture_exists(cache, key), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_key_is_gone(void **state)
{
	static vmemcache_on_evict *const forestalls[] = {clear, remove_prefix};
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};
	unsigned calls = 0;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		vmemcache_callback_on_evict(cache, forestalls[i], &calls);
		assert_int_equal(fixture_put(cache, 1, 1, 100), 0);
		assert_int_equal(fixture_evict(cache, 1), 0);
		assert_int_equal(calls, i + 1);
		assert_int_equal(vmemcache_statistics(cache, &s), 0);
		assert_int_equal(s.removals[VMEMCACHE_REASON_EVICTED], i + 1);
		fixture_check_empty(cache);
	}
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_is_gone),
		cmocka_unit_test(test_key_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
