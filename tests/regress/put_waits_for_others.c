/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * put_waits_for_others.c -- several threads put values of which the pool has
 * not room for one each: what others had in hand made puts fail with ENOSPC
 */
#include "fixture.h"

#include <pthread.h>

enum { POOL = 16 << 20, THREADS = 6 };

struct putter {
	VMEMcache *cache;
	uint64_t number, puts;
	size_t size;
	_Atomic bool *stop;
};

static void *
put(void *arg)
{
	struct putter *p = arg;
	char *value = calloc(1, p->size);

	for (uint64_t i = 0; i < p->puts && !vmc_load_relaxed(p->stop); i++) {
		uint64_t key[2] = {p->number, i};
		testing_expect(vmemcache_put(p->cache, key, sizeof(key), value,
				       p->size) == 0);
	}
	free(value);
	return NULL;
}

/* The first thread puts `large` bytes a few times, then all end. */
static void
put_all(size_t large, size_t small)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	_Atomic bool stop = false;
	struct putter p[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		p[i] = (struct putter){.cache = cache,
			.number = i,
			.puts = i ? UINT64_MAX : testing_operations(10),
			.size = i ? small : large,
			.stop = &stop};
		assert_int_equal(
			pthread_create(&threads[i], NULL, put, &p[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		vmc_store_relaxed(&stop, true);
	}
	assert_int_equal(testing_failures, 0);
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_not_room_for_all(void **state)
{
	(void)state;
	put_all(3 << 20, 3 << 20);
}

/* While another put is under way there is never room for it. */
static void
test_as_large_as_the_pool(void **state)
{
	(void)state;
	put_all(POOL, 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_room_for_all),
		cmocka_unit_test(test_as_large_as_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
