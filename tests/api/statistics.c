/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * statistics.c -- each figure of vmemcache_get_stat()
 */
#include "fixture.h"

#include <pthread.h>
#include <unistd.h>

/* In the order of the enumeration, which is part of the binary interface. */
static void
assert_stats(VMEMcache *cache, unsigned long long put, unsigned long long hit,
	unsigned long long miss, unsigned long long evict)
{
	assert_int_equal(fixture_stat(cache, 0), put);
	assert_int_equal(fixture_stat(cache, 1), hit + miss);
	assert_int_equal(fixture_stat(cache, 2), hit);
	assert_int_equal(fixture_stat(cache, 3), miss);
	assert_int_equal(fixture_stat(cache, 4), evict);
	assert_int_equal(fixture_stat(cache, 5), put - evict);
}

static void
test_numbers_of_the_interface(void **state)
{
	(void)state;
	assert_int_equal(VMEMCACHE_STAT_PUT, 0);
	assert_int_equal(VMEMCACHE_STAT_GET, 1);
	assert_int_equal(VMEMCACHE_STAT_HIT, 2);
	assert_int_equal(VMEMCACHE_STAT_MISS, 3);
	assert_int_equal(VMEMCACHE_STAT_EVICT, 4);
	assert_int_equal(VMEMCACHE_STAT_ENTRIES, 5);
	assert_int_equal(VMEMCACHE_STAT_DRAM_SIZE_USED, 6);
	assert_int_equal(VMEMCACHE_STAT_POOL_SIZE_USED, 7);
	assert_int_equal(VMEMCACHE_STAT_HEAP_ENTRIES, 8);
	assert_int_equal(VMEMCACHE_REPLACEMENT_NONE, 0);
	assert_int_equal(VMEMCACHE_REPLACEMENT_LRU, 1);
	assert_int_equal(VMEMCACHE_MIN_POOL, 1 << 20);
	assert_int_equal(VMEMCACHE_MIN_EXTENT, 256);
	assert_int_equal(VMEMCACHE_MAJOR_VERSION, 0);
	assert_int_equal(VMEMCACHE_MINOR_VERSION, 8);
	assert_int_equal(VMEMCACHE_STATS_NUM, 9);
	assert_int_equal(VMEMCACHE_REPLACEMENT_NUM, 2);
	assert_int_equal(VMEMCACHE_STAT_EXTENTS, 64);
}

/* What programs of 0.8 take for a number that there is not. */
static void
test_numbers_that_0_8_does_not_have(void **state)
{
	VMEMcache *cache = vmemcache_new();
	unsigned long long value;

	(void)state;
	assert_fails(vmemcache_set_eviction_policy(cache, 2), EINVAL);
	for (int added = 0; added < 2; added++) {
		assert_fails(
			vmemcache_get_stat(cache, 9, &value, sizeof(value)),
			EINVAL);
		assert_fails(
			vmemcache_get_stat(cache, 63, &value, sizeof(value)),
			EINVAL);
		assert_int_equal(
			vmemcache_get_stat(cache, VMEMCACHE_STAT_EXTENTS,
				&value, sizeof(value)),
			0);
		if (!added)
			assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	}
	vmemcache_delete(cache);
}

static void
test_version(void **state)
{
	const char *version = vmemcache_version();
	unsigned part[3];
	int end = 0;

	(void)state;
	assert_int_equal(sscanf(version, "vmemcache %u.%u.%u%n", &part[0],
				 &part[1], &part[2], &end),
		3);
	assert_int_equal(version[end], '\0');
}

static void
test_before_add(void **state)
{
	VMEMcache *cache = vmemcache_new();

	(void)state;
	for (int i = 0; i < VMEMCACHE_STATS_NUM; i++)
		assert_int_equal(
			fixture_stat(cache, (enum vmemcache_statistic)i), 0);
	for (int i = 0; i < FIXTURE_STATS; i++)
		assert_int_equal(fixture_stat_if_any(cache, i), 0);
	vmemcache_delete(cache);
}

static void
test_counters(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t key = 1;

	(void)state;
	assert_stats(cache, 0, 0, 0, 0);
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	assert_stats(cache, 1, 0, 0, 0);
	assert_fails(fixture_put(cache, 1, 1, 300), EEXIST);
	assert_fails(fixture_put(cache, 2, 1, 2 << 20), ENOSPC);
	assert_stats(cache, 1, 0, 0, 0);
	assert_true(fixture_has(cache, 1, 1, 300));
	assert_int_equal(vmemcache_get(cache, &key, 8, NULL, 0, 0, NULL), 0);
	assert_int_equal(vmemcache_get(cache, &key, 8, &key, 8, 300, NULL), 0);
	assert_stats(cache, 1, 3, 0, 0);
	assert_false(fixture_has(cache, 2, 1, 300));
	assert_stats(cache, 1, 3, 1, 0);
	assert_int_equal(fixture_exists(cache, 1), 1);
	assert_int_equal(fixture_exists(cache, 2), 0);
	assert_fails(fixture_evict(cache, 2), ENOENT);
	assert_stats(cache, 1, 3, 1, 0);
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_stats(cache, 1, 3, 1, 1);
	assert_int_equal(fixture_put(cache, 3, 1, 1 << 20), 0);
	assert_int_equal(fixture_put(cache, 4, 1, 1 << 20), 0);
	assert_stats(cache, 3, 3, 1, 2);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_fails(vmemcache_evict(cache, NULL, 0), ESRCH);
	assert_stats(cache, 3, 3, 1, 3);
	/* bad calls count nowhere */
	assert_fails(vmemcache_get(cache, NULL, 8, NULL, 0, 0, NULL), EINVAL);
	assert_fails(vmemcache_put(cache, NULL, 8, "", 1), EINVAL);
	assert_stats(cache, 3, 3, 1, 3);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/*
 * Keys count, entries count; and all goes when they go. From one to the next it
 * need not be more or less by just that: the index takes and gives back, too.
 */
static void
test_dram(void **state)
{
	enum { COUNT = 4000, KEY = 100, ENTRY = KEY + 40 };
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	char key[KEY] = {0};
	unsigned long long most, dram;

	(void)state;
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED), 0);
	for (int i = 0; i < COUNT; i++) {
		memcpy(key, &i, sizeof(i));
		assert_int_equal(vmemcache_put(cache, key, KEY, NULL, 0), 0);
		dram = fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
		assert_true(dram >= (size_t)(i + 1) * ENTRY);
	}
	most = dram;
	assert_true(most < COUNT * (KEY + 200));
	for (int i = 0; i < COUNT; i++) {
		memcpy(key, &i, sizeof(i));
		assert_int_equal(vmemcache_evict(cache, key, KEY), 0);
		dram = fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
		assert_true(dram >= (size_t)(COUNT - i - 1) * ENTRY);
		if (i == COUNT / 2)
			assert_true(dram <= most - COUNT / 2 * KEY);
	}
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* So many entries that the index grows: 0 when they are gone, as well. */
static void
test_dram_after_growth(void **state)
{
	enum { COUNT = 200000 };
	VMEMcache *cache = fixture_open(
		COUNT * VMEMCACHE_MIN_EXTENT, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t count = testing_operations(COUNT);

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < count; i++)
			assert_int_equal(
				vmemcache_put(cache, &i, sizeof(i), NULL, 0),
				0);
		fixture_check(cache);
		for (uint64_t i = 0; i < count; i++)
			assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		fixture_check_empty(cache);
	}
	vmemcache_delete(cache);
}

static void
test_pool_and_runs(void **state)
{
	VMEMcache *cache = fixture_open(0, 4096, VMEMCACHE_REPLACEMENT_NONE);

	(void)state;
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES), 1);
	for (uint64_t i = 0; i < 256; i++) {
		assert_int_equal(fixture_put(cache, i, 1, 1 + i * 16), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			4096 * (i + 1));
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_EXTENTS), i + 1);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES),
			i < 255);
	}
	/* single holes, then holes that meet */
	for (uint64_t i = 1; i < 256; i += 2) {
		assert_int_equal(fixture_evict(cache, i), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES),
			i / 2 + 1);
	}
	for (uint64_t i = 254; i > 0; i -= 2) {
		assert_int_equal(fixture_evict(cache, i), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES),
			i / 2);
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EXTENTS), 1);
	assert_int_equal(fixture_evict(cache, 0), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* Whatever the history: random sizes, then nothing, one run. */
static void
test_one_run_when_empty(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();

	(void)state;
	uint64_t count = testing_operations(20000);
	for (uint64_t i = 0; i < count; i++) {
		if (testing_below(&random, 3) == 0)
			fixture_evict(cache, testing_below(&random, i + 1));
		assert_int_equal(
			fixture_put(cache, i, 1, testing_below(&random, 9000)),
			0);
	}
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_EVICT) > 0);
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_page_size(void **state)
{
	VMEMcache *cache = fixture_open(8 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	unsigned long long size = fixture_stat(cache, VMEMCACHE_STAT_PAGE_SIZE);

	(void)state;
	assert_true(size >= (unsigned long long)sysconf(_SC_PAGESIZE));
	assert_int_equal(size & (size - 1), 0);
	vmemcache_delete(cache);
}

/* Counters of threads that are gone count on. */
static void *
use(void *arg)
{
	VMEMcache *cache = arg;
	uint64_t base = (uint64_t)pthread_self();

	for (uint64_t i = 0; i < 10; i++) {
		uint64_t key[2] = {base, i};
		testing_expect(vmemcache_put(cache, key, 16, "v", 1) == 0);
		testing_expect(
			vmemcache_get(cache, key, 16, NULL, 0, 0, NULL) == 0);
		key[1] += 100;
		testing_expect(
			vmemcache_get(cache, key, 16, NULL, 0, 0, NULL) == -1);
		key[1] -= 100;
		testing_expect(vmemcache_evict(cache, key, 16) == 0);
	}
	return NULL;
}

static void
test_counters_of_many_threads(void **state)
{
	enum { THREADS = 100 };
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, use, cache), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	assert_stats(
		cache, 10 * THREADS, 10 * THREADS, 10 * THREADS, 10 * THREADS);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

struct reading {
	VMEMcache *cache;
	_Atomic bool stop;
	int policy; /* evicts what the policy says, or what it has put */
	uint64_t key;
};

static void *
come_and_go(void *arg)
{
	struct reading *r = arg;
	char value[300] = {0};

	for (uint64_t i = 0; !vmc_load_relaxed(&r->stop); i++) {
		uint64_t key[2] = {r->key, r->policy ? i : 0};
		vmemcache_put(r->cache, key, 16, value, sizeof(value));
		if (r->policy)
			vmemcache_evict(r->cache, NULL, 0);
		else
			vmemcache_evict(r->cache, key, 16);
	}
	return NULL;
}

/* Read while others put and evict: nothing below 0, and no counter falls. */
static void
test_beside_other_calls(void **state)
{
	static const enum vmemcache_statistic grow[] = {VMEMCACHE_STAT_PUT,
		VMEMCACHE_STAT_GET, VMEMCACHE_STAT_HIT, VMEMCACHE_STAT_MISS,
		VMEMCACHE_STAT_EVICT};
	enum { THREADS = 2, GROW = sizeof(grow) / sizeof(grow[0]) };
	uint64_t reads = testing_operations(100000);

	(void)state;
	for (int policy = 0; policy < 2; policy++) {
		VMEMcache *cache =
			fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		struct reading r[THREADS];
		pthread_t threads[THREADS];
		unsigned long long last[GROW] = {0};
		unsigned long long small = 0;
		for (unsigned i = 0; i < THREADS; i++) {
			r[i] = (struct reading){
				.cache = cache, .policy = policy, .key = i};
			assert_int_equal(pthread_create(&threads[i], NULL,
						 come_and_go, &r[i]),
				0);
		}
		for (uint64_t n = 0; n < reads; n++) {
			small |= fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
			small |= fixture_stat(cache, VMEMCACHE_STAT_EXTENTS);
			small |= fixture_stat(
				cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
			for (unsigned i = 0; i < GROW; i++) {
				unsigned long long now =
					fixture_stat(cache, grow[i]);
				assert_true(now >= last[i]);
				last[i] = now;
			}
		}
		for (unsigned i = 0; i < THREADS; i++)
			vmc_store_relaxed(&r[i].stop, true);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_true(small < 1u << 30);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_of_the_interface),
		cmocka_unit_test(test_numbers_that_0_8_does_not_have),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_before_add),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_dram),
		cmocka_unit_test(test_dram_after_growth),
		cmocka_unit_test(test_pool_and_runs),
		cmocka_unit_test(test_one_run_when_empty),
		cmocka_unit_test(test_page_size),
		cmocka_unit_test(test_counters_of_many_threads),
		cmocka_unit_test(test_beside_other_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
