/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * before_constructors.c -- kinds and a cache are used by threads before the
 * library's own constructors have run, and after its destructors
 *
 * A kind divided by zero, memkind_check_available() answered for another kind,
 * and vmemcache_add() said that there is no memory. Threads that were new at
 * the end were told the same by every call.
 */
#include "fixture.h"

#include "memkind.h"
#include "memkind/malloc.h"

#include <pthread.h>
#include <unistd.h>

static int refused, available, cached;
static void *object;

static void *
use_kinds(void *unused)
{
	(void)unused;
	for (size_t size = 1; size < 100000; size *= 3) {
		void *ptr = vmc_memkind_malloc(MEMKIND_REGULAR, size);
		testing_expect(ptr != NULL);
		memset(ptr, 1, size);
		vmc_memkind_free(size % 2 ? MEMKIND_REGULAR : NULL, ptr);
	}
	return NULL;
}

static bool
use_cache(void)
{
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	bool used = vmemcache_add(cache, FIXTURE_DIR) == 0 &&
		    fixture_put(cache, 1, 1, 100) == 0 &&
		    fixture_has(cache, 1, 1, 100);

	vmemcache_delete(cache);
	return used;
}

static void *
use_all(void *unused)
{
	use_kinds(unused);
	return use_cache() ? unused : NULL;
}

/* Other constructors have the default priority, which is later. */
static __attribute__((constructor(101))) void
first_of_all(void)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		testing_expect(pthread_create(&threads[i], NULL, use_kinds,
				       NULL) == 0);
	refused = memkind_check_available(MEMKIND_HBW_ALL);
	available = memkind_check_available(MEMKIND_REGULAR);
	object = vmc_memkind_malloc(MEMKIND_REGULAR, 1000);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	cached = use_cache();
}

/* Other destructors are run before. */
static __attribute__((destructor(101))) void
last_of_all(void)
{
	static char used;
	pthread_t thread;
	void *result = NULL;

	if (pthread_create(&thread, NULL, use_all, &used) != 0 ||
		pthread_join(thread, &result) != 0 || result != &used ||
		testing_failures > 0)
		_exit(EXIT_FAILURE);
}

static void
test_before_constructors(void **state)
{
	(void)state;
	assert_int_equal(refused, memkind_check_available(MEMKIND_HBW_ALL));
	assert_int_equal(available, memkind_check_available(MEMKIND_REGULAR));
	assert_int_equal(available, 0);
	assert_non_null(object);
	assert_ptr_equal(memkind_detect_kind(object), MEMKIND_REGULAR);
	vmc_memkind_free(NULL, object);
	assert_true(cached);
	assert_int_equal(testing_failures, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_constructors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
