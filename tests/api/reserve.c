/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reserve.c -- values made in place: reserve, commit, abort
 */
#include "items.h"

#include <pthread.h>

enum { SIZE = 1000, LARGE = 128 * 1024, FULL = 8 /* of these in a pool */ };

static int
reserve(VMEMcache *cache, uint64_t key, size_t size, enum vmemcache_mode mode,
	struct vmemcache_item *item)
{
	struct vmemcache_store how = items_mode(mode);

	return vmemcache_reserve(cache, &key, sizeof(key), size, &how, item);
}

static void
test_commit(void **state)
{
	static const size_t sizes[] = {0, 1, 255, 256, 257, SIZE, LARGE};
	VMEMcache *cache = items_open();
	struct vmemcache_item item;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t version = 0;
		assert_int_equal(
			reserve(cache, 1, LARGE, VMEMCACHE_SET, &item), 0);
		assert_int_equal(item.info.value_size, LARGE);
		assert_int_equal(fixture_exists(cache, 1), i > 0);
		items_fill(&item, 1, i + 1);
		assert_int_equal(
			vmemcache_commit(cache, &item, sizes[i], &version), 0);
		assert_int_equal(item.iov_count, -1);
		assert_true(fixture_has(cache, 1, i + 1, sizes[i]));
		assert_true(version != 0);
		assert_int_equal(items_info(cache, 1).version, version);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 1);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			(sizes[i] + 255) / 256 * 256);
		fixture_check(cache);
	}
	assert_int_equal(fixture_evict(cache, 1), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_modes(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_item item;

	(void)state;
	assert_int_equal(reserve(cache, 1, SIZE, VMEMCACHE_REPLACE, &item), 0);
	assert_fails(vmemcache_commit(cache, &item, SIZE, NULL), ENOENT);
	assert_int_equal(item.iov_count, -1);
	assert_int_equal(reserve(cache, 1, SIZE, VMEMCACHE_ADD, &item), 0);
	items_fill(&item, 1, 1);
	assert_int_equal(fixture_put(cache, 1, 2, 10), 0);
	assert_fails(vmemcache_commit(cache, &item, SIZE, NULL), EEXIST);
	assert_true(fixture_has(cache, 1, 2, 10));
	assert_int_equal(reserve(cache, 1, SIZE, VMEMCACHE_REPLACE, &item), 0);
	items_fill(&item, 1, 3);
	assert_int_equal(vmemcache_commit(cache, &item, SIZE, NULL), 0);
	assert_true(fixture_has(cache, 1, 3, SIZE));
	struct vmemcache_store how = items_if_version(12345);
	uint64_t key = 1;
	assert_int_equal(
		vmemcache_reserve(cache, &key, sizeof(key), SIZE, &how, &item),
		0);
	assert_fails(vmemcache_commit(cache, &item, SIZE, NULL), ESTALE);
	assert_int_equal(fixture_evict(cache, 1), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_abort(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_item items[FULL];

	(void)state;
	for (int round = 0; round < 3; round++) {
		struct vmemcache_item none;
		for (uint64_t i = 0; i < FULL; i++)
			assert_int_equal(reserve(cache, i, LARGE, VMEMCACHE_SET,
						 &items[i]),
				0);
		/* what is reserved is no victim */
		assert_fails(fixture_put(cache, 99, 1, 1), ENOSPC);
		assert_fails(
			reserve(cache, 99, 1, VMEMCACHE_SET, &none), ENOSPC);
		assert_int_equal(none.iov_count, -1);
		for (uint64_t i = 0; i < FULL; i++) {
			if (i == 0) /* the same */
				vmemcache_unpin(cache, &items[i]);
			vmemcache_abort(cache, &items[i]);
			assert_int_equal(items[i].iov_count, -1);
		}
		fixture_check_empty(cache);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* In a pool of which every other block is free. */
static void
test_many_pieces(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE);
	uint64_t blocks = VMEMCACHE_MIN_POOL / VMEMCACHE_MIN_EXTENT;
	struct vmemcache_item item;

	(void)state;
	for (uint64_t key = 0; key < blocks; key++)
		assert_int_equal(
			fixture_put(cache, key, 1, VMEMCACHE_MIN_EXTENT), 0);
	for (uint64_t key = 0; key < blocks; key += 2)
		assert_int_equal(fixture_evict(cache, key), 0);
	for (size_t size = 1; size < 2560; size += 300) {
		assert_int_equal(
			reserve(cache, 2 * blocks, 2560, VMEMCACHE_SET, &item),
			0);
		assert_int_equal(item.iov_count, 10);
		items_fill(&item, 2 * blocks, size);
		assert_int_equal(vmemcache_commit(cache, &item, size, NULL), 0);
		assert_true(fixture_has(cache, 2 * blocks, size, size));
		uint64_t key = 2 * blocks;
		assert_int_equal(
			vmemcache_pin(cache, &key, sizeof(key), 0, &item), 0);
		assert_int_equal(item.iov_count, (size + 255) / 256);
		vmemcache_unpin(cache, &item);
		assert_int_equal(fixture_evict(cache, 2 * blocks), 0);
		fixture_check(cache);
	}
	vmemcache_delete(cache);
}

static void
test_bad_input(void **state)
{
	VMEMcache *closed = vmemcache_new();
	VMEMcache *cache = items_open();
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	struct vmemcache_item item = {.iov_count = -1};

	(void)state;
	assert_fails(vmemcache_commit(cache, &item, 0, NULL), EINVAL);
	assert_fails(vmemcache_reserve(NULL, "k", 1, 1, NULL, &item), EINVAL);
	assert_fails(vmemcache_reserve(closed, "k", 1, 1, NULL, &item), EINVAL);
	assert_fails(vmemcache_reserve(cache, NULL, 1, 1, NULL, &item), EINVAL);
	assert_fails(vmemcache_reserve(cache, "k", 1, 1, NULL, NULL), EINVAL);
	how.flags = 1u << 30;
	assert_fails(vmemcache_reserve(cache, "k", 1, 1, &how, &item), EINVAL);
	how = (struct vmemcache_store){0};
	assert_fails(vmemcache_reserve(cache, "k", 1, 1, &how, &item), EINVAL);
	assert_fails(vmemcache_reserve(cache, "k", 1, VMEMCACHE_MIN_POOL + 1,
			     NULL, &item),
		ENOSPC);
	assert_int_equal(item.iov_count, -1);
	assert_int_equal(vmemcache_reserve(cache, "k", 1, 5, NULL, &item), 0);
	assert_fails(vmemcache_commit(cache, &item, 6, NULL), EINVAL);
	assert_fails(vmemcache_commit(NULL, &item, 5, NULL), EINVAL);
	assert_fails(vmemcache_commit(cache, NULL, 5, NULL), EINVAL);
	vmemcache_abort(NULL, &item);
	vmemcache_abort(cache, NULL);
	items_fill(&item, 1, 1);
	assert_int_equal(vmemcache_commit(cache, &item, 5, NULL), 0);
	assert_fails(vmemcache_commit(cache, &item, 5, NULL), EINVAL);
	assert_int_equal(vmemcache_pin(cache, "k", 1, 0, &item), 0);
	assert_fails(vmemcache_commit(cache, &item, 5, NULL), EINVAL);
	vmemcache_abort(cache, &item);
	assert_int_equal(item.iov_count, 1);
	vmemcache_unpin(cache, &item);
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

struct other {
	VMEMcache *cache;
	struct vmemcache_item item;
};

static void *
commit_it(void *arg)
{
	struct other *other = arg;

	testing_expect(
		vmemcache_commit(other->cache, &other->item, SIZE, NULL) == 0);
	return NULL;
}

static void
test_committed_by_another_thread(void **state)
{
	struct other other = {.cache = items_open()};
	pthread_t thread;

	(void)state;
	assert_int_equal(
		reserve(other.cache, 1, SIZE, VMEMCACHE_ADD, &other.item), 0);
	items_fill(&other.item, 1, 1);
	assert_int_equal(pthread_create(&thread, NULL, commit_it, &other), 0);
	pthread_join(thread, NULL);
	assert_int_equal(testing_failures, 0);
	assert_true(fixture_has(other.cache, 1, 1, SIZE));
	fixture_check(other.cache);
	vmemcache_delete(other.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_many_pieces),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_committed_by_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
