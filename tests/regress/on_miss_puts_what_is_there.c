/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * on_miss_puts_what_is_there.c -- a get whose on_miss puts the key returns a
 * value, also if the put was told EEXIST, as another thread was faster, and the
 * entry has gone again before the get looks. It failed with ENOENT: 8 threads
 * that read through so, in a pool smaller than what they read, met that in
 * every run.
 */
#include "fixture.h"

#include <pthread.h>

enum { MINE = 1, OTHERS = 2, SIZE = 700 };

struct through {
	VMEMcache *cache;
	uint64_t key;
	int error; /* of the put in on_miss */
	bool evicted_before_read;
	char *value; /* NULL: on the stack */
};

static struct through *evict_first;

static void *
others_put(void *arg)
{
	struct through *t = arg;

	assert_int_equal(fixture_put(t->cache, t->key, OTHERS, SIZE), 0);
	return NULL;
}

static void *
others_evict(void *arg)
{
	struct through *t = arg;

	assert_int_equal(fixture_evict(t->cache, t->key), 0);
	return NULL;
}

static void
in_a_thread(void *(*what)(void *), struct through *t)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, what, t), 0);
	pthread_join(thread, NULL);
}

/* Between the put that finds the key there and the look for what is there. */
ssize_t __real_vmc_cache_read(struct vmemcache *cache,
	struct vmc_thread *thread, struct vmc_stripe *stripe,
	const struct vmc_handover *request);
ssize_t __wrap_vmc_cache_read(struct vmemcache *cache,
	struct vmc_thread *thread, struct vmc_stripe *stripe,
	const struct vmc_handover *request);

ssize_t
__wrap_vmc_cache_read(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_handover *request)
{
	if (evict_first)
		in_a_thread(others_evict, evict_first);
	evict_first = NULL;
	return __real_vmc_cache_read(cache, thread, stripe, request);
}

static void
put_after_another(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct through *t = arg;
	char own[SIZE];
	char *value = t->value ? t->value : own;

	if (t->error == EEXIST)
		in_a_thread(others_put, t);
	if (t->evicted_before_read)
		evict_first = t;
	value_fill(value, SIZE, 0, t->key, MINE);
	int rc = vmemcache_put(cache, key, key_size, value, SIZE);
	assert_int_equal(rc ? errno : 0, t->error);
	if (t->error == EEXIST && !t->evicted_before_read)
		in_a_thread(others_evict, t);
}

/* Get from an offset on; the value's version. */
static uint64_t
read_through(struct through *t, char *buffer, size_t offset)
{
	size_t size = 0;
	uint64_t version = 0;

	vmemcache_callback_on_miss(t->cache, put_after_another, t);
	assert_int_equal(vmemcache_get(t->cache, &t->key, 8, buffer, SIZE,
				 offset, &size),
		SIZE - offset);
	assert_int_equal(size, SIZE);
	assert_true(
		value_decode(buffer, SIZE - offset, offset, t->key, &version));
	return version;
}

static void
test_gone_again(void **state)
{
	struct through t = {
		.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
		.key = 5,
		.error = EEXIST};
	char buffer[SIZE];

	(void)state;
	/* it was there when the put was told so */
	assert_int_equal(read_through(&t, buffer, 0), OTHERS);
	t.evicted_before_read = true;
	assert_int_equal(read_through(&t, buffer, 8), MINE);
	assert_int_equal(fixture_exists(t.cache, t.key), 0);
	fixture_check(t.cache);
	vmemcache_delete(t.cache);
}

/* The value is in the very buffer of the get. */
static void
test_put_from_the_buffer(void **state)
{
	struct through t = {
		.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
		.key = 5};
	char buffer[SIZE];

	(void)state;
	t.value = buffer;
	assert_int_equal(read_through(&t, buffer, 3), MINE);
	assert_int_equal(fixture_evict(t.cache, t.key), 0);
	t.error = EEXIST;
	assert_int_equal(read_through(&t, buffer, 3), MINE);
	vmemcache_delete(t.cache);
}

static void
test_no_space(void **state)
{
	struct through t = {
		.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE),
		.key = 5,
		.error = ENOSPC};
	char buffer[SIZE];

	(void)state;
	assert_int_equal(
		fixture_put(t.cache, 1, 1, VMEMCACHE_MIN_POOL - SIZE), 0);
	assert_int_equal(fixture_put(t.cache, 2, 1, 256), 0);
	assert_int_equal(fixture_put(t.cache, 3, 1, 256), 0);
	assert_int_equal(read_through(&t, buffer, 0), MINE);
	assert_int_equal(fixture_exists(t.cache, t.key), 0);
	vmemcache_delete(t.cache);
}

enum { THREADS = 4, KEYS = 2000, MOST = 9000 };

static size_t
size_of(uint64_t key)
{
	return 8 + key * 7919 % (MOST - 8);
}

static void
put_it(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	uint64_t number;

	(void)arg;
	memcpy(&number, key, key_size);
	testing_expect(fixture_put(cache, number, 1, size_of(number)) == 0 ||
		       errno == EEXIST || errno == ENOSPC);
}

static void *
read_all(void *cache)
{
	uint64_t random = testing_seed() ^ (uint64_t)pthread_self();
	uint64_t count = testing_operations(20000);

	for (uint64_t i = 0; i < count; i++) {
		/* few keys more often, so that threads miss the same */
		uint64_t most = testing_below(&random, KEYS) + 1;
		uint64_t key = testing_below(&random, most);
		testing_expect(fixture_has(cache, key, 1, size_of(key)));
	}
	return NULL;
}

static void
test_many_threads(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	pthread_t threads[THREADS];

	(void)state;
	testing_seed();
	vmemcache_callback_on_miss(cache, put_it, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, read_all, cache), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone_again),
		cmocka_unit_test(test_put_from_the_buffer),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
