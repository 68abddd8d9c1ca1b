/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefix.c -- walks and removals by prefix beside all else, in an ordered cache
 *
 * Keys "s/..." are put once, or replaced all the time: each walk shows each of
 * them once. Threads put, replace, touch and evict others, "p/0/" to "p/7/",
 * which are removed by prefix. The pool is so large that nothing is evicted for
 * room.
 */
#include "items.h"

#include <pthread.h>

enum { STAYING = 400, PASSING = 4000, WRITERS = 2, WALKERS = 1 };

struct shared {
	VMEMcache *cache;
	uint64_t steps;
	_Atomic bool stop;
};

static size_t
staying_key(char *key, unsigned number)
{
	return (size_t)sprintf(key, "s/%05u", number);
}

static size_t
passing_key(char *key, unsigned number)
{
	return (size_t)sprintf(key, "p/%u/%u", number % 8, number);
}

static void *
run_writer(void *arg)
{
	static _Atomic unsigned next;
	static const char value[1000];
	struct shared *s = arg;
	unsigned me = vmc_fetch_add_relaxed(&next, 1);
	uint64_t random = testing_seed() + me;
	struct vmemcache_store how = {.struct_size = sizeof(how)};
	char key[32];

	for (uint64_t i = 0; i < s->steps; i++) {
		unsigned number = (unsigned)testing_below(&random, PASSING);
		size_t size = passing_key(key, number);
		how.ttl_ms = number % 16 == 0 ? 1 : 0;
		switch (testing_below(&random, 5)) {
		case 0:
			(void)vmemcache_evict(s->cache, key, size);
			continue;
		case 1:
			(void)vmemcache_touch(s->cache, key, size, 100000);
			continue;
		case 2:
			size = staying_key(key, number % STAYING);
			how.ttl_ms = 0;
			break;
		}
		testing_expect(vmemcache_store(s->cache, key, size, value,
				       testing_below(&random, sizeof(value)),
				       &how, NULL) == 0);
	}
	return NULL;
}

struct walk {
	unsigned count;
	char last[32];
};

static enum vmemcache_step
see(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct walk *walk = arg;
	char text[32] = {0};

	(void)cache, (void)item;
	testing_expect(key_size < sizeof(text));
	memcpy(text, key, key_size);
	testing_expect(strcmp(walk->last, text) < 0);
	memcpy(walk->last, text, sizeof(text));
	walk->count++;
	return VMEMCACHE_WALK_ON;
}

static void *
run_walker(void *arg)
{
	struct shared *s = arg;
	uint64_t random = testing_seed() + 99;
	unsigned round = 0;

	while (!vmc_load_acquire(&s->stop)) {
		struct walk walk = {0};
		ssize_t n;
		size_t piece = 1 + testing_below(&random, 2 * STAYING);
		do {
			n = vmemcache_walk_prefix(s->cache, "s/", 2, walk.last,
				strlen(walk.last), piece, see, &walk);
			testing_expect(n >= 0 && (size_t)n <= piece);
		} while ((size_t)n == piece);
		testing_expect(walk.count == STAYING);
		char prefix[5] = "p/0/";
		prefix[2] = (char)('0' + round++ % 8);
		testing_expect(
			vmemcache_remove_prefix(s->cache, prefix, 4) >= 0);
		walk = (struct walk){0};
		testing_expect(vmemcache_walk_prefix(s->cache, "p/", 2, NULL, 0,
				       100, see, &walk) >= 0);
	}
	return NULL;
}

static void
test_beside_all_else(void **state)
{
	struct shared s = {.steps = testing_operations(100000)};
	pthread_t threads[WRITERS + WALKERS];
	char key[32];

	(void)state;
	(void)testing_seed(); /* before there are threads */
	s.cache = fixture_new(64 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(vmemcache_set_ordered(s.cache, 1), 0);
	assert_int_equal(vmemcache_add(s.cache, FIXTURE_DIR), 0);
	for (unsigned i = 0; i < STAYING; i++)
		assert_int_equal(vmemcache_put(s.cache, key,
					 staying_key(key, i), key, 10),
			0);
	for (unsigned i = 0; i < WRITERS + WALKERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL,
				i < WRITERS ? run_writer : run_walker, &s),
			0);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	vmc_store_release(&s.stop, true);
	for (unsigned i = 0; i < WALKERS; i++)
		pthread_join(threads[WRITERS + i], NULL);
	assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
	fixture_check(s.cache);
	assert_true(vmemcache_remove_prefix(s.cache, "p/", 2) >= 0);
	assert_int_equal(vmemcache_remove_prefix(s.cache, "s/", 2), STAYING);
	fixture_clear(s.cache); /* what is over */
	vmemcache_delete(s.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beside_all_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
