/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads.c -- threads that end: with touches in their rings, with retired
 * entries in their limbos, many more of them than ever live at once
 */
#include "fixture.h"
#include "process.h"

#include <pthread.h>

enum { KEYS = 1000, SIZE = 1000, TOUCHED = 20 };

struct visit {
	VMEMcache *cache;
	uint64_t random;
};

static void
run_and_join(void *(*go)(void *), void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, go, arg), 0);
	pthread_join(thread, NULL);
	assert_int_equal(testing_failures, 0);
}

static void *
touch_oldest(void *arg)
{
	VMEMcache *cache = arg;

	for (uint64_t key = 0; key < TOUCHED; key++)
		testing_expect(fixture_has(cache, key, 1, SIZE));
	return NULL;
}

/* The touches of a thread that has ended count, and its entries may go. */
static void
test_touches_outlive_the_thread(void **state)
{
	VMEMcache *cache = fixture_open(0, 1024, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	run_and_join(touch_oldest, cache);
	for (uint64_t i = 0; i < KEYS / 2; i++)
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	unsigned kept = 0;
	for (uint64_t key = 0; key < TOUCHED; key++)
		kept += fixture_exists(cache, key) == 1;
	assert_int_equal(kept, TOUCHED);
	fixture_check(cache);

	/* touched by a thread that is gone, and evicted before they are seen */
	run_and_join(touch_oldest, cache);
	for (uint64_t key = 0; key < TOUCHED; key++)
		assert_int_equal(fixture_evict(cache, key), 0);
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void *
visit(void *arg)
{
	struct visit *v = arg;

	for (int i = 0; i < 20; i++) {
		uint64_t key = testing_below(&v->random, 3 * KEYS);
		if (!fixture_has(v->cache, key, 1, SIZE))
			testing_expect(
				fixture_put(v->cache, key, 1, SIZE) == 0 ||
				errno == EEXIST);
		if (i % 5 == 0)
			fixture_evict(v->cache, key);
	}
	return NULL;
}

/* Thousands, one after the other and some at once, with delete at any time. */
static void
test_many_threads(void **state)
{
	enum { AT_ONCE = 70 }; /* more than the first 64 places */
	VMEMcache *cache = fixture_open(0, 1024, VMEMCACHE_REPLACEMENT_LRU);
	struct visit visits[AT_ONCE];
	pthread_t threads[AT_ONCE];
	uint64_t rounds = testing_operations(60);

	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		int count = round % 2 ? AT_ONCE : 5;
		for (int i = 0; i < count; i++) {
			visits[i] = (struct visit){.cache = cache,
				.random = testing_seed() + round * AT_ONCE +
					  (uint64_t)i};
			assert_int_equal(pthread_create(&threads[i], NULL,
						 visit, &visits[i]),
				0);
		}
		for (int i = 0; i < count; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(testing_failures, 0);
		if (round % 10 == 9) {
			fixture_check(cache);
			vmemcache_delete(cache);
			cache = fixture_open(
				0, 1024, VMEMCACHE_REPLACEMENT_LRU);
		}
	}
	vmemcache_delete(cache);
}

enum { CROWD = 200 };

struct crowd {
	VMEMcache *cache;
	pthread_barrier_t all;
	_Atomic uint64_t next;
};

static void *
put_once(void *arg)
{
	struct crowd *c = arg;
	uint64_t key = vmc_fetch_add_relaxed(&c->next, 1);

	pthread_barrier_wait(&c->all);
	testing_expect(fixture_put(c->cache, key, 1, SIZE) == 0);
	pthread_barrier_wait(&c->all);
	return NULL;
}

static unsigned
stripes_ever(VMEMcache *cache)
{
	unsigned count = 0;

	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;)
		count++;
	return count;
}

/*
 * Once a crowd has gone, those who stay have nothing to do with it: no stripe
 * of it is looked at, no memory is in stock for it, no part of the reserve is
 * its. And the next crowd does with the memory of the first.
 */
static void
test_crowd_has_gone(void **state)
{
	struct crowd c = {.cache = fixture_open(
				  8 << 20, 1024, VMEMCACHE_REPLACEMENT_LRU)};
	pthread_t threads[CROWD];
	unsigned ever = 0;

	(void)state;
	for (int i = 0; i < 9000; i++)
		assert_int_equal(fixture_put(c.cache, c.next++, 1, SIZE), 0);
	pthread_barrier_init(&c.all, NULL, CROWD);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < CROWD; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, put_once, &c),
				0);
		for (int i = 0; i < CROWD; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(testing_failures, 0);
		/* each took what it had along, and gave back its share */
		assert_int_equal(c.cache->stripes.count, 1);
		assert_int_equal(c.cache->stocked_for, 1);
		for (int i = 0; i < 20 * CROWD; i++)
			assert_int_equal(
				fixture_put(c.cache, c.next++, 1, SIZE), 0);
		assert_int_equal(c.cache->stripes.count, 1);
		assert_int_equal(c.cache->stocked_for, 1);
		assert_int_equal(c.cache->reserving, 1);
		if (round == 0)
			ever = stripes_ever(c.cache);
		assert_int_equal(stripes_ever(c.cache), ever);
		fixture_check(c.cache);
	}
	pthread_barrier_destroy(&c.all);
	assert_int_equal(fixture_stat(c.cache, VMEMCACHE_STAT_PUT), c.next);
	vmemcache_delete(c.cache);
}

static pthread_key_t late_key;

/* Destructors of thread-local storage may run after ours: a late user. */
static void
use_late(void *arg)
{
	VMEMcache *cache = arg;

	testing_expect(fixture_put(cache, 7, 1, SIZE) == 0 || errno == EEXIST);
	testing_expect(fixture_has(cache, 7, 1, SIZE));
}

static void *
arrange_late_use(void *arg)
{
	testing_expect(fixture_put(arg, 8, 1, SIZE) == 0 || errno == EEXIST);
	pthread_setspecific(late_key, arg);
	return NULL;
}

static void
test_use_in_a_destructor(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_int_equal(pthread_key_create(&late_key, use_late), 0);
	for (int i = 0; i < 20; i++)
		run_and_join(arrange_late_use, cache);
	pthread_key_delete(late_key);
	fixture_check(cache);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 2);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touches_outlive_the_thread),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_use_in_a_destructor),
		cmocka_unit_test(test_crowd_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
