/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metadata_limit.c -- vmemcache_set_metadata_limit(): what it keeps to, whom it
 * evicts, when it refuses
 */
#include "fixture.h"

#include <pthread.h>

#define LIMIT (UINT64_C(512) << 10)
#define POOL (UINT64_C(64) << 20)

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

static struct vmemcache_statistics
statistics_of(VMEMcache *cache)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	return s;
}

static uint64_t
metadata_of(VMEMcache *cache)
{
	return fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
}

/* Of a pool with room for many more, the limit decides what stays. */
static void
test_kept_to(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_new(POOL, 0, policies[i]);
		uint64_t most = 0;

		assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
		assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
		for (uint64_t key = 0; key < 30000; key++) {
			assert_int_equal(
				fixture_put(cache, key, 1, key % 2 ? 8 : 0), 0);
			uint64_t bytes = metadata_of(cache);
			if (bytes > most)
				most = bytes;
		}
		assert_in_range(most, LIMIT - LIMIT / 8, LIMIT);
		assert_in_range(metadata_of(cache), LIMIT - LIMIT / 4, LIMIT);
		assert_true(fixture_has(cache, 29999, 1, 8));
		assert_int_equal(statistics_of(cache)
					 .removals[VMEMCACHE_REASON_CAPACITY],
			30000 - fixture_stat(cache, VMEMCACHE_STAT_ENTRIES));
		fixture_check(cache);

		/* without it more are kept */
		uint64_t entries = fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
		assert_int_equal(vmemcache_set_metadata_limit(cache, 0), 0);
		for (uint64_t key = 40000; key < 70000; key++)
			assert_int_equal(fixture_put(cache, key, 1, 8), 0);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES),
			entries + 30000);
		vmemcache_delete(cache);
	}
}

struct victims {
	uint64_t next;
	unsigned of_this_put;
};

static void
is_next(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct victims *v = arg;
	uint64_t number;

	(void)cache;
	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	assert_int_equal(number, v->next++);
	v->of_this_put++;
}

/* Set below what there is: the oldest go, a few with each put. */
static void
test_lowered(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct victims victims = {0};

	(void)state;
	vmemcache_callback_on_evict(cache, is_next, &victims);
	for (uint64_t key = 0; key < 30000; key++)
		assert_int_equal(fixture_put(cache, key, 1, 8), 0);
	assert_int_equal(victims.next, 0);
	assert_true(metadata_of(cache) > LIMIT);
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	for (uint64_t key = 30000; metadata_of(cache) > LIMIT; key++) {
		victims.of_this_put = 0;
		assert_int_equal(fixture_put(cache, key, 1, 8), 0);
		assert_in_range(victims.of_this_put, 1, 3);
		assert_true(key < 70000);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* A key of some size takes the place of as many bytes of small ones. */
static void
test_large_keys(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	char *key = calloc(1, LIMIT + 1);

	(void)state;
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	assert_fails(vmemcache_put(cache, key, LIMIT, "", 0), ENOSPC);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(fixture_put(cache, i, 1, 8), 0);
	for (uint64_t i = 0; i < 100; i++) {
		memcpy(key, &i, sizeof(i));
		assert_int_equal(
			vmemcache_put(cache, key, LIMIT / 16, "", 0), 0);
		assert_in_range(metadata_of(cache), 1, LIMIT + LIMIT / 16);
	}
	fixture_check(cache);
	free(key);
	vmemcache_delete(cache);
}

static void
never(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)arg;
	fail_msg("%s", "an eviction in vain");
}

static void
test_refused(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_NONE);
	uint64_t key = 0;

	(void)state;
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	while (fixture_put(cache, key, 1, 8) == 0)
		key++;
	assert_fails(fixture_put(cache, key, 1, 8), ENOSPC);
	assert_in_range(
		metadata_of(cache), LIMIT - LIMIT / 8, LIMIT + LIMIT / 64);
	assert_int_equal(
		statistics_of(cache)
			.stores[VMEMCACHE_ADD][VMEMCACHE_OUTCOME_NO_SPACE],
		2);
	assert_true(fixture_has(cache, 0, 1, 8));
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(fixture_evict(cache, i), 0);
	assert_int_equal(fixture_put(cache, key, 1, 8), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_pinned(void **state)
{
	static struct vmemcache_item items[8192];
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t count = 0;

	(void)state;
	vmemcache_callback_on_evict(cache, never, NULL);
	for (; count < 8192; count++) {
		assert_int_equal(fixture_put(cache, count, 1, 8), 0);
		assert_int_equal(vmemcache_pin(cache, &count, sizeof(count), 0,
					 &items[count]),
			0);
	}
	assert_int_equal(
		vmemcache_set_metadata_limit(cache, metadata_of(cache) / 2), 0);
	assert_fails(fixture_put(cache, count, 1, 8), ENOSPC);
	assert_fails(
		vmemcache_put(cache, &count, sizeof(count), "", 0), ENOSPC);
	vmemcache_callback_on_evict(cache, NULL, NULL);
	for (uint64_t i = 0; i < count; i++)
		vmemcache_unpin(cache, &items[i]);
	assert_int_equal(fixture_put(cache, count, 1, 8), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* A store over what is there, and a value made in place, are limited as well */
static void
test_stores(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();
	struct vmemcache_item item;

	(void)state;
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	for (uint64_t i = testing_operations(100000); i > 0; i--) {
		uint64_t key = testing_below(&random, 20000);
		if (i % 2) {
			assert_int_equal(
				vmemcache_store(cache, &key, sizeof(key), "x",
					1, NULL, NULL),
				0);
		} else {
			assert_int_equal(vmemcache_reserve(cache, &key,
						 sizeof(key), 1, NULL, &item),
				0);
			assert_int_equal(
				vmemcache_commit(cache, &item, 1, NULL), 0);
		}
		assert_in_range(metadata_of(cache), 1, LIMIT);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_told(void **state)
{
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	char text[16384];

	(void)state;
	assert_fails(vmemcache_set_metadata_limit(NULL, LIMIT), EINVAL);
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(statistics_of(cache).metadata_limit_bytes, LIMIT);
	assert_true(vmemcache_format_statistics(cache, VMEMCACHE_FORMAT_JSON,
			    text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "\"metadata_limit_bytes\":524288"));
	assert_true(
		vmemcache_format_statistics(cache, VMEMCACHE_FORMAT_PROMETHEUS,
			text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "metadata_limit_bytes"));
	vmemcache_delete(cache);
}

#define THREADS 8

struct crew {
	VMEMcache *cache;
	_Atomic unsigned next;
	_Atomic bool ends;
	uint64_t operations;
};

static void *
put_and_get(void *arg)
{
	struct crew *crew = arg;
	unsigned number = vmc_fetch_add_relaxed(&crew->next, 1);
	uint64_t random = testing_seed() + number;
	char value[64] = {0};

	for (uint64_t i = 0; i < crew->operations; i++) {
		uint64_t key = testing_below(&random, 40000);
		size_t size = testing_below(&random, sizeof(value));
		int rc = i % 4 == 0
				 ? vmemcache_store(crew->cache, &key,
					   sizeof(key), value, size, NULL, NULL)
				 : vmemcache_put(crew->cache, &key, sizeof(key),
					   value, size);
		testing_expect(rc == 0 || errno == EEXIST);
		if (i % 16 == 0)
			(void)vmemcache_evict(crew->cache, &key, sizeof(key));
		(void)vmemcache_get(crew->cache, &key, sizeof(key), value,
			sizeof(value), 0, NULL);
	}
	return NULL;
}

/* The limit comes, goes and changes; then it is kept to, with nobody idle. */
static void *
change_limit(void *arg)
{
	struct crew *crew = arg;
	uint64_t random = testing_seed() ^ 1;

	while (!vmc_load_acquire(&crew->ends)) {
		uint64_t limit = testing_below(&random, 4) * LIMIT;
		testing_expect(
			vmemcache_set_metadata_limit(crew->cache, limit) == 0);
	}
	return NULL;
}

static void
run_crew(struct crew *crew)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, put_and_get, crew),
			0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void
test_threads(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(POOL, 0, policies[i]);
		struct crew crew = {.cache = cache,
			.operations = testing_operations(20000)};
		pthread_t changer;

		assert_int_equal(
			pthread_create(&changer, NULL, change_limit, &crew), 0);
		run_crew(&crew);
		vmc_store_release(&crew.ends, true);
		pthread_join(changer, NULL);
		assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
		run_crew(&crew);
		assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
		assert_in_range(metadata_of(cache), 1, LIMIT);
		fixture_check(cache);
		while (vmemcache_evict(cache, NULL, 0) == 0)
			;
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_to),
		cmocka_unit_test(test_lowered),
		cmocka_unit_test(test_large_keys),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
