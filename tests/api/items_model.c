/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items_model.c -- random operations of all calls on items, and a model in
 * plain C (items_model.h) that must agree at every step: results, values,
 * versions, times to live, statistics
 */
#include "items_model_calls.h"

static void
run(size_t extent, size_t largest, enum vmemcache_repl_p policy, enum told told,
	uint64_t steps)
{
	struct model *m = calloc(1, sizeof(*m));

	m->told = told;
	m->policy = policy;
	m->extent = extent;
	m->largest = largest;
	m->random = testing_seed() ^ extent << 32 ^ largest ^
		    (unsigned)policy << 8 ^ told;
	model_open(m);
	for (uint64_t i = 0; i < steps; i++)
		model_run(m, i);
	model_close(m);
	free(m);
}

static void
run_all(enum vmemcache_repl_p policy, enum told told)
{
	static const size_t extents[] = {256, 300, 4097};

	for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]); i++)
		for (size_t part = 10; part <= 160; part *= 4)
			run(extents[i], VMEMCACHE_MIN_POOL / part, policy, told,
				testing_operations(2000));
}

static void
test_lru(void **state)
{
	(void)state;
	run_all(VMEMCACHE_REPLACEMENT_LRU, BY_REMOVE);
	run_all(VMEMCACHE_REPLACEMENT_LRU, BY_EVICT);
}

static void
test_policies_that_count(void **state)
{
	(void)state;
	run_all(VMEMCACHE_REPLACEMENT_SIEVE, BY_REMOVE);
	run_all(VMEMCACHE_REPLACEMENT_S3FIFO, BY_REMOVE);
	run_all(VMEMCACHE_REPLACEMENT_ADAPTIVE, BY_EVICT);
}

static void
test_none(void **state)
{
	(void)state;
	run_all(VMEMCACHE_REPLACEMENT_NONE, BY_REMOVE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_policies_that_count),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
