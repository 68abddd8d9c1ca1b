/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * collisions.c -- keys whose hashes are equal, or differ where it hurts most:
 * slow is allowed, wrong is not
 *
 * Who does not know a cache's seed cannot make such keys (SECURITY.md).
 * VMC_TEST_KEYS is the number of keys on one hash. It takes time by its square:
 * 3000 by default, 100000 take a minute or two, 1000000 two hours.
 */
#include "fixture.h"

#include <pthread.h>

enum { SIZE = 24 };

uint64_t (*colliding_hash)(const void *key, size_t size);

static uint64_t
one_for_all(const void *key, size_t size)
{
	(void)key, (void)size;
	return UINT64_C(0x0123456789abcdef);
}

/* Four hashes that differ in the lowest bits: the deepest paths. */
static uint64_t
lowest_bits(const void *key, size_t size)
{
	uint64_t number = 0;

	if (size)
		memcpy(&number, key, size < 8 ? size : 8);
	return UINT64_C(0xfedcba9876543210) + number % 4;
}

/* All zero or all one. */
static uint64_t
extremes(const void *key, size_t size)
{
	return lowest_bits(key, size) % 2 ? UINT64_MAX : 0;
}

static uint64_t
keys_on_one_hash(void)
{
	const char *given = getenv("VMC_TEST_KEYS");
	uint64_t keys = RUNNING_ON_VALGRIND ? 200 : 3000;

#ifdef VMC_TESTING_SANITIZED
	keys /= 3;
#endif
	return given ? strtoull(given, NULL, 0) : keys;
}

static void
fill_and_empty(uint64_t keys)
{
	VMEMcache *cache = fixture_open(
		(keys + 4096) * 256, 256, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();
	uint64_t probes = keys < 2000 ? keys : 2000;

	for (uint64_t key = 0; key < keys; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	fixture_check(cache);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), keys);
	for (uint64_t i = 0; i < probes; i++) {
		uint64_t key = testing_below(&random, keys);
		assert_true(fixture_has(cache, key, 1, SIZE));
		assert_int_equal(fixture_exists(cache, keys + key), 0);
		assert_int_equal(fixture_put(cache, key, 2, SIZE), -1);
		assert_int_equal(errno, EEXIST);
	}
	/* keys of other lengths, one the beginning of the other, and no key */
	for (size_t size = 0; size <= 7; size++)
		assert_int_equal(
			vmemcache_put(cache, "\0\0\0\0\0\0", size, &size, 8),
			0);
	for (size_t size = 0, value; size <= 7; size++) {
		assert_int_equal(vmemcache_get(cache, "\0\0\0\0\0\0", size,
					 &value, 8, 0, NULL),
			8);
		assert_int_equal(value, size);
		assert_int_equal(
			vmemcache_evict(cache, "\0\0\0\0\0\0", size), 0);
	}
	/* out of the front, the middle and the end of the chain */
	for (uint64_t i = 0; i < probes; i++) {
		uint64_t key = testing_below(&random, keys);
		int there = fixture_exists(cache, key);
		assert_int_equal(fixture_evict(cache, key), there ? 0 : -1);
		assert_int_equal(fixture_exists(cache, key), 0);
	}
	fixture_check(cache);
	uint64_t left = fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		left--;
	assert_int_equal(left, 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_one_hash(void **state)
{
	(void)state;
	colliding_hash = one_for_all;
	fill_and_empty(keys_on_one_hash());
}

static void
test_lowest_bits(void **state)
{
	(void)state;
	colliding_hash = lowest_bits;
	fill_and_empty(keys_on_one_hash() / 2);
	colliding_hash = extremes;
	fill_and_empty(keys_on_one_hash() / 2);
}

/* A full cache that is deleted as it is. */
static void
test_turnover(void **state)
{
	VMEMcache *cache = fixture_open(0, 1024, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	colliding_hash = one_for_all;
	for (uint64_t key = 0; key < 3000; key++) {
		assert_int_equal(fixture_put(cache, key, 1, 700), 0);
		assert_true(fixture_has(cache, key, 1, 700));
		if (key >= 2000)
			assert_int_equal(fixture_exists(cache, key - 2000), 0);
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 1024);
	fixture_check(cache);
	vmemcache_delete(cache);
}

struct crowd {
	VMEMcache *cache;
	uint64_t operations;
};

static void *
mix(void *arg)
{
	struct crowd *c = arg;
	uint64_t random = testing_seed() ^ (uint64_t)pthread_self();

	for (uint64_t i = 0; i < c->operations; i++) {
		uint64_t key = testing_below(&random, 300);
		size_t size = 100 + key * 7;
		char buffer[4096];

		switch (testing_below(&random, 4)) {
		case 0:
			testing_expect(
				fixture_put(c->cache, key, 1, size) == 0 ||
				errno == EEXIST);
			break;
		case 1:
			testing_expect(fixture_evict(c->cache, key) == 0 ||
				       errno == ENOENT || errno == EAGAIN);
			break;
		default: {
			ssize_t n = vmemcache_get(
				c->cache, &key, 8, buffer, 4096, 0, NULL);
			testing_expect(n == -1 || n == (ssize_t)size);
			testing_expect(
				n == -1 || value_is(buffer, size, 0, key, 1));
		}
		}
	}
	return NULL;
}

static void
test_threads(void **state)
{
	enum { THREADS = 3 };
	struct crowd c = {
		.cache = fixture_open(1 << 20, 256, VMEMCACHE_REPLACEMENT_LRU),
		.operations = testing_operations(30000)};
	pthread_t threads[THREADS];

	(void)state;
	colliding_hash = one_for_all;
	testing_seed();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mix, &c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(c.cache);
	vmemcache_delete(c.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_hash),
		cmocka_unit_test(test_lowest_bits),
		cmocka_unit_test(test_turnover),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
