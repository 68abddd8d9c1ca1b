/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * no_memory_and_no_barrier.c -- retiring without the memory to note it waits
 * for the readers; where the system refused membarrier(2) too, for ever
 *
 * Found by letting every call fail from some point on.
 */
#include "fault.h"
#include "fixture.h"

#include <limits.h>

static void
evicting_does_not_hang(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	for (uint64_t key = 0; key < 10; key++)
		assert_int_equal(fixture_put(cache, key, 1, 1000), 0);
	fault_arm(NULL, 0, LONG_MAX, 0);
	for (uint64_t key = 0; key < 10; key++)
		assert_int_equal(fixture_evict(cache, key), 0);
	assert_true(fault_disarm() > 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* What cannot be noted is lost; that it is no more is said in limbo.c. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evicting_does_not_hang),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
