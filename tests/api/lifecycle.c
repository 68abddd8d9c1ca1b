/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lifecycle.c -- new, the setters, add and delete, in every order
 */
#include "fixture.h"

#include <unistd.h>

static void
test_delete_of_what_was_never_added(void **state)
{
	(void)state;
	vmemcache_delete(NULL);
	VMEMcache *cache = vmemcache_new();
	assert_non_null(cache);
	vmemcache_delete(cache);
	vmemcache_delete(
		fixture_new(4 << 20, 1024, VMEMCACHE_REPLACEMENT_NONE));
}

/* LRU, extents of 256 bytes, the smallest pool. */
static void
test_defaults(void **state)
{
	VMEMcache *cache = vmemcache_new();
	const uint64_t count = VMEMCACHE_MIN_POOL / VMEMCACHE_MIN_EXTENT;

	(void)state;
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(fixture_put(cache, i, 1, 1), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
		VMEMCACHE_MIN_POOL);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 0);
	assert_true(fixture_has(cache, 0, 1, 1));
	assert_int_equal(fixture_put(cache, count, 1, 1), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 1);
	assert_int_equal(fixture_exists(cache, 0), 1);
	assert_int_equal(fixture_exists(cache, 1), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* The size is rounded up to a page, and all of it can be used. */
static void
test_size_is_rounded_up(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t asked = VMEMCACHE_MIN_POOL + 1;
	size_t size = VMEMCACHE_MIN_POOL + page;
	VMEMcache *cache = fixture_open(asked, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, size), 0);
	assert_true(fixture_has(cache, 1, 1, size));
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), size);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES), 0);
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_fails(fixture_put(cache, 1, 1, size + 1), ENOSPC);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_extent_sizes(void **state)
{
	static const size_t extents[] = {256, 257, 300, 1000, 4096, 4097, 65536,
		VMEMCACHE_MIN_POOL / 2 + 1, VMEMCACHE_MIN_POOL};

	(void)state;
	for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]); i++) {
		size_t extent = extents[i];
		size_t blocks = VMEMCACHE_MIN_POOL / extent;
		VMEMcache *cache =
			fixture_open(0, extent, VMEMCACHE_REPLACEMENT_NONE);

		for (uint64_t key = 0; key < blocks; key++)
			assert_int_equal(fixture_put(cache, key, 1, extent), 0);
		assert_fails(fixture_put(cache, blocks, 1, 1), ENOSPC);
		for (uint64_t key = 0; key < blocks; key++)
			assert_true(fixture_has(cache, key, 1, extent));
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			blocks * extent);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

static void
test_in_use(void **state)
{
	VMEMcache *cache =
		fixture_open(2 << 20, 1024, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_fails(vmemcache_set_size(cache, 4 << 20), EALREADY);
	assert_fails(vmemcache_set_extent_size(cache, 512), EALREADY);
	assert_fails(vmemcache_set_eviction_policy(
			     cache, VMEMCACHE_REPLACEMENT_NONE),
		EALREADY);
	assert_fails(vmemcache_set_metadata(cache, VMEMCACHE_METADATA_DRAM),
		EALREADY);
	assert_fails(
		vmemcache_set_index(cache, VMEMCACHE_INDEX_HASH), EALREADY);
	assert_fails(vmemcache_set_prefault(cache, 0, NULL, NULL), EALREADY);
	assert_fails(vmemcache_add(cache, FIXTURE_DIR), EBUSY);
	assert_fails(vmemcache_add(cache, "/nonexistent"), EBUSY);
	assert_fails(vmemcache_add(cache, NULL), EBUSY);
	/* and it works on, as it was */
	assert_int_equal(fixture_put(cache, 1, 1, 1025), 0);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 2048);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* Each failed add leaves a cache that can be configured and added. */
static void
test_failed_add(void **state)
{
	VMEMcache *cache = vmemcache_new();

	(void)state;
	assert_fails(vmemcache_add(cache, "/nonexistent/directory"), ENOENT);
	assert_int_equal(vmemcache_set_size(cache, 2 << 20), 0);
	assert_fails(vmemcache_add(cache, NULL), EINVAL);
	assert_string_equal(vmemcache_errormsg(), "invalid (NULL) path");
	assert_int_equal(vmemcache_set_extent_size(cache, (2 << 20) + 1), 0);
	assert_fails(vmemcache_add(cache, FIXTURE_DIR), EINVAL);
	assert_int_equal(vmemcache_set_extent_size(cache, 4096), 0);
	assert_fails(vmemcache_add(cache, "/dev/null"), ENOTDIR);
	assert_string_equal(
		vmemcache_errormsg(), "open: Not a directory: /dev/null");
	assert_int_equal(vmemcache_set_eviction_policy(
				 cache, VMEMCACHE_REPLACEMENT_NONE),
		0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t i = 0; i < 512; i++)
		assert_int_equal(fixture_put(cache, i, 1, 1), 0);
	assert_fails(fixture_put(cache, 512, 1, 1), ENOSPC);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* With no size set, an extent beyond the default size is found at add. */
static void
test_extent_larger_than_the_default_size(void **state)
{
	VMEMcache *cache = vmemcache_new();

	(void)state;
	assert_int_equal(
		vmemcache_set_extent_size(cache, VMEMCACHE_MIN_POOL + 1), 0);
	assert_fails(vmemcache_add(cache, FIXTURE_DIR), EINVAL);
	assert_int_equal(
		vmemcache_set_extent_size(cache, VMEMCACHE_MIN_POOL), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	vmemcache_delete(cache);
}

static void
test_many_caches(void **state)
{
	enum { CACHES = 50 };
	VMEMcache *caches[CACHES];

	(void)state;
	for (uint64_t i = 0; i < CACHES; i++) {
		caches[i] = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		assert_int_equal(fixture_put(caches[i], 7, i + 1, 1000), 0);
	}
	for (uint64_t i = 0; i < CACHES; i += 2)
		vmemcache_delete(caches[i]);
	for (uint64_t i = 1; i < CACHES; i += 2) {
		assert_true(fixture_has(caches[i], 7, i + 1, 1000));
		fixture_check(caches[i]);
		vmemcache_delete(caches[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delete_of_what_was_never_added),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_size_is_rounded_up),
		cmocka_unit_test(test_extent_sizes),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_failed_add),
		cmocka_unit_test(test_extent_larger_than_the_default_size),
		cmocka_unit_test(test_many_caches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
