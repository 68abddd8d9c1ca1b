/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resize.c -- a pool that gets larger and smaller all the time, beside gets,
 * pins, stores and evictions
 *
 * What fits, and may not be evicted, is found at every moment, whole. What may
 * be evicted is whole when it is found, and a store that fits never fails.
 * VMC_TEST_POOL: a directory or a device DAX, in the place of /dev/shm.
 */
#include "items.h"

#include <pthread.h>
#include <time.h>

#define MIB ((size_t)1 << 20)
#define LARGEST 40000u

enum { READERS = 2, STAYING = 150 };

struct sea {
	VMEMcache *cache;
	uint64_t keys; /* of all, those that stay first */
	uint64_t seed;
	uint64_t rounds;
	_Atomic uint64_t readers;
	bool evicts;
	_Atomic bool stop;
	_Atomic uint64_t gets, busy, resizes, slowest;
};

/* Up to LARGEST, mostly small. */
static size_t
random_size(uint64_t *random)
{
	return testing_below(
		random, testing_below(random, 30) ? 3000 : LARGEST);
}

static bool
stopped(struct sea *sea)
{
	return vmc_load_relaxed(&sea->stop);
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *
read_on(void *arg)
{
	struct sea *sea = arg;
	uint64_t random = sea->seed + vmc_fetch_add_relaxed(&sea->readers, 1);
	char *buffer = malloc(LARGEST);

	while (!stopped(sea)) {
		uint64_t key = testing_below(&random, sea->keys);
		uint64_t version, began = now_ns();
		ssize_t n = vmemcache_get(sea->cache, &key, sizeof(key), buffer,
			LARGEST, 0, NULL);
		uint64_t took = now_ns() - began;
		testing_expect(n >= 0 || errno == ENOENT);
		if (key < STAYING && !sea->evicts)
			testing_expect(n >= 0);
		testing_expect(n < 0 || value_decode(buffer, (size_t)n, 0, key,
						&version));
		vmc_fetch_add_relaxed(&sea->gets, 1);
		uint64_t slowest = vmc_load_relaxed(&sea->slowest);
		if (took > slowest)
			vmc_store_relaxed(&sea->slowest, took);
	}
	free(buffer);
	return NULL;
}

static void *
pin_on(void *arg)
{
	struct sea *sea = arg;
	uint64_t random = sea->seed ^ 3, version;
	struct vmemcache_item item;

	while (!stopped(sea)) {
		uint64_t key = testing_below(&random, sea->keys);
		if (vmemcache_pin(sea->cache, &key, sizeof(key), 0, &item)) {
			testing_expect(errno == ENOENT &&
				       (key >= STAYING || sea->evicts));
			continue;
		}
		for (unsigned i = 0; i < 20; i++) {
			if (item.info.value_size < 8)
				break;
			testing_expect(value_decode(item.iov[0].iov_base,
				item.iov[0].iov_len, 0, key, &version));
			testing_expect(items_holds(&item, key, version));
		}
		vmemcache_unpin(sea->cache, &item);
	}
	return NULL;
}

/* Over what is there, or in the place of what it has removed. */
static void *
write_on(void *arg)
{
	struct sea *sea = arg;
	uint64_t random = sea->seed ^ 5;
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);

	for (uint64_t version = 2; !stopped(sea); version++) {
		uint64_t key = testing_below(&random, sea->keys);
		if (key >= STAYING && testing_below(&random, 3) == 0) {
			int rc = fixture_evict(sea->cache, key);
			testing_expect(rc == 0 || errno == ENOENT ||
				       (sea->evicts && errno == EAGAIN));
		} else {
			testing_expect(
				items_store(sea->cache, key, version,
					random_size(&random), &how, NULL) == 0);
		}
	}
	return NULL;
}

static void *
resize_on(void *arg)
{
	struct sea *sea = arg;
	uint64_t random = sea->seed ^ 7;

	for (uint64_t i = 0; i < sea->rounds; i++) {
		size_t size = 3 * MIB + testing_below(&random, 13 * MIB);
		int rc = vmemcache_resize(sea->cache, size);
		testing_expect(rc == 0 || errno == EBUSY);
		vmc_fetch_add_relaxed(&sea->resizes, 1);
		if (rc)
			vmc_fetch_add_relaxed(&sea->busy, 1);
	}
	vmc_store_relaxed(&sea->stop, true);
	return NULL;
}

static void
run(enum vmemcache_repl_p policy, uint64_t keys)
{
	const char *path = getenv("VMC_TEST_POOL");
	VMEMcache *cache = fixture_new(3 * MIB, 0, policy);
	struct sea sea = {.cache = cache,
		.keys = keys,
		.seed = testing_seed() << 8,
		.rounds = testing_operations(160),
		.evicts = policy != VMEMCACHE_REPLACEMENT_NONE};
	pthread_t threads[READERS + 3];
	void *(*const others[])(void *) = {pin_on, write_on, resize_on};

	if (vmemcache_add(cache, path ? path : FIXTURE_DIR) != 0)
		fail_msg("%s", vmemcache_errormsg());
	for (uint64_t key = 0; key < STAYING; key++)
		assert_int_equal(fixture_put(cache, key, 1, 2000), 0);
	for (unsigned i = 0; i < READERS + 3; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL,
				i < READERS ? read_on : others[i - READERS],
				&sea),
			0);
	for (unsigned i = 0; i < READERS + 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	printf("%ju resizes, %ju busy, beside %ju gets, the slowest %ju us\n",
		(uintmax_t)sea.resizes, (uintmax_t)sea.busy,
		(uintmax_t)sea.gets, (uintmax_t)sea.slowest / 1000);
	fixture_check(cache);
	assert_int_equal(vmemcache_resize(cache, 3 * MIB), 0);
	fixture_check(cache);
	fixture_clear(cache);
	vmemcache_delete(cache);
}

/* A tenth of the values are large: 3 MiB are enough for twice as many keys. */
static void
test_all_fits(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_NONE, 2 * STAYING);
}

static void
test_lru(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_LRU, 8000);
}

static void
test_adaptive(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_ADAPTIVE, 8000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fits),
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_adaptive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
