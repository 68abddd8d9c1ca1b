/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * removed_version_is_gone.c -- a removal of a version, which a clear
 * forestalled in its callback, said that there was another version; there was
 * none
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
	assert_fails(
		vmemcache_remove(cache, &key, sizeof(key), version), ENOENT);
	assert_int_equal(calls, 1);
	assert_int_equal(fixture_exists(cache, key), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
