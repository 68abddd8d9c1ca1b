/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reserves.c -- victims that other threads have reserved: they are found,
 * touched and evicted like any other entry, whatever became of those threads
 */
#include "fixture.h"

#include <pthread.h>

enum { BLOCKS = 4096, THREADS = 3 };

/* Of all caches here: each in turn. */
static enum vmemcache_repl_p policy;

/* The cache is full, and the calling thread has victims in reserve. */
static void *
fill(void *arg)
{
	VMEMcache *cache = arg;

	for (uint64_t key = 0; key < BLOCKS + 1; key++)
		testing_expect(fixture_put(cache, key, 1, 256) == 0);
	testing_expect(fixture_exists(cache, 0) == 0);
	return NULL;
}

static unsigned
count_reserved(VMEMcache *cache)
{
	unsigned count = 0;

	for (unsigned slot = 0; slot < vmc_thread_slots(); slot++) {
		struct vmc_stripe *s = vmc_stripe_at(&cache->stripes, slot);
		if (s)
			count += vmc_reserve_count(&s->reserve);
	}
	return count;
}

/* A thread that has filled the cache and, until told, does not end. */
struct sleeper {
	VMEMcache *cache;
	pthread_t thread;
	pthread_barrier_t barrier;
};

static void *
sleep_after_filling(void *arg)
{
	struct sleeper *s = arg;

	fill(s->cache);
	pthread_barrier_wait(&s->barrier);
	pthread_barrier_wait(&s->barrier);
	return NULL;
}

static void
sleeper_start(struct sleeper *s)
{
	s->cache = fixture_open(0, 0, policy);
	/* this thread has a slot, too: the sleeper's is another one */
	assert_false(fixture_exists(s->cache, 0));
	pthread_barrier_init(&s->barrier, NULL, 2);
	assert_int_equal(
		pthread_create(&s->thread, NULL, sleep_after_filling, s), 0);
	pthread_barrier_wait(&s->barrier);
	assert_true(count_reserved(s->cache) > 0);
	fixture_check(s->cache);
}

static void
sleeper_end(struct sleeper *s)
{
	pthread_barrier_wait(&s->barrier);
	pthread_join(s->thread, NULL);
	pthread_barrier_destroy(&s->barrier);
	assert_int_equal(testing_failures, 0);
	fixture_check(s->cache);
	vmemcache_delete(s->cache);
}

/* A value as large as the pool needs everything that others have reserved. */
static void
test_enough_with_what_others_reserved(void **state)
{
	struct sleeper s;

	(void)state;
	sleeper_start(&s);
	assert_int_equal(fixture_put(s.cache, BLOCKS + 1, 1, BLOCKS * 256), 0);
	assert_int_equal(fixture_stat(s.cache, VMEMCACHE_STAT_ENTRIES), 1);
	assert_int_equal(count_reserved(s.cache), 0);
	sleeper_end(&s);
}

static void
test_all_can_be_evicted(void **state)
{
	struct sleeper s;

	(void)state;
	sleeper_start(&s);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(vmemcache_evict(s.cache, NULL, 0), 0);
	assert_fails(vmemcache_evict(s.cache, NULL, 0), ESRCH);
	fixture_check_empty(s.cache);
	sleeper_end(&s);
}

/* By key, reserved or not, and by what has become of the reserve then. */
static void
test_evicted_by_key(void **state)
{
	struct sleeper s;

	(void)state;
	sleeper_start(&s);
	for (uint64_t key = 1; key < BLOCKS; key++) {
		assert_int_equal(fixture_evict(s.cache, key), 0);
		if (key < 16)
			fixture_check(s.cache);
	}
	assert_int_equal(count_reserved(s.cache), 0);
	assert_int_equal(fixture_stat(s.cache, VMEMCACHE_STAT_ENTRIES), 1);
	sleeper_end(&s);
}

/* The oldest entries go soon, though a thread that does nothing has them. */
static void
test_idle_reserve_is_recalled(void **state)
{
	struct sleeper s;

	(void)state;
	sleeper_start(&s);
	for (uint64_t key = 0; key < 200; key++)
		assert_int_equal(
			fixture_put(s.cache, BLOCKS + 1 + key, 1, 256), 0);
	for (uint64_t key = 0; key < 150; key++)
		assert_int_equal(fixture_exists(s.cache, key), 0);
	sleeper_end(&s);
}

/* What is read by others is not evicted by the thread that reserved it. */
static void
test_touched_while_reserved(void **state)
{
	struct sleeper s;

	(void)state;
	sleeper_start(&s);
	for (uint64_t key = 1; key < 30; key++)
		assert_true(fixture_has(s.cache, key, 1, 256));
	for (uint64_t key = 0; key < 500; key++)
		assert_int_equal(
			fixture_put(s.cache, BLOCKS + 1 + key, 1, 256), 0);
	for (uint64_t key = 1; key < 30; key++)
		assert_int_equal(fixture_exists(s.cache, key), 1);
	sleeper_end(&s);
}

static void *
fill_and_reserve(void *arg)
{
	fill(arg);
	testing_expect(count_reserved(arg) > 0);
	return NULL;
}

/* A thread ends with victims in reserve: it leaves none. */
static void
test_thread_ends(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, policy);
	pthread_t thread;

	(void)state;
	assert_int_equal(
		pthread_create(&thread, NULL, fill_and_reserve, cache), 0);
	pthread_join(thread, NULL);
	assert_int_equal(count_reserved(cache), 0);
	fixture_check(cache);
	for (uint64_t key = 1; key < BLOCKS + 1; key++) {
		assert_int_equal(fixture_exists(cache, key), 1);
		assert_int_equal(fixture_evict(cache, key), 0);
	}
	fixture_check_empty(cache);
	vmemcache_delete(cache);
	assert_int_equal(testing_failures, 0);
}

/* Puts that claim what they reserved, while it is evicted and read by key. */
struct race {
	VMEMcache *cache;
	uint64_t operations;
	_Atomic uint64_t next; /* key to put */
	_Atomic uint64_t evicted;
};

static void *
put_and_evict(void *arg)
{
	struct race *r = arg;
	uint64_t random = testing_seed() ^ (uint64_t)pthread_self();

	for (uint64_t i = 0; i < r->operations; i++) {
		uint64_t next = vmc_load_relaxed(&r->next);
		/* about the oldest there is */
		uint64_t key = next - BLOCKS + testing_below(&random, 64);
		uint64_t version;
		char value[256];

		switch (testing_below(&random, 4)) {
		case 0:
			if (fixture_evict(r->cache, key) != 0)
				testing_expect(
					errno == ENOENT || errno == EAGAIN);
			break;
		case 1:
			if (vmemcache_get(r->cache, &key, sizeof(key), value,
				    sizeof(value), 0, NULL) >= 0)
				testing_expect(value_decode(value,
					sizeof(value), 0, key, &version));
			break;
		default:
			next = vmc_fetch_add_relaxed(&r->next, 1);
			testing_expect(
				fixture_put(r->cache, next, 1, 256) == 0);
		}
	}
	return NULL;
}

static void
note_eviction(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct race *r = arg;
	uint64_t number;

	memcpy(&number, key, sizeof(number));
	testing_expect(key_size == sizeof(number));
	testing_expect(fixture_exists(cache, number) == 1);
	vmc_fetch_add_relaxed(&r->evicted, 1);
}

static void
test_claims_race(void **state)
{
	struct race r = {.cache = fixture_open(0, 0, policy),
		.operations = testing_operations(100000),
		.next = BLOCKS + 1};
	pthread_t threads[THREADS];

	(void)state;
	testing_seed(); /* before there are threads */
	vmemcache_callback_on_evict(r.cache, note_eviction, &r);
	fill(r.cache);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, put_and_evict, &r),
			0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(r.cache);
	assert_int_equal(
		fixture_stat(r.cache, VMEMCACHE_STAT_EVICT), r.evicted);
	while (vmemcache_evict(r.cache, NULL, 0) == 0)
		;
	assert_int_equal(r.evicted, r.next);
	fixture_check_empty(r.cache);
	vmemcache_delete(r.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enough_with_what_others_reserved),
		cmocka_unit_test(test_all_can_be_evicted),
		cmocka_unit_test(test_evicted_by_key),
		cmocka_unit_test(test_idle_reserve_is_recalled),
		cmocka_unit_test(test_touched_while_reserved),
		cmocka_unit_test(test_thread_ends),
		cmocka_unit_test(test_claims_race),
	};

	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_SIEVE,
		VMEMCACHE_REPLACEMENT_S3FIFO, VMEMCACHE_REPLACEMENT_ADAPTIVE};
	int failed = 0;

	for (unsigned i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		policy = policies[i];
		failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
