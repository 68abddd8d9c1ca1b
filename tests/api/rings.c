/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rings.c -- touches on their way to the policy: where rings are full, because
 * another thread keeps the policy's lock, gets go on, and a put is not
 * forgotten; where several threads get the same, most are left out
 */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>

enum { KEYS = VMC_RING_SIZE + 100 };

struct putter {
	VMEMcache *cache;
	pthread_barrier_t barrier;
};

/* The first put of a thread waits for the lock, the others do not. */
static void *
put_all(void *arg)
{
	struct putter *p = arg;

	testing_expect(fixture_put(p->cache, 0, 1, 256) == 0);
	pthread_barrier_wait(&p->barrier);
	pthread_barrier_wait(&p->barrier);
	for (uint64_t key = 1; key < KEYS; key++)
		testing_expect(fixture_put(p->cache, key, 1, 256) == 0);
	return NULL;
}

static unsigned
pending_of_others(VMEMcache *cache)
{
	unsigned pending = 0;

	for (unsigned slot = 0; slot < vmc_thread_slots(); slot++) {
		struct vmc_stripe *s = vmc_stripe_at(&cache->stripes, slot);
		if (s && slot != vmc_thread_self()->slot)
			pending += vmc_load_acquire(&s->ring.tail) -
				   vmc_load_acquire(&s->ring.head);
	}
	return pending;
}

static void
test_full_rings(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct putter p = {.cache = cache};
	pthread_t putter;

	(void)state;
	pthread_barrier_init(&p.barrier, NULL, 2);
	assert_int_equal(pthread_create(&putter, NULL, put_all, &p), 0);
	pthread_barrier_wait(&p.barrier);
	pthread_mutex_lock(&cache->policy_lock.mutex);
	pthread_barrier_wait(&p.barrier);
	while (pending_of_others(cache) < VMC_RING_SIZE)
		sched_yield();
	/* what is put is there; touches that find no room are lost */
	for (unsigned i = 0; i < 2 * VMC_RING_SIZE; i++)
		assert_true(
			fixture_has(cache, i % (VMC_RING_SIZE - 1), 1, 256));
	pthread_mutex_unlock(&cache->policy_lock.mutex);
	pthread_join(putter, NULL);
	pthread_barrier_destroy(&p.barrier);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), KEYS);
	fixture_check(cache);
	for (unsigned i = 0; i < KEYS; i++)
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* A second thread, which gets keys when it is told to. */
struct getter {
	VMEMcache *cache;
	pthread_t thread;
	pthread_barrier_t barrier;
	uint64_t from, count; /* 0: end */
};

static void *
get_as_told(void *arg)
{
	struct getter *g = arg;

	for (;;) {
		pthread_barrier_wait(&g->barrier);
		if (g->count == 0)
			return NULL;
		for (uint64_t i = 0; i < g->count; i++)
			testing_expect(
				fixture_has(g->cache, g->from + i, 1, 256));
		pthread_barrier_wait(&g->barrier);
	}
}

static void
getter_start(struct getter *g)
{
	pthread_barrier_init(&g->barrier, NULL, 2);
	assert_int_equal(pthread_create(&g->thread, NULL, get_as_told, g), 0);
}

static void
let_get(struct getter *g, uint64_t from, uint64_t count)
{
	g->from = from;
	g->count = count;
	pthread_barrier_wait(&g->barrier);
	pthread_barrier_wait(&g->barrier);
	assert_int_equal(testing_failures, 0);
}

static void
getter_end(struct getter *g)
{
	g->count = 0;
	pthread_barrier_wait(&g->barrier);
	pthread_join(g->thread, NULL);
	pthread_barrier_destroy(&g->barrier);
}

static void
get_all(VMEMcache *cache, uint64_t from, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		assert_true(fixture_has(cache, from + i, 1, 256));
}

/* What the calling thread has recorded, ever. */
static uint32_t
recorded(VMEMcache *cache)
{
	struct vmc_stripe *s =
		vmc_stripe_at(&cache->stripes, vmc_thread_self()->slot);

	return vmc_load_acquire(&s->ring.tail);
}

/* Uses by a thread that was the only user, whether they went there or not. */
static uint32_t
used_alone(VMEMcache *cache)
{
	return vmc_load_relaxed(&cache->policy->clock);
}

enum { MANY = 10000 };

static VMEMcache *
open_with_many(uint64_t many)
{
	VMEMcache *cache = fixture_open(4 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);

	for (uint64_t key = 0; key < many; key++)
		assert_int_equal(fixture_put(cache, key, 1, 256), 0);
	return cache;
}

static void
touched_by_several(uint32_t many)
{
	VMEMcache *cache = open_with_many(many);
	struct getter g = {.cache = cache};

	/* a thread that is alone records all, however often */
	for (int i = 0; i < 3; i++) {
		uint32_t before = used_alone(cache);
		get_all(cache, 0, many);
		assert_int_equal(used_alone(cache) - before, many);
	}
	/* of two, each leaves out what the policy knows */
	getter_start(&g);
	for (uint64_t from = 0; from < many; from += many / 10) {
		let_get(&g, from, many / 20);
		get_all(cache, from + many / 20, many / 20);
	}
	get_all(cache, 0, many); /* fed before they were known to be two */
	let_get(&g, 0, 1);
	fixture_check(cache); /* feeds all */
	uint32_t before = recorded(cache);
	uint32_t alone = used_alone(cache);
	/* each so seldom in turn that neither takes itself for the only one */
	for (uint64_t from = 0; from < many; from += many / 10) {
		get_all(cache, from, many / 10);
		let_get(&g, from, many / 10);
	}
	assert_int_equal(recorded(cache), before);
	assert_int_equal(used_alone(cache), alone);
	/* alone again */
	getter_end(&g);
	get_all(cache, 0, many);
	assert_int_equal(used_alone(cache) - alone, many);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_touched_by_several(void **state)
{
	(void)state;
	touched_by_several(200);
	touched_by_several(MANY);
}

/* One of two threads that alone calls is the only user after a while. */
static void
test_alone_among_several(void **state)
{
	VMEMcache *cache = open_with_many(200);
	struct getter g = {.cache = cache};

	(void)state;
	getter_start(&g);
	let_get(&g, 0, 200);
	get_all(cache, 0, 200);
	assert_null(vmc_load_relaxed(&cache->sole));
	for (uint64_t i = 0; i < 4 * VMC_LOOK_AROUND_EVERY; i++)
		get_all(cache, i % 200, 1);
	assert_non_null(vmc_load_relaxed(&cache->sole));
	/* so its order is exact */
	for (uint64_t i = 200; i-- > 0;)
		get_all(cache, i, 1);
	for (uint64_t i = 200; i-- > 100;) {
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_int_equal(fixture_exists(cache, i), 0);
	}
	/* and is again what it was as soon as another thread calls */
	let_get(&g, 0, 1);
	assert_null(vmc_load_relaxed(&cache->sole));
	getter_end(&g);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* What is got in each generation stays, whatever is put. */
static void
test_got_again_and_again(void **state)
{
	enum { HOT = 64, TURNS = 100 };
	VMEMcache *cache = open_with_many(MANY);
	struct getter g = {.cache = cache};
	uint64_t next = MANY;

	(void)state;
	getter_start(&g);
	for (int turn = 0; turn < TURNS; turn++) {
		let_get(&g, 0, HOT);
		get_all(cache, HOT, HOT);
		for (int i = 0; i < 1000; i++, next++)
			assert_int_equal(fixture_put(cache, next, 1, 256), 0);
	}
	get_all(cache, 0, 2 * HOT);
	assert_false(fixture_exists(cache, 2 * HOT));
	getter_end(&g);
	/* and with one thread the order is exact at once */
	fixture_check(cache);
	for (uint64_t i = 0; i < HOT; i++)
		get_all(cache, i, 1);
	uint64_t left = fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
	for (; left > HOT; left--)
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	for (uint64_t i = 0; i < HOT; i++) {
		assert_int_equal(fixture_exists(cache, i), 1);
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_int_equal(fixture_exists(cache, i), 0);
	}
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_rings),
		cmocka_unit_test(test_touched_by_several),
		cmocka_unit_test(test_alone_among_several),
		cmocka_unit_test(test_got_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
