/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads.c -- a thread that cannot have a record or a stripe, and a process
 * that cannot have membarrier(2)
 */
#include "fault.h"
#include "fixture.h"

#include "base/epoch.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS 100

/* All calls in a thread that is new to everything. */
static void *
all_refused(void *arg)
{
	VMEMcache *cache = arg;
	uint64_t key = 1;
	char value[100];
	struct vmemcache_request request = {.key = &key,
		.key_size = sizeof(key),
		.vbuf = value,
		.vbufsize = sizeof(value)};
	long long results[] = {
		vmemcache_put(cache, "new", 3, "value", 5),
		vmemcache_get(cache, &key, sizeof(key), value, 100, 0, NULL),
		vmemcache_get_many(cache, &request, 1),
		vmemcache_exists(cache, &key, sizeof(key), NULL),
		vmemcache_evict(cache, &key, sizeof(key)),
		vmemcache_evict(cache, NULL, 0),
	};

	testing_expect(errno == ENOMEM);
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		testing_expect(results[i] == -1);
	return NULL;
}

/* Each says so; to the others the cache is as before. */
static void
test_thread_without_record(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	pthread_t thread;

	(void)state;
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(cache, key, 1, 100), 0);
	fault_arm("pthread_setspecific", 0, 1000000, ENOMEM);
	assert_int_equal(pthread_create(&thread, NULL, all_refused, cache), 0);
	pthread_join(thread, NULL);
	assert_true(fault_disarm() >= 6);
	assert_int_equal(testing_failures, 0);

	fixture_check(cache);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), KEYS);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void *
use(void *arg)
{
	VMEMcache *cache = arg;

	for (uint64_t key = 0; key < 5000; key++) {
		fixture_put(cache, key, 1, 500);
		char value[500];
		ssize_t n = vmemcache_get(cache, &key, sizeof(key), value,
			sizeof(value), 0, NULL);
		testing_expect(n < 0 || value_is(value, 500, 0, key, 1));
	}
	return NULL;
}

/* Readers then fence each time they enter; memory is freed all the same. */
static void
test_no_membarrier(void **state)
{
	int status;

	(void)state;
	fault_arm("membarrier", 0, 1000000, EPERM);
	pid_t child = fork();
	if (child == 0) {
		VMEMcache *cache =
			fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		pthread_t threads[2];
		testing_expect(vmc_epoch_readers_fence);
		for (int i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, use, cache);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		testing_expect(vmc_cache_check(cache) == 0);
		while (vmemcache_evict(cache, NULL, 0) == 0)
			;
		fixture_check_empty(cache);
		vmemcache_delete(cache);
		_exit(testing_failures != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	fault_disarm();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread_without_record),
		cmocka_unit_test(test_no_membarrier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
