/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clears.c -- one thread clears the cache, while others use keys of their own
 *
 * A clear that began after a put had returned, and has returned before a get
 * begins, lies between them: that get misses. Without a clear that may have
 * been under way the value is there, as the pool has room for all keys. Another
 * thread evicts, and a third one asks for statistics.
 */
#include "fixture.h"

enum { WRITERS = 2, KEYS = 300, SIZE = 500, POOL = 2 << 20 };

struct shared {
	VMEMcache *cache;
	_Atomic uint64_t begun, ended; /* clears */
	_Atomic bool stop;
	uint64_t steps;
	_Atomic unsigned number;
};

struct mine {
	uint64_t number; /* of the value; 0: it is not there */
	uint64_t begun;  /* clears, once it was there */
};

static void
step(struct shared *s, struct mine *mine, uint64_t key, uint64_t *random)
{
	uint64_t ended = vmc_load_acquire(&s->ended);
	uint64_t number = mine->number;

	if (testing_below(random, 3) == 0 && number == 0) {
		mine->number = number = 1 + testing_below(random, 1000);
		testing_expect(fixture_put(s->cache, key, number, SIZE) == 0);
		vmc_fence_seq_cst();
		mine->begun = vmc_load_acquire(&s->begun);
		/* one may have begun while it was put */
		if (mine->begun != ended)
			mine->begun = UINT64_MAX;
	}
	ended = vmc_load_acquire(&s->ended);
	vmc_fence_seq_cst();
	bool there = fixture_exists(s->cache, key) == 1;
	if (there)
		there = fixture_has(s->cache, key, number, SIZE);
	vmc_fence_seq_cst();
	uint64_t begun = vmc_load_acquire(&s->begun);
	if (number == 0)
		testing_expect(!there);
	else if (mine->begun != UINT64_MAX && ended > mine->begun)
		testing_expect(!there);
	else if (mine->begun == begun && mine->begun == ended)
		testing_expect(there);
	if (there)
		return;
	/* gone for good, or nearly: out of the way */
	mine->number = 0;
	if (number != 0 && fixture_evict(s->cache, key) != 0)
		testing_expect(errno == ENOENT || errno == EAGAIN);
}

static void *
run_writer(void *arg)
{
	struct shared *s = arg;
	static _Thread_local struct mine mine[KEYS];
	unsigned own = vmc_fetch_add_relaxed(&s->number, 1);
	uint64_t random = testing_seed() + own;

	memset(mine, 0, sizeof(mine));
	for (uint64_t i = 0; i < s->steps; i++) {
		uint64_t k = testing_below(&random, KEYS);
		step(s, &mine[k], own * KEYS + k, &random);
	}
	return NULL;
}

static void *
run_clearer(void *arg)
{
	struct shared *s = arg;

	while (!vmc_load_acquire(&s->stop)) {
		struct vmemcache_statistics now = {.struct_size = sizeof(now)};
		uint64_t next = vmc_load_relaxed(&s->begun) + 1;
		vmc_store_release(&s->begun, next);
		vmc_fence_seq_cst();
		testing_expect(vmemcache_clear(s->cache) == 0);
		vmc_fence_seq_cst();
		vmc_store_release(&s->ended, next);
		testing_expect(vmemcache_statistics(s->cache, &now) == 0);
		testing_expect(now.items <= 2 * WRITERS * KEYS);
		for (unsigned i = 0; i < 5; i++)
			vmc_latch_pause(200);
	}
	return NULL;
}

static void
run(enum vmemcache_repl_p policy, int ordered)
{
	struct shared s = {.steps = testing_operations(200000)};
	pthread_t threads[WRITERS + 1];

	s.cache = fixture_new(POOL, 0, policy);
	assert_int_equal(vmemcache_set_ordered(s.cache, ordered), 0);
	assert_int_equal(vmemcache_add(s.cache, FIXTURE_DIR), 0);
	for (unsigned i = 0; i <= WRITERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL,
				i < WRITERS ? run_writer : run_clearer, &s),
			0);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	vmc_store_release(&s.stop, true);
	pthread_join(threads[WRITERS], NULL);
	assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
	printf("%ju clears\n", (uintmax_t)vmc_load_relaxed(&s.ended));
	fixture_check(s.cache);
	fixture_clear(s.cache);
	vmemcache_delete(s.cache);
}

static void
test_lru(void **state)
{
	(void)state;
	(void)testing_seed(); /* before there are threads */
	run(VMEMCACHE_REPLACEMENT_LRU, 0);
}

static void
test_none(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_NONE, 1);
}

static void
test_s3fifo(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_S3FIFO, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_s3fifo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
