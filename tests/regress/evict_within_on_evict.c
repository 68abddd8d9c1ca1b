/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evict_within_on_evict.c -- in libvmemcache 0.8.1, evict(key) inside on_evict
 * while another thread evicted could leave an entry that nothing could evict
 */
#include "fixture.h"

#include <pthread.h>

enum { THREADS = 3, KEYS = 24 };

struct race {
	VMEMcache *cache;
	uint64_t rounds;
};

static _Thread_local unsigned depth;

static void
evict_this_and_others(
	VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	uint64_t number;

	(void)arg;
	memcpy(&number, key, sizeof(number));
	testing_expect(vmemcache_evict(cache, key, key_size) == -1);
	testing_expect(errno == EAGAIN);
	if (depth++ < 3) {
		for (uint64_t other = number + 1; other < number + 3; other++)
			if (fixture_evict(cache, other % KEYS) != 0)
				testing_expect(
					errno == ENOENT || errno == EAGAIN);
		vmemcache_evict(cache, NULL, 0);
	}
	depth--;
}

static void *
put_and_evict(void *arg)
{
	struct race *r = arg;
	uint64_t random = testing_seed() ^ (uint64_t)pthread_self();

	for (uint64_t i = 0; i < r->rounds; i++) {
		uint64_t key = testing_below(&random, KEYS);
		switch (testing_below(&random, 3)) {
		case 0:
			fixture_evict(r->cache, key);
			break;
		case 1:
			vmemcache_evict(r->cache, NULL, 0);
			break;
		default:
			/* some of the keys fill the pool: policy evictions */
			fixture_put(r->cache, key, 1, key % 4 ? 700 : 200000);
		}
	}
	return NULL;
}

static void
run(enum vmemcache_repl_p policy)
{
	struct race r = {.cache = fixture_open(0, 0, policy),
		.rounds = testing_operations(8000)};
	pthread_t threads[THREADS];

	testing_seed(); /* before there are threads */
	vmemcache_callback_on_evict(r.cache, evict_this_and_others, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, put_and_evict, &r),
			0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	vmemcache_callback_on_evict(r.cache, NULL, NULL);
	fixture_check(r.cache);
	/* what exists can be evicted by its key, and as a victim */
	for (uint64_t key = 0; key < KEYS / 2; key++) {
		int there = fixture_exists(r.cache, key);
		assert_int_equal(fixture_evict(r.cache, key), there - 1);
	}
	while (vmemcache_evict(r.cache, NULL, 0) == 0)
		;
	for (uint64_t key = 0; key < KEYS; key++) {
		if (policy == VMEMCACHE_REPLACEMENT_LRU)
			assert_int_equal(fixture_exists(r.cache, key), 0);
		else
			fixture_evict(r.cache, key);
	}
	fixture_check_empty(r.cache);
	vmemcache_delete(r.cache);
}

static void
test_lru(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_LRU);
}

static void
test_none(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
