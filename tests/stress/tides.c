/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tides.c -- a cache that fills and empties while others read: the index
 * grows and starts over, what stays in it is found all the time, and an empty
 * cache is as it was
 */
#include "fixture.h"

#include <pthread.h>

/* The index grows and shrinks bag by bag. */
enum { WRITERS = 2, READERS = 2, STAYING = 50, PASSING = 36000 };

/* Numbers of keys: those that stay, then the writers' in turns. */
struct sea {
	VMEMcache *cache;
	uint64_t rounds;
	_Atomic bool stop;
	_Atomic unsigned next_writer;
};

static int
put(VMEMcache *cache, uint64_t key)
{
	return vmemcache_put(cache, &key, sizeof(key), &key, sizeof(key));
}

/* 1: there, and whole; 0: not there. */
static int
get(VMEMcache *cache, uint64_t key)
{
	uint64_t value = ~key;
	ssize_t n = vmemcache_get(
		cache, &key, sizeof(key), &value, sizeof(value), 0, NULL);

	testing_expect(n == -1 || (n == sizeof(value) && value == key));
	return n == sizeof(value);
}

static void *
write_tides(void *arg)
{
	struct sea *sea = arg;
	uint64_t first = STAYING + vmc_fetch_add_relaxed(&sea->next_writer, 1);

	for (uint64_t round = 0; round < sea->rounds; round++) {
		for (uint64_t i = 0; i < PASSING; i++)
			testing_expect(
				put(sea->cache, first + i * WRITERS) == 0);
		for (uint64_t i = 0; i < PASSING; i++) {
			uint64_t key = first + i * WRITERS;
			testing_expect(fixture_evict(sea->cache, key) == 0);
			testing_expect(get(sea->cache, key) == 0);
		}
	}
	return NULL;
}

static void *
read_tides(void *arg)
{
	struct sea *sea = arg;
	uint64_t random = testing_seed() ^ (uint64_t)pthread_self();

	while (!vmc_load_relaxed(&sea->stop)) {
		testing_expect(
			get(sea->cache, testing_below(&random, STAYING)) == 1);
		get(sea->cache, testing_below(&random, STAYING + 2 * PASSING));
	}
	return NULL;
}

static void
run(enum vmemcache_repl_p policy, uint64_t rounds)
{
	struct sea sea = {.rounds = rounds};
	pthread_t writers[WRITERS], readers[READERS];

	testing_seed(); /* before there are threads */
	sea.cache = fixture_open(64 << 20, 0, policy);
	for (uint64_t key = 0; key < STAYING; key++)
		assert_int_equal(put(sea.cache, key), 0);
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_tides, &sea);
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&writers[i], NULL, write_tides, &sea);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	vmc_store_relaxed(&sea.stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(sea.cache);
	assert_int_equal(
		fixture_stat(sea.cache, VMEMCACHE_STAT_ENTRIES), STAYING);
	for (uint64_t key = 0; key < STAYING; key++)
		assert_int_equal(fixture_evict(sea.cache, key), 0);
	fixture_check_empty(sea.cache);
	vmemcache_delete(sea.cache);
}

static void
test_lru(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_LRU,
		1 + testing_operations(160000) / (2 * PASSING));
}

static void
test_sieve(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_SIEVE, 1);
}

static void
test_s3fifo(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_S3FIFO, 1);
}

static void
test_adaptive(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_ADAPTIVE, 1);
}

static void
test_none(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_NONE, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_sieve),
		cmocka_unit_test(test_s3fifo),
		cmocka_unit_test(test_adaptive),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
