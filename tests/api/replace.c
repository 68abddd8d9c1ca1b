/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replace.c -- what other threads see of a replacement: one value or the other
 */
#include "items.h"

#include <pthread.h>
#include <sched.h>

enum { WRITERS = 2, READERS = 2, KEYS = 4, LARGEST = 20000 };

static struct {
	VMEMcache *cache;
	_Atomic int writing;
	unsigned rounds;
	uint64_t seed;
} shared;

static void *
write_all(void *arg)
{
	uint64_t random = shared.seed + (uintptr_t)arg;
	struct vmemcache_store replace = items_mode(VMEMCACHE_REPLACE);

	for (unsigned i = 1; i <= shared.rounds; i++) {
		uint64_t key = testing_below(&random, KEYS);
		size_t size = 8 + testing_below(&random, 4) * (LARGEST / 4);
		testing_expect(items_store(shared.cache, key, i, size,
				       i % 2 ? &replace : NULL, NULL) == 0);
	}
	vmc_fetch_sub_acq_rel(&shared.writing, 1);
	return NULL;
}

static void *
read_all(void *arg)
{
	uint64_t random = shared.seed + 100 + (uintptr_t)arg;
	char *buffer = malloc(LARGEST);

	while (vmc_load_acquire(&shared.writing) > 0) {
		uint64_t key = testing_below(&random, KEYS);
		struct vmemcache_info info = {.struct_size = sizeof(info)};
		uint64_t version;
		ssize_t n = vmemcache_fetch(shared.cache, &key, sizeof(key),
			buffer, LARGEST, 0, 0, &info);
		testing_expect(
			n >= 8 && (size_t)n == info.value_size &&
			value_decode(buffer, (size_t)n, 0, key, &version));
		testing_expect(fixture_exists(shared.cache, key) == 1);
		sched_yield();
	}
	free(buffer);
	return NULL;
}

static void
test_readers_never_miss(void **state)
{
	pthread_t threads[WRITERS + READERS];

	(void)state;
	shared.cache = items_open();
	shared.seed = testing_seed();
	shared.rounds = RUNNING_ON_VALGRIND ? 200 : 5000;
	vmc_store_relaxed(&shared.writing, WRITERS);
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(shared.cache, key, 1, 100), 0);
	for (uintptr_t i = 0; i < WRITERS + READERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL,
				i < WRITERS ? write_all : read_all, (void *)i),
			0);
	for (int i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(fixture_stat(shared.cache, VMEMCACHE_STAT_EVICT), 0);
	assert_int_equal(
		fixture_stat(shared.cache, VMEMCACHE_STAT_ENTRIES), KEYS);
	fixture_check(shared.cache);
	vmemcache_delete(shared.cache);
}

/* Each adds to a number that all have: no addition is lost. */
static void *
count_up(void *arg)
{
	uint64_t key = 1;

	(void)arg;
	for (unsigned i = 0; i < shared.rounds; i++) {
		for (;;) {
			struct vmemcache_info info = {
				.struct_size = sizeof(info)};
			uint64_t number;
			testing_expect(
				vmemcache_fetch(shared.cache, &key, sizeof(key),
					&number, sizeof(number), 0, 0,
					&info) == sizeof(number));
			struct vmemcache_store how =
				items_if_version(info.version);
			number++;
			if (vmemcache_store(shared.cache, &key, sizeof(key),
				    &number, sizeof(number), &how, NULL) == 0)
				break;
			testing_expect(errno == ESTALE);
		}
	}
	return NULL;
}

static void
test_counter_by_versions(void **state)
{
	pthread_t threads[WRITERS + READERS];
	uint64_t key = 1, number = 0;

	(void)state;
	shared.cache = items_open();
	shared.rounds = RUNNING_ON_VALGRIND ? 100 : 2000;
	assert_int_equal(vmemcache_put(shared.cache, &key, sizeof(key), &number,
				 sizeof(number)),
		0);
	for (uintptr_t i = 0; i < WRITERS + READERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count_up, NULL), 0);
	for (int i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(vmemcache_get(shared.cache, &key, sizeof(key), &number,
				 sizeof(number), 0, NULL),
		sizeof(number));
	assert_int_equal(number, shared.rounds * (WRITERS + READERS));
	fixture_check(shared.cache);
	vmemcache_delete(shared.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_never_miss),
		cmocka_unit_test(test_counter_by_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
