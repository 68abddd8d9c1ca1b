/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * put_races_evict.c -- libvmemcache 0.8.1 crashed where a put raced an evict
 * of the same key: the entry could be found before its policy node was linked
 */
#include "fixture.h"

#include <pthread.h>

enum { PUTTERS = 2, EVICTORS = 2 };

struct race {
	VMEMcache *cache;
	uint64_t rounds;
	_Atomic uint64_t puts, evictions;
	_Atomic unsigned putting;
};

/* One key: each put makes an entry that evictors are waiting for. */
static const uint64_t key = 1;

static void *
put_it(void *arg)
{
	struct race *r = arg;

	for (uint64_t i = 0; i < r->rounds; i++) {
		if (fixture_put(r->cache, key, 1, 600) == 0)
			vmc_fetch_add_relaxed(&r->puts, 1);
		else
			testing_expect(errno == EEXIST);
	}
	vmc_fetch_add_relaxed(&r->putting, (unsigned)-1);
	return NULL;
}

static void *
evict_it(void *arg)
{
	struct race *r = arg;
	bool by_key = true;

	while (vmc_load_relaxed(&r->putting) > 0) {
		by_key = !by_key;
		int rc = by_key ? fixture_evict(r->cache, key)
				: vmemcache_evict(r->cache, NULL, 0);
		if (rc == 0)
			vmc_fetch_add_relaxed(&r->evictions, 1);
		else
			testing_expect(errno == ENOENT || errno == EAGAIN ||
				       errno == ESRCH);
	}
	return NULL;
}

static void
test_put_races_evict(void **state)
{
	struct race r = {
		.rounds = testing_operations(100000), .putting = PUTTERS};
	pthread_t threads[PUTTERS + EVICTORS];

	(void)state;
	r.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	for (int i = 0; i < PUTTERS + EVICTORS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 i < PUTTERS ? put_it : evict_it, &r),
			0);
	for (int i = 0; i < PUTTERS + EVICTORS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	/* what was put and not evicted is there, and can be evicted */
	fixture_check(r.cache);
	uint64_t left = r.puts - r.evictions;
	assert_true(left <= 1);
	assert_int_equal(fixture_exists(r.cache, key), left);
	assert_int_equal(vmemcache_evict(r.cache, NULL, 0), left ? 0 : -1);
	fixture_check_empty(r.cache);
	vmemcache_delete(r.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_races_evict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
