/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * histories.c -- what several threads see of one cache is linearizable
 *
 * What that means here: workload.c and checker.h. The caches are so small that
 * most puts evict, and blocks change hands at once.
 * VMC_TEST_OPERATIONS is the number of rounds for each cache.
 */
#include "testing.h"
#include "workload.h"

#ifndef ROUNDS
#define ROUNDS 400
#endif
#ifdef VMC_TESTING_SANITIZED
#define SLOWER 8
#else
#define SLOWER 1
#endif

#define SMALL .sizes = {0, 7, 100, 200, 500, 1000, 2000, 3000}
#define LARGE .sizes = {0, 7, 100, 3000, 20000, 70000, 150000, 300000}

static const struct workload workloads[] = {
	{"four blocks", VMEMCACHE_REPLACEMENT_LRU, 1 << 18, 6, 4, false, false,
		false, SMALL},
	{"four blocks, on_evict", VMEMCACHE_REPLACEMENT_LRU, 1 << 18, 6, 4,
		true, false, false, SMALL},
	{"four blocks, on_evict and on_miss", VMEMCACHE_REPLACEMENT_LRU,
		1 << 18, 6, 4, true, true, false, SMALL},
	{"one block", VMEMCACHE_REPLACEMENT_LRU, 1 << 20, 2, 3, true, true,
		false, SMALL},
	{"values of several runs", VMEMCACHE_REPLACEMENT_LRU, 1 << 14, 12, 3,
		true, true, false, LARGE},
	{"values of several runs, on_miss", VMEMCACHE_REPLACEMENT_LRU, 1 << 14,
		12, 3, false, true, false, LARGE},
	{"room for all", VMEMCACHE_REPLACEMENT_LRU, 1 << 16, 5, 4, false, false,
		true, SMALL},
	{"SIEVE, on_evict and on_miss", VMEMCACHE_REPLACEMENT_SIEVE, 1 << 18, 6,
		4, true, true, false, SMALL},
	{"S3-FIFO, on_evict and on_miss", VMEMCACHE_REPLACEMENT_S3FIFO, 1 << 18,
		6, 4, true, true, false, SMALL},
	{"no policy", VMEMCACHE_REPLACEMENT_NONE, 1 << 18, 6, 4, false, false,
		false, SMALL},
	{"no policy, on_evict and on_miss", VMEMCACHE_REPLACEMENT_NONE, 1 << 18,
		6, 4, true, true, false, SMALL},
	{"no policy, values of several runs", VMEMCACHE_REPLACEMENT_NONE,
		1 << 14, 12, 3, false, false, false, LARGE},
	{"spaces", VMEMCACHE_REPLACEMENT_LRU, 1 << 18, 2, 4, false, false,
		false, SMALL, .spaces = 2, .wipes = true},
	{"spaces, ordered, on_miss", VMEMCACHE_REPLACEMENT_LRU, 1 << 18, 2, 4,
		false, true, false, SMALL, .spaces = 1, .wipes = true,
		.ordered = true},
	{"spaces, no policy", VMEMCACHE_REPLACEMENT_NONE, 1 << 18, 2, 4, false,
		false, false, SMALL, .spaces = 2, .wipes = true},
	{"spaces and resizing, S3-FIFO", VMEMCACHE_REPLACEMENT_S3FIFO, 1 << 16,
		2, 4, false, false, false, LARGE, .spaces = 2, .wipes = true,
		.resizes = true},
	{"resizing, on_evict and on_miss", VMEMCACHE_REPLACEMENT_LRU, 1 << 16,
		6, 4, true, true, false, LARGE, .resizes = true},
	{"spaces and resizing, room for all", VMEMCACHE_REPLACEMENT_LRU,
		1 << 14, 2, 4, false, false, true, SMALL, .spaces = 2,
		.wipes = true, .resizes = true, .ordered = true},
};

static void
test_histories(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++) {
		print_message("%s\n", workloads[i].name);
		assert_true(workload_run(&workloads[i], testing_seed() + i,
			testing_operations(ROUNDS / SLOWER)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
