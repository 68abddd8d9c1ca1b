/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * many.c -- vmemcache_get_many(): as many gets, in the order of the array
 */
#include "fixture.h"

#include <stdlib.h>

static VMEMcache *
open_default(void)
{
	return fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
}

static struct vmemcache_request
request_of(const uint64_t *key, void *buffer, size_t size, size_t offset)
{
	return (struct vmemcache_request){.key = key,
		.key_size = sizeof(*key),
		.vbuf = buffer,
		.vbufsize = size,
		.offset = offset,
		.vsize = 12345,
		.result = 54321};
}

/* Against single gets: hits and misses, sizes, offsets, no buffer, any count */
static void
test_like_single_gets(void **state)
{
	enum { KEYS = 300, MOST = 70, ROOM = 5000 };
	VMEMcache *cache = open_default();
	uint64_t random = testing_seed();
	char *buffers = malloc(2 * MOST * ROOM);
	char *expected = buffers + (size_t)MOST * ROOM;
	uint64_t keys[MOST];
	struct vmemcache_request r[MOST];

	(void)state;
	assert_non_null(buffers);
	for (uint64_t key = 0; key < KEYS; key += 2) {
		value_fill(buffers, key * 16, 0, key, 1);
		assert_int_equal(vmemcache_put(cache, &key, sizeof(key),
					 buffers, key * 16),
			0);
	}
	for (int round = 0; round < 300; round++) {
		size_t count = testing_below(&random, MOST + 1);
		ssize_t hits = 0;

		memset(buffers, '#', 2 * MOST * ROOM);
		for (size_t i = 0; i < count; i++) {
			keys[i] = testing_below(&random, KEYS);
			r[i] = request_of(&keys[i], buffers + i * ROOM,
				testing_below(&random, ROOM),
				testing_below(&random, 3) * 1000);
			if (testing_below(&random, 10) == 0)
				r[i].vbuf = NULL;
		}
		ssize_t result = vmemcache_get_many(cache, r, count);
		for (size_t i = 0; i < count; i++) {
			size_t size = 12345;
			ssize_t n =
				vmemcache_get(cache, &keys[i], sizeof(keys[i]),
					r[i].vbuf ? expected + i * ROOM : NULL,
					r[i].vbufsize, r[i].offset, &size);
			hits += n >= 0;
			assert_int_equal(r[i].result, n < 0 ? -ENOENT : n);
			assert_int_equal(r[i].vsize, size);
		}
		assert_int_equal(result, hits);
		assert_memory_equal(buffers, expected, MOST * ROOM);
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_GET),
		fixture_stat(cache, VMEMCACHE_STAT_HIT) +
			fixture_stat(cache, VMEMCACHE_STAT_MISS));
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT) % 2, 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_MISS) % 2, 0);
	fixture_check(cache);
	vmemcache_delete(cache);
	free(buffers);
}

/* Keys of other lengths, one of none among them. */
static void
test_keys_of_any_length(void **state)
{
	VMEMcache *cache = open_default();
	char value[8];
	struct vmemcache_request r[] = {
		{.key = "longer than a word", .key_size = 18},
		{.key = NULL, .key_size = 0},
		{.key = "word", .key_size = 4},
	};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(vmemcache_put(cache, r[i].key, r[i].key_size,
					 &"abc"[i], 1),
			0);
	for (size_t i = 0; i < 3; i++) {
		r[i].vbuf = value + i;
		r[i].vbufsize = 1;
	}
	assert_int_equal(vmemcache_get_many(cache, r, 3), 3);
	assert_memory_equal(value, "abc", 3);
	vmemcache_delete(cache);
}

/* They are touches like those of single gets: the last ones stay longest. */
static void
test_order(void **state)
{
	VMEMcache *cache = open_default();
	uint64_t keys[] = {3, 1, 4};
	struct vmemcache_request r[3];

	(void)state;
	for (uint64_t key = 0; key < 6; key++)
		assert_int_equal(
			vmemcache_put(cache, &key, sizeof(key), "", 1), 0);
	for (size_t i = 0; i < 3; i++)
		r[i] = request_of(&keys[i], NULL, 0, 0);
	assert_int_equal(vmemcache_get_many(cache, r, 3), 3);
	static const uint64_t order[] = {0, 2, 5, 3, 1, 4};
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(fixture_exists(cache, order[i]), 1);
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_int_equal(fixture_exists(cache, order[i]), 0);
	}
	vmemcache_delete(cache);
}

static void
put_asked(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	++*(unsigned *)arg;
	if (*(const uint64_t *)key != 7)
		vmemcache_put(cache, key, key_size, key, key_size);
}

/* A key put for one miss is there for the next request. */
static void
test_on_miss(void **state)
{
	VMEMcache *cache = open_default();
	uint64_t keys[] = {5, 6, 5, 7, 6};
	uint64_t values[5] = {0};
	struct vmemcache_request r[5];
	unsigned asked = 0;

	(void)state;
	vmemcache_callback_on_miss(cache, put_asked, &asked);
	for (size_t i = 0; i < 5; i++)
		r[i] = request_of(&keys[i], &values[i], 8, 0);
	assert_int_equal(vmemcache_get_many(cache, r, 5), 4);
	assert_int_equal(asked, 3);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(r[i].result, keys[i] == 7 ? -ENOENT : 8);
		assert_int_equal(values[i], keys[i] == 7 ? 0 : keys[i]);
	}
	vmemcache_delete(cache);
}

static void
test_bad_arguments(void **state)
{
	VMEMcache *cache = open_default();
	VMEMcache *closed = vmemcache_new();
	uint64_t key = 1;
	struct vmemcache_request r[2] = {request_of(&key, NULL, 0, 0),
		{.key = NULL, .key_size = 1, .result = 99}};

	(void)state;
	assert_int_equal(vmemcache_get_many(cache, NULL, 0), 0);
	assert_fails(vmemcache_get_many(cache, NULL, 1), EINVAL);
	assert_fails(vmemcache_get_many(cache, r, SIZE_MAX), EINVAL);
	assert_fails(vmemcache_get_many(NULL, r, 1), EINVAL);
	assert_fails(vmemcache_get_many(closed, r, 1), EINVAL);
	assert_fails(vmemcache_get_many(cache, r, 2), EINVAL);
	assert_int_equal(r[0].result, 54321);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_GET), 0);
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_single_gets),
		cmocka_unit_test(test_keys_of_any_length),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_on_miss),
		cmocka_unit_test(test_bad_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
