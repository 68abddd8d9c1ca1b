/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pinned.c -- a pool of entries none of which can be evicted now
 *
 * Here somebody else is evicting each of them: it is held in an on_evict
 * callback that does not return until it is told to. Entries that are pinned:
 * pins.c.
 */
#include "fixture.h"

#include <pthread.h>
#include <semaphore.h>

enum { ENTRIES = 8, SIZE = 128 * 1024 };

struct scene {
	VMEMcache *cache;
	sem_t held;    /* posted by each callback */
	sem_t release; /* waited for by each callback */
};

struct evictor {
	struct scene *scene;
	uint64_t key;
	pthread_t thread;
};

static _Thread_local bool holds;

static void
hold(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct scene *s = arg;

	(void)cache, (void)key, (void)key_size;
	if (!holds) /* the main thread evicts as usual */
		return;
	sem_post(&s->held);
	while (sem_wait(&s->release) != 0)
		;
}

static void *
evict_and_hold(void *arg)
{
	struct evictor *e = arg;

	holds = true;
	testing_expect(fixture_evict(e->scene->cache, e->key) == 0);
	return NULL;
}

static void
scene_open(struct scene *s)
{
	s->cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	sem_init(&s->held, 0, 0);
	sem_init(&s->release, 0, 0);
	vmemcache_callback_on_evict(s->cache, hold, s);
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_int_equal(fixture_put(s->cache, key, 1, SIZE), 0);
}

/* The first `count` entries are held from here to let_go(). */
static void
pin(struct scene *s, struct evictor *evictors, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		evictors[i] = (struct evictor){.scene = s, .key = i};
		assert_int_equal(pthread_create(&evictors[i].thread, NULL,
					 evict_and_hold, &evictors[i]),
			0);
	}
	for (unsigned i = 0; i < count; i++)
		sem_wait(&s->held);
}

static void
let_go(struct scene *s, struct evictor *evictors, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		sem_post(&s->release);
	for (unsigned i = 0; i < count; i++)
		pthread_join(evictors[i].thread, NULL);
	assert_int_equal(testing_failures, 0);
}

static void
scene_close(struct scene *s)
{
	sem_destroy(&s->held);
	sem_destroy(&s->release);
	fixture_check(s->cache);
	while (vmemcache_evict(s->cache, NULL, 0) == 0)
		;
	fixture_check_empty(s->cache);
	vmemcache_delete(s->cache);
}

static void
test_all_pinned(void **state)
{
	struct evictor evictors[ENTRIES];
	struct scene s;

	(void)state;
	scene_open(&s);
	pin(&s, evictors, ENTRIES);

	assert_fails(fixture_put(s.cache, 100, 1, 1), ENOSPC);
	assert_fails(fixture_put(s.cache, 100, 1, 4 * SIZE), ENOSPC);
	assert_fails(vmemcache_evict(s.cache, NULL, 0), ESRCH);
	for (uint64_t key = 0; key < ENTRIES; key++) {
		assert_true(fixture_has(s.cache, key, 1, SIZE));
		assert_fails(fixture_put(s.cache, key, 2, 1), EEXIST);
		assert_fails(fixture_evict(s.cache, key), EAGAIN);
	}
	/* an empty value counts as one block */
	assert_fails(fixture_put(s.cache, 101, 1, 0), ENOSPC);
	assert_int_equal(fixture_stat(s.cache, VMEMCACHE_STAT_EVICT), 0);

	let_go(&s, evictors, ENTRIES);
	assert_int_equal(fixture_stat(s.cache, VMEMCACHE_STAT_EVICT), ENTRIES);
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_int_equal(fixture_put(s.cache, key, 3, SIZE), 0);
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_true(fixture_has(s.cache, key, 3, SIZE));
	scene_close(&s);
}

static void
test_half_pinned(void **state)
{
	enum { HALF = ENTRIES / 2 };
	struct evictor evictors[HALF];
	struct scene s;

	(void)state;
	scene_open(&s);
	pin(&s, evictors, HALF);

	/* more than the others have: none of these goes for nothing */
	assert_fails(fixture_put(s.cache, 100, 1, (HALF + 1) * SIZE), ENOSPC);
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_true(fixture_has(s.cache, key, 1, SIZE));
	assert_int_equal(fixture_put(s.cache, 100, 1, HALF * SIZE), 0);
	assert_true(fixture_has(s.cache, 100, 1, HALF * SIZE));
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_int_equal(fixture_exists(s.cache, key), key < HALF);

	let_go(&s, evictors, HALF);
	assert_int_equal(fixture_put(s.cache, 101, 1, HALF * SIZE), 0);
	assert_true(fixture_has(s.cache, 100, 1, HALF * SIZE));
	scene_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_pinned),
		cmocka_unit_test(test_half_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
