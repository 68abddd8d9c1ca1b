/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * depth.c -- callbacks that call what calls them, 500 deep, on a stack of
 * 1 MiB
 */
#include "fixture.h"

#include <pthread.h>

enum { DEPTH = 500, SIZE = 1000, KEYS = 1024, STACK = 1 << 20 };

struct dive {
	VMEMcache *cache;
	unsigned depth, deepest;
	uint64_t next; /* key to put */
};

/* Each eviction puts something, which evicts. */
static void
evict_deeper(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct dive *d = arg;
	uint64_t number;

	testing_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	if (++d->depth > d->deepest)
		d->deepest = d->depth;
	if (d->deepest < DEPTH)
		testing_expect(fixture_put(cache, d->next++, 1, SIZE) == 0);
	/* what is being evicted is still there, however far out that began */
	testing_expect(fixture_has(cache, number, 1, SIZE));
	d->depth--;
}

static void *
dive_by_evicting(void *arg)
{
	struct dive *d = arg;

	testing_expect(fixture_put(d->cache, d->next++, 1, SIZE) == 0);
	return NULL;
}

/* Each miss gets something else, which misses. */
static void
miss_deeper(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct dive *d = arg;
	uint64_t number;

	testing_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	if (++d->depth > d->deepest)
		d->deepest = d->depth;
	if (d->depth < DEPTH)
		testing_expect(fixture_has(cache, number + 1, 1, SIZE));
	testing_expect(fixture_put(cache, number, 1, SIZE) == 0);
	d->depth--;
}

static void *
dive_by_missing(void *arg)
{
	struct dive *d = arg;

	testing_expect(fixture_has(d->cache, 100000, 1, SIZE));
	return NULL;
}

/* A miss whose put evicts, whose eviction gets, which misses, and so on. */
static void
evict_and_miss(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct dive *d = arg;
	uint64_t number;

	(void)key, (void)key_size;
	if (d->deepest >= DEPTH)
		return;
	number = d->next++;
	testing_expect(fixture_has(cache, number, 1, SIZE));
}

static void *
dive_by_both(void *arg)
{
	struct dive *d = arg;

	testing_expect(fixture_has(d->cache, d->next++, 1, SIZE));
	return NULL;
}

static void
miss_and_put(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct dive *d = arg;
	uint64_t number;

	testing_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	if (++d->depth > d->deepest)
		d->deepest = d->depth;
	testing_expect(fixture_put(cache, number, 1, SIZE) == 0);
	d->depth--;
}

static void
on_small_stack(void *(*go)(void *), struct dive *d)
{
	pthread_attr_t attr;
	pthread_t thread;
	size_t stack = STACK;

#ifdef VMC_TESTING_SANITIZED
	stack *= 16; /* frames are padded */
#endif
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, stack), 0);
	assert_int_equal(pthread_create(&thread, &attr, go, d), 0);
	pthread_attr_destroy(&attr);
	pthread_join(thread, NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(d->depth, 0);
	assert_true(d->deepest >= DEPTH);
	fixture_check(d->cache);
}

static struct dive
full(void)
{
	struct dive d = {
		.cache = fixture_open(0, 1024, VMEMCACHE_REPLACEMENT_LRU)};

	for (; d.next < KEYS; d.next++)
		assert_int_equal(fixture_put(d.cache, d.next, 1, SIZE), 0);
	return d;
}

static void
test_on_evict(void **state)
{
	struct dive d = full();

	(void)state;
	vmemcache_callback_on_evict(d.cache, evict_deeper, &d);
	on_small_stack(dive_by_evicting, &d);
	assert_int_equal(
		fixture_stat(d.cache, VMEMCACHE_STAT_EVICT), d.deepest);
	assert_int_equal(fixture_stat(d.cache, VMEMCACHE_STAT_ENTRIES), KEYS);
	vmemcache_delete(d.cache);
}

static void
test_on_miss(void **state)
{
	struct dive d = full();

	(void)state;
	vmemcache_callback_on_miss(d.cache, miss_deeper, &d);
	on_small_stack(dive_by_missing, &d);
	vmemcache_delete(d.cache);
}

static void
test_both(void **state)
{
	struct dive d = full();

	(void)state;
	vmemcache_callback_on_evict(d.cache, evict_and_miss, &d);
	vmemcache_callback_on_miss(d.cache, miss_and_put, &d);
	on_small_stack(dive_by_both, &d);
	vmemcache_delete(d.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_evict),
		cmocka_unit_test(test_on_miss),
		cmocka_unit_test(test_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
