/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.c -- vmemcache_store(), _remove() and _fetch(): modes, versions, what
 * on_evict sees; and bad input
 */
#include "items.h"

static void
test_modes(void **state)
{
	struct vmemcache_store add = items_mode(VMEMCACHE_ADD);
	struct vmemcache_store replace = items_mode(VMEMCACHE_REPLACE);
	VMEMcache *cache = items_open();

	(void)state;
	assert_fails(items_store(cache, 1, 1, 100, &replace, NULL), ENOENT);
	assert_int_equal(items_store(cache, 1, 2, 100, &add, NULL), 0);
	assert_fails(items_store(cache, 1, 3, 100, &add, NULL), EEXIST);
	assert_true(fixture_has(cache, 1, 2, 100));
	assert_int_equal(items_store(cache, 1, 4, 3000, &replace, NULL), 0);
	assert_true(fixture_has(cache, 1, 4, 3000));
	assert_int_equal(items_store(cache, 1, 5, 0, NULL, NULL), 0);
	assert_true(fixture_has(cache, 1, 5, 0));
	assert_int_equal(items_store(cache, 2, 6, 50000, NULL, NULL), 0);
	assert_true(fixture_has(cache, 2, 6, 50000));
	/* and what was put */
	assert_int_equal(fixture_put(cache, 3, 7, 10), 0);
	assert_fails(fixture_put(cache, 2, 7, 10), EEXIST);
	assert_int_equal(items_store(cache, 3, 8, 20, &replace, NULL), 0);
	assert_true(fixture_has(cache, 3, 8, 20));
	fixture_check(cache);
	for (uint64_t key = 1; key <= 3; key++)
		assert_int_equal(fixture_evict(cache, key), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_versions(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_store how;
	uint64_t seen[300], version = 0;

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, 100), 0);
	assert_int_equal(fixture_put(cache, 2, 1, 100), 0);
	assert_int_equal(items_info(cache, 1).version, 1);
	/* from now on each has its own */
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_int_equal(fixture_put(cache, 1, 2, 100), 0);
	for (int i = 0; i < 300; i++) {
		seen[i] = items_info(cache, 1).version;
		assert_true(seen[i] > 1);
		for (int k = 0; k < i; k++)
			assert_true(seen[k] != seen[i]);
		if (i % 3 == 0)
			assert_int_equal(fixture_evict(cache, 1), 0);
		assert_int_equal(
			items_store(cache, 1, 3, 100, NULL, &version), 0);
		assert_int_equal(items_info(cache, 1).version, version);
	}
	/* what was put before they were asked for is of version 1 */
	how = items_if_version(2);
	version = 4711;
	assert_fails(items_store(cache, 2, 4, 100, &how, &version), ESTALE);
	how = items_if_version(0);
	assert_fails(items_store(cache, 2, 4, 100, &how, &version), ESTALE);
	assert_int_equal(version, 4711);
	assert_true(fixture_has(cache, 2, 1, 100));
	how = items_if_version(1);
	assert_int_equal(items_store(cache, 2, 4, 100, &how, &version), 0);
	assert_fails(items_store(cache, 2, 5, 100, &how, NULL), ESTALE);
	how = items_if_version(version);
	assert_int_equal(items_store(cache, 2, 6, 100, &how, NULL), 0);
	assert_fails(items_store(cache, 3, 6, 100, &how, NULL), ENOENT);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* The first to ask may be any call that has to do with versions. */
static void
test_who_asks_first(void **state)
{
	uint64_t version;

	(void)state;
	for (int way = 0; way < 4; way++) {
		VMEMcache *cache = items_open();
		struct vmemcache_store how = items_if_version(17);
		assert_int_equal(fixture_put(cache, 1, 1, 100), 0);
		if (way == 0)
			assert_int_equal(
				items_store(cache, 2, 1, 100, NULL, &version),
				0);
		else if (way == 1)
			assert_int_equal(items_info(cache, 1).version, 1);
		else if (way == 2)
			assert_fails(items_remove(cache, 1, 17), ESTALE);
		else
			assert_fails(items_store(cache, 2, 1, 1, &how, NULL),
				ENOENT);
		assert_int_equal(fixture_put(cache, 3, 1, 100), 0);
		assert_true(items_info(cache, 3).version > 1);
		assert_int_equal(items_info(cache, 1).version, 1);
		vmemcache_delete(cache);
	}
}

static void
test_remove(void **state)
{
	VMEMcache *cache = items_open();
	uint64_t version;

	(void)state;
	assert_fails(items_remove(cache, 1, 0), ENOENT);
	assert_fails(items_remove(cache, 1, 1), ENOENT);
	assert_int_equal(items_store(cache, 1, 1, 100, NULL, &version), 0);
	assert_fails(items_remove(cache, 1, version + 1), ESTALE);
	assert_true(fixture_has(cache, 1, 1, 100));
	assert_int_equal(items_remove(cache, 1, version), 0);
	assert_int_equal(fixture_exists(cache, 1), 0);
	assert_int_equal(fixture_put(cache, 1, 2, 100), 0);
	assert_int_equal(items_remove(cache, 1, 0), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 2);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* Keys of all sizes, each with a tag or none. */
static void
test_tags(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	struct vmemcache_info info = {.struct_size = sizeof(info)};
	char key[64];

	(void)state;
	memset(key, 'k', sizeof(key));
	for (size_t size = 0; size <= sizeof(key); size++) {
		how.tag = size % 3 ? UINT32_MAX - (uint32_t)size : 0;
		assert_int_equal(vmemcache_store(cache, key, size, "value", 5,
					 &how, NULL),
			0);
	}
	for (size_t size = 0; size <= sizeof(key); size++) {
		assert_int_equal(
			vmemcache_fetch(cache, key, size, NULL, 0, 0, 0, &info),
			0);
		assert_int_equal(info.value_size, 5);
		assert_int_equal(info.ttl_ms, VMEMCACHE_FOREVER);
		assert_int_equal(
			info.tag, size % 3 ? UINT32_MAX - (uint32_t)size : 0);
		assert_int_equal(vmemcache_remove(cache, key, size, 0), 0);
	}
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* An entry that uses none of it takes no byte more. */
static void
test_nothing_is_paid_for_nothing(void **state)
{
	unsigned long long used[4];
	uint64_t version;

	(void)state;
	for (int way = 0; way < 4; way++) {
		VMEMcache *cache = items_open();
		struct vmemcache_store how = items_mode(VMEMCACHE_SET);
		how.tag = way == 3;
		assert_int_equal(way == 0 ? fixture_put(cache, 1, 1, 10)
					  : items_store(cache, 1, 1, 10, &how,
						    way == 2 ? &version : NULL),
			0);
		used[way] = fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
		vmemcache_delete(cache);
	}
	assert_int_equal(used[1], used[0]);
	assert_int_equal(used[2], used[0] + 8);
	assert_int_equal(used[3], used[0] + 12);
}

static void
test_fetch(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_info info = {
		.struct_size = sizeof(info), .value_size = 17, .version = 18};
	uint64_t key = 1;
	char buffer[1000];

	(void)state;
	assert_fails(vmemcache_fetch(cache, &key, sizeof(key), buffer,
			     sizeof(buffer), 0, 0, &info),
		ENOENT);
	assert_int_equal(info.value_size, 17);
	assert_int_equal(info.version, 18);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_MISS), 1);
	assert_int_equal(fixture_put(cache, key, 1, 900), 0);
	assert_int_equal(vmemcache_fetch(cache, &key, sizeof(key), buffer,
				 sizeof(buffer), 100, 0, NULL),
		800);
	assert_true(value_is(buffer, 800, 100, key, 1));
	assert_int_equal(vmemcache_fetch(cache, &key, sizeof(key), buffer, 10,
				 1000, 0, &info),
		0);
	assert_int_equal(info.value_size, 900);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT), 2);
	/* unseen */
	assert_int_equal(vmemcache_fetch(cache, &key, sizeof(key), buffer,
				 sizeof(buffer), 0, VMEMCACHE_PEEK, NULL),
		900);
	assert_fails(vmemcache_fetch(cache, &key, 0, buffer, sizeof(buffer), 0,
			     VMEMCACHE_PEEK, NULL),
		ENOENT);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT), 2);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_MISS), 1);
	vmemcache_delete(cache);
}

/* A peek does not save an entry from its eviction, a fetch does. */
static void
test_peek_is_no_use(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags <= VMEMCACHE_PEEK; flags++) {
		VMEMcache *cache = items_open();
		size_t half = VMEMCACHE_MIN_POOL / 2;
		uint64_t key = 1;
		assert_int_equal(fixture_put(cache, 1, 1, half), 0);
		assert_int_equal(fixture_put(cache, 2, 1, half), 0);
		assert_int_equal(vmemcache_fetch(cache, &key, sizeof(key), NULL,
					 0, 0, flags, NULL),
			0);
		assert_int_equal(fixture_put(cache, 3, 1, half), 0);
		assert_int_equal(
			fixture_exists(cache, 1), flags != VMEMCACHE_PEEK);
		vmemcache_delete(cache);
	}
}

static void
put_on_miss(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	static char large[2 * VMEMCACHE_MIN_POOL];

	how.tag = 5;
	if (*(size_t *)arg <= sizeof(large))
		(void)vmemcache_store(cache, key, key_size, large,
			*(size_t *)arg, &how, NULL);
}

static void
test_fetch_and_on_miss(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_info info = {.struct_size = sizeof(info)};
	size_t size = 10;
	uint64_t key = 1;

	(void)state;
	vmemcache_callback_on_miss(cache, put_on_miss, &size);
	assert_fails(vmemcache_fetch(cache, &key, sizeof(key), NULL, 0, 0,
			     VMEMCACHE_NO_CALLBACK, &info),
		ENOENT);
	assert_int_equal(
		vmemcache_fetch(cache, &key, sizeof(key), NULL, 0, 0, 0, &info),
		0);
	assert_int_equal(info.value_size, 10);
	assert_int_equal(info.tag, 5);
	assert_true(info.version > 1);
	assert_int_equal(items_info(cache, key).version, info.version);
	/* one that is not kept */
	key = 2;
	size = VMEMCACHE_MIN_POOL + 1;
	assert_int_equal(
		vmemcache_fetch(cache, &key, sizeof(key), NULL, 0, 0, 0, &info),
		0);
	assert_int_equal(info.value_size, VMEMCACHE_MIN_POOL + 1);
	assert_int_equal(info.version, 0);
	assert_int_equal(fixture_exists(cache, 2), 0);
	vmemcache_delete(cache);
}

/* Replacing evicts nothing where the room of the old value is left over. */
static void
test_replacing_in_a_full_pool(void **state)
{
	enum { VALUE = 64 * 1024, VALUES = VMEMCACHE_MIN_POOL / VALUE };
	VMEMcache *cache = items_open();

	(void)state;
	for (uint64_t key = 0; key < VALUES; key++)
		assert_int_equal(fixture_put(cache, key, 1, VALUE), 0);
	/* key 1 is the oldest but one, and is not evicted for its own value */
	assert_int_equal(items_store(cache, 1, 2, VALUE, NULL, NULL), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 1);
	assert_int_equal(fixture_exists(cache, 0), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
			items_store(cache, 1 + (uint64_t)i % (VALUES - 1), 3,
				VALUE, NULL, NULL),
			0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 1);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), VALUES - 1);
	for (uint64_t key = 1; key < VALUES; key++)
		assert_true(fixture_has(cache, key, 3, VALUE));
	fixture_check(cache);
	/* the least recently used is the one to be replaced: the next one goes
	 */
	assert_int_equal(items_store(cache, 1, 4, 2 * VALUE, NULL, NULL), 0);
	assert_true(fixture_has(cache, 1, 4, 2 * VALUE));
	assert_int_equal(fixture_exists(cache, 2), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* The pool cannot hold both: nothing changes. */
static void
test_no_room_beside_the_old_value(void **state)
{
	VMEMcache *cache = items_open();
	size_t size = VMEMCACHE_MIN_POOL / 2 + 1;

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, size), 0);
	assert_fails(items_store(cache, 1, 2, size, NULL, NULL), ENOSPC);
	assert_fails(
		items_store(cache, 1, 2, VMEMCACHE_MIN_POOL + 1, NULL, NULL),
		ENOSPC);
	assert_true(fixture_has(cache, 1, 1, size));
	assert_int_equal(items_store(cache, 1, 2, size - 1000, NULL, NULL), 0);
	assert_true(fixture_has(cache, 1, 2, size - 1000));
	/* it can be evicted as ever */
	assert_int_equal(fixture_put(cache, 2, 1, VMEMCACHE_MIN_POOL), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* Without a policy nothing is evicted, but it can be replaced. */
static void
test_without_a_policy(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE);

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(
			items_store(cache, i % 3, i, 100000, NULL, NULL), 0);
	assert_fails(items_store(cache, 5, 0, 900000, NULL, NULL), ENOSPC);
	assert_true(fixture_has(cache, 0, 999, 100000));
	fixture_check(cache);
	for (uint64_t key = 0; key < 3; key++)
		assert_int_equal(items_remove(cache, key, 0), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_statistics(void **state)
{
	VMEMcache *cache = items_open();

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(
			items_store(cache, i % 10, i, 100, NULL, NULL), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_PUT), 100);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 10);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EXTENTS), 10);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 2560);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* --- beside on_evict --- */

struct during {
	uint64_t key;
	const struct vmemcache_store *how;
	uint64_t version;
	int calls;
	int rc;
	int err;
};

static void
store_during(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct during *during = arg;
	uint64_t number;

	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	if (during->calls++ > 0 || number != during->key)
		return;
	during->rc = items_store(
		cache, number, 2, 100, during->how, &during->version);
	during->err = errno;
}

/* What stores over an entry that is being evicted replaces it. */
static void
test_store_while_it_is_evicted(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		VMEMcache *cache = items_open();
		struct vmemcache_store how = items_mode(VMEMCACHE_SET);
		struct during during = {.key = 1, .how = &how};
		uint64_t version;
		assert_int_equal(
			items_store(cache, 1, 1, 100, NULL, &version), 0);
		if (way == 1)
			how = items_if_version(version);
		if (way == 3)
			how = items_mode(VMEMCACHE_ADD);
		vmemcache_callback_on_evict(cache, store_during, &during);
		if (way == 0)
			assert_fails(fixture_evict(cache, 1), EAGAIN);
		else if (way == 1)
			assert_fails(items_remove(cache, 1, version), ESTALE);
		else /* as the policy's victim it has gone, whatever is stored
		      */
			assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_int_equal(during.calls, 1);
		assert_int_equal(during.rc, way == 3 ? -1 : 0);
		if (way == 3)
			assert_int_equal(during.err, EEXIST);
		else
			assert_true(fixture_has(cache, 1, 2, 100));
		assert_int_equal(fixture_exists(cache, 1), way != 3);
		fixture_check(cache);
		if (way != 3)
			assert_int_equal(fixture_evict(cache, 1), 0);
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

/* The key that a store is about to replace, in the callback for its victim. */
static void
store_other(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct during *during = arg;

	(void)key;
	(void)key_size;
	if (during->calls++ == 0)
		during->rc =
			items_store(cache, during->key, 5, 100, NULL, NULL);
}

static void
test_store_while_it_is_replaced(void **state)
{
	VMEMcache *cache = items_open();
	struct during during = {.key = 1};
	size_t size = VMEMCACHE_MIN_POOL / 4;

	(void)state;
	for (uint64_t key = 0; key < 4; key++)
		assert_int_equal(fixture_put(cache, key, 1, size - 256), 0);
	vmemcache_callback_on_evict(cache, store_other, &during);
	assert_int_equal(items_store(cache, 1, 6, size, NULL, NULL), 0);
	assert_true(during.calls >= 1);
	assert_int_equal(during.rc, 0);
	assert_true(fixture_has(cache, 1, 6, size));
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* --- bad input --- */

static void
test_arguments_of_store(void **state)
{
	VMEMcache *cache = items_open();
	VMEMcache *closed = vmemcache_new();
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	uint64_t key = 1, version = 4711;

	(void)state;
	assert_fails(
		vmemcache_store(NULL, &key, 8, "v", 1, NULL, NULL), EINVAL);
	assert_fails(
		vmemcache_store(closed, &key, 8, "v", 1, NULL, NULL), EINVAL);
	assert_fails(
		vmemcache_store(cache, NULL, 8, "v", 1, NULL, NULL), EINVAL);
	assert_fails(vmemcache_store(cache, &key, (size_t)PTRDIFF_MAX + 1, "v",
			     1, NULL, NULL),
		EINVAL);
	assert_fails(
		vmemcache_store(cache, &key, 8, NULL, 1, NULL, NULL), EINVAL);
	for (size_t size = 0; size < 2 * sizeof(how); size++) {
		how.struct_size = size;
		if (size != sizeof(how))
			assert_fails(vmemcache_store(cache, &key, 8, "v", 1,
					     &how, &version),
				EINVAL);
	}
	how.struct_size = sizeof(how);
	how.mode = (enum vmemcache_mode)4;
	assert_fails(
		vmemcache_store(cache, &key, 8, "v", 1, &how, NULL), EINVAL);
	how.mode = (enum vmemcache_mode) - 1;
	assert_fails(
		vmemcache_store(cache, &key, 8, "v", 1, &how, NULL), EINVAL);
	how.mode = VMEMCACHE_SET;
	how.flags = 1u << 31;
	assert_fails(
		vmemcache_store(cache, &key, 8, "v", 1, &how, NULL), EINVAL);
	assert_int_equal(version, 4711);
	/* the cache is as it was */
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 0);
	assert_int_equal(
		vmemcache_store(cache, NULL, 0, NULL, 0, NULL, &version), 0);
	assert_int_equal(vmemcache_exists(cache, NULL, 0, NULL), 1);
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

static void
test_arguments_of_remove_and_fetch(void **state)
{
	VMEMcache *cache = items_open();
	VMEMcache *closed = vmemcache_new();
	struct vmemcache_info info = {.struct_size = sizeof(info)};
	uint64_t key = 1;

	(void)state;
	assert_fails(vmemcache_remove(NULL, &key, 8, 0), EINVAL);
	assert_fails(vmemcache_remove(closed, &key, 8, 0), EINVAL);
	assert_fails(vmemcache_remove(cache, NULL, 8, 0), EINVAL);
	assert_fails(vmemcache_remove(cache, &key, (size_t)PTRDIFF_MAX + 1, 0),
		EINVAL);
	assert_fails(vmemcache_remove(cache, NULL, 0, 0), ENOENT);
	assert_fails(
		vmemcache_fetch(NULL, &key, 8, NULL, 0, 0, 0, NULL), EINVAL);
	assert_fails(
		vmemcache_fetch(closed, &key, 8, NULL, 0, 0, 0, NULL), EINVAL);
	assert_fails(
		vmemcache_fetch(cache, NULL, 8, NULL, 0, 0, 0, NULL), EINVAL);
	assert_fails(
		vmemcache_fetch(cache, &key, 8, NULL, 0, 0, 4, NULL), EINVAL);
	assert_fails(
		vmemcache_fetch(cache, &key, 8, NULL, 0, 0, 1u << 31, NULL),
		EINVAL);
	for (size_t size = 0; size < 2 * sizeof(info); size++) {
		info.struct_size = size;
		if (size != sizeof(info))
			assert_fails(vmemcache_fetch(cache, &key, 8, NULL, 0, 0,
					     0, &info),
				EINVAL);
	}
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_who_asks_first),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_nothing_is_paid_for_nothing),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_peek_is_no_use),
		cmocka_unit_test(test_fetch_and_on_miss),
		cmocka_unit_test(test_replacing_in_a_full_pool),
		cmocka_unit_test(test_no_room_beside_the_old_value),
		cmocka_unit_test(test_without_a_policy),
		cmocka_unit_test(test_statistics),
		cmocka_unit_test(test_store_while_it_is_evicted),
		cmocka_unit_test(test_store_while_it_is_replaced),
		cmocka_unit_test(test_arguments_of_store),
		cmocka_unit_test(test_arguments_of_remove_and_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
