/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * row_numbers_run_out.c -- the policy has numbers for so many rows: when they
 * were all in use, which billions of entries take, every put failed (ENOMEM)
 *
 * Here it has one group of them, and room in the pool for many more entries.
 */
#define VMC_ROWS_GROUPS_MAX 1

#include "policy/rows.c"

#include "fixture.h"

/* In rows, and what is used again and again beside them. */
enum { MOST = VMC_ROWS_GROUP * VMC_POLICY_ROW + VMC_POLICY_HOT_SLOTS };

static void
test_as_if_the_pool_were_full(void **state)
{
	VMEMcache *cache = fixture_open(32 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();
	uint64_t key = 0;

	(void)state;
	for (; key < 2 * MOST; key++) {
		assert_int_equal(fixture_put(cache, key, 1, 256), 0);
		if (key > 0) /* rows that are not full */
			fixture_has(cache, testing_below(&random, key), 1, 256);
	}
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES) <= MOST);
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES) > MOST / 12);
	for (uint64_t i = 1; i <= 1000; i++)
		assert_true(fixture_has(cache, key - i, 1, 256));
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_if_the_pool_were_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
