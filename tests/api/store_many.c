/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_many.c -- vmemcache_store_many(): as many stores, in their order
 */
#include "items.h"

enum { KEYS = 100, MOST = 70, SIZE = 1000 };

static const enum vmemcache_mode modes[] = {
	VMEMCACHE_SET, VMEMCACHE_ADD, VMEMCACHE_REPLACE, VMEMCACHE_IF_VERSION};

/* Two caches, one for each way; the same comes of it. */
static void
test_like_single_stores(void **state)
{
	VMEMcache *many = items_open();
	VMEMcache *single = items_open();
	uint64_t random = testing_seed();
	struct vmemcache_store_request r[MOST];
	struct vmemcache_store how[MOST];
	uint64_t keys[MOST];
	char values[MOST][SIZE];

	(void)state;
	for (int round = 0; round < 200; round++) {
		size_t count = testing_below(&random, MOST + 1);
		ssize_t expected = 0, stored = 0;
		for (size_t i = 0; i < count; i++) {
			keys[i] = testing_below(&random, KEYS);
			how[i] = items_mode(modes[testing_below(&random, 4)]);
			how[i].if_version = UINT64_MAX;
			how[i].tag = (uint32_t)round;
			r[i] = (struct vmemcache_store_request){.key = &keys[i],
				.key_size = sizeof(keys[i]),
				.value = values[i],
				.value_size = testing_below(&random, SIZE),
				.how = testing_below(&random, 4) ? &how[i]
								 : NULL,
				.version = 5,
				.result = 6};
			value_fill(values[i], SIZE, 0, keys[i],
				(uint64_t)round + 1);
		}
		ssize_t n = vmemcache_store_many(many, r, count);
		for (size_t i = 0; i < count; i++) {
			int rc = vmemcache_store(single, &keys[i],
				sizeof(keys[i]), values[i], r[i].value_size,
				r[i].how, NULL);
			assert_int_equal(r[i].result, rc ? -errno : 0);
			expected += rc == 0;
			stored += r[i].result == 0;
			assert_true(r[i].result == 0 ? r[i].version > 1
						     : r[i].version == 5);
		}
		assert_int_equal(n, expected);
		assert_int_equal(stored, expected);
		for (size_t i = 0; i < count; i++)
			if (r[i].result == 0)
				assert_true(
					items_info(many, keys[i]).version >= 2);
	}
	for (uint64_t key = 0; key < KEYS; key++) {
		char a[SIZE], b[SIZE];
		ssize_t n = vmemcache_get(
			many, &key, sizeof(key), a, SIZE, 0, NULL);
		assert_int_equal(vmemcache_get(single, &key, sizeof(key), b,
					 SIZE, 0, NULL),
			n);
		if (n > 0)
			assert_memory_equal(a, b, (size_t)n);
	}
	fixture_check(many);
	vmemcache_delete(many);
	vmemcache_delete(single);
}

/* The version told is that of the value which is there. */
static void
test_versions(void **state)
{
	VMEMcache *cache = items_open();
	uint64_t keys[2] = {1, 1};
	struct vmemcache_store_request r[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		r[i] = (struct vmemcache_store_request){
			.key = &keys[i], .key_size = sizeof(keys[i])};
	assert_int_equal(vmemcache_store_many(cache, r, 2), 2);
	assert_true(r[0].version != r[1].version);
	assert_int_equal(items_info(cache, 1).version, r[1].version);
	vmemcache_delete(cache);
}

static void
test_arguments(void **state)
{
	VMEMcache *cache = items_open();
	VMEMcache *closed = vmemcache_new();
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	uint64_t keys[2] = {1, 2};
	struct vmemcache_store_request good[2], bad[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		good[i] = (struct vmemcache_store_request){.key = &keys[i],
			.key_size = sizeof(keys[i]),
			.value = "v",
			.value_size = 1,
			.how = &how};
	assert_fails(vmemcache_store_many(NULL, good, 2), EINVAL);
	assert_fails(vmemcache_store_many(closed, good, 2), EINVAL);
	assert_fails(vmemcache_store_many(cache, NULL, 1), EINVAL);
	assert_fails(vmemcache_store_many(cache, good, (size_t)SSIZE_MAX + 1),
		EINVAL);
	assert_int_equal(vmemcache_store_many(cache, NULL, 0), 0);
	for (int way = 0; way < 4; way++) {
		struct vmemcache_store other = how;
		memcpy(bad, good, sizeof(bad));
		if (way == 0)
			bad[1].key = NULL;
		else if (way == 1)
			bad[1].key_size = (size_t)PTRDIFF_MAX + 1;
		else if (way == 2)
			bad[1].value = NULL;
		else
			other.struct_size = 0;
		bad[1].how = &other;
		assert_fails(vmemcache_store_many(cache, bad, 2), EINVAL);
	}
	/* none was begun */
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 0);
	assert_int_equal(vmemcache_store_many(cache, good, 2), 2);
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_single_stores),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
