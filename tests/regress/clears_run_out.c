/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clears_run_out.c -- where something was left of as many clears as are told
 * apart, all of it in the hands of evictors, no later clear took constant time
 */
#include "fixture.h"

#include "space.h"

enum { ENTRIES = 100 };

static unsigned depth;

static struct vmc_stripe *
own_stripe(VMEMcache *cache)
{
	return vmc_stripe_of(&cache->stripes, vmc_thread_self());
}

static void
fill(VMEMcache *cache)
{
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_int_equal(fixture_put(cache, key, 1, 1), 0);
}

/* vmemcache_on_evict */
static void
clear_and_evict_another(
	VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)key;
	(void)key_size;
	(void)arg;
	assert_int_equal(vmemcache_clear(cache), 0);
	if (++depth < VMC_CLEARED_MAX) {
		fill(cache);
		fixture_evict(cache, 0);
		return;
	}
	/* all but what is being evicted */
	while (vmc_share_reclaim(cache, own_stripe(cache)) == 0)
		;
	assert_false(vmc_share_may_reclaim(cache));
}

static void
test_clears_after_that(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	vmemcache_callback_on_evict(cache, clear_and_evict_another, NULL);
	fill(cache);
	fixture_evict(cache, 0);
	assert_int_equal(depth, VMC_CLEARED_MAX);

	vmemcache_callback_on_evict(cache, NULL, NULL);
	fill(cache);
	assert_true(vmc_clear_own(cache, own_stripe(cache)));
	assert_int_equal(fixture_exists(cache, 0), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clears_after_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
