/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rings.c -- rings that are full, because another thread keeps the policy's
 * lock: gets go on, and a put is not forgotten
 */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>

enum { KEYS = VMC_RING_SIZE + 100 };

static void *
put_all(void *arg)
{
	for (uint64_t key = 0; key < KEYS; key++)
		testing_expect(fixture_put(arg, key, 1, 256) == 0);
	return NULL;
}

static unsigned
pending_of_others(VMEMcache *cache)
{
	unsigned pending = 0;

	for (unsigned slot = 0; slot < vmc_thread_slots(); slot++) {
		struct vmc_stripe *s = vmc_stripe_at(&cache->stripes, slot);
		if (s && slot != vmc_thread_self()->slot)
			pending += vmc_load_acquire(&s->ring.tail) -
				   vmc_load_acquire(&s->ring.head);
	}
	return pending;
}

static void
test_full_rings(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	pthread_t putter;

	(void)state;
	pthread_mutex_lock(&cache->policy_lock.mutex);
	assert_int_equal(pthread_create(&putter, NULL, put_all, cache), 0);
	while (pending_of_others(cache) < VMC_RING_SIZE)
		sched_yield();
	/* what is put is there; touches that find no room are lost */
	for (unsigned i = 0; i < 2 * VMC_RING_SIZE; i++)
		assert_true(
			fixture_has(cache, i % (VMC_RING_SIZE - 1), 1, 256));
	pthread_mutex_unlock(&cache->policy_lock.mutex);
	pthread_join(putter, NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), KEYS);
	fixture_check(cache);
	for (unsigned i = 0; i < KEYS; i++)
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
