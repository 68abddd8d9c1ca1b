/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c -- the memory of a process: what is no longer in use goes back to
 * the system, and threads that have gone keep little
 *
 * Not where the metadata comes from another malloc (memkind/malloc.c).
 */
#include "fixture.h"
#include "process.h"

#include <pthread.h>
#include <sys/prctl.h>

static bool
is_ours(void)
{
#ifdef VMC_TESTING_SANITIZED
	return false;
#else
	return !RUNNING_ON_VALGRIND;
#endif
}

static void
put_entries(VMEMcache *cache, uint64_t count)
{
	char key[100] = {0};

	for (uint64_t i = 0; i < count; i++) {
		memcpy(key, &i, sizeof(i));
		assert_int_equal(
			vmemcache_put(cache, key, sizeof(key), "v", 1), 0);
	}
}

/*
 * Without huge pages: in ranges that are to have them, the kernel's khugepaged
 * now and then puts a huge page where one small page is left, so that memory
 * which was given back returns. A test that took long enough met it.
 */
static void
test_goes_back(void **state)
{
	enum { ENTRIES = 250000, SPARE = 12 << 20 };

	(void)state;
	if (!is_ours())
		skip();
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	for (int evict = 0; evict < 2; evict++) {
		VMEMcache *cache =
			fixture_open(80 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
		size_t before = process_status_size("RssAnon");
		put_entries(cache, ENTRIES);
		assert_true(process_status_size("RssAnon") >
			    before + ENTRIES * 100);
		while (evict && vmemcache_evict(cache, NULL, 0) == 0)
			;
		if (evict)
			assert_true(process_status_size("RssAnon") <
				    before + SPARE);
		vmemcache_delete(cache);
		assert_true(process_status_size("RssAnon") < before + SPARE);
	}
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

enum { CACHES = 3, AT_ONCE = 8 };

static _Atomic uint64_t next_key;

static void *
put_some(void *arg)
{
	VMEMcache **caches = arg;

	for (int i = 0; i < 30 * CACHES; i++)
		testing_expect(fixture_put(caches[i % CACHES],
				       vmc_fetch_add_relaxed(&next_key, 1), 1,
				       256) == 0);
	return NULL;
}

static void
test_threads_that_have_gone(void **state)
{
	VMEMcache *caches[CACHES];
	pthread_t threads[AT_ONCE];
	size_t before = process_status_size("RssAnon");

	(void)state;
	if (!is_ours())
		skip();
	for (int i = 0; i < CACHES; i++)
		caches[i] = fixture_open(2 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	for (int round = 0; round < 250; round++) {
		for (int i = 0; i < AT_ONCE; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
						 put_some, caches),
				0);
		for (int i = 0; i < AT_ONCE; i++)
			pthread_join(threads[i], NULL);
	}
	assert_int_equal(testing_failures, 0);
	assert_true(process_status_size("RssAnon") < before + (10 << 20));
	for (int i = 0; i < CACHES; i++) {
		fixture_check(caches[i]);
		vmemcache_delete(caches[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_back),
		cmocka_unit_test(test_threads_that_have_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
