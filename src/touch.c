/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * touch.c -- from the rings to the policy
 *
 * Every get and every put leaves a touch in its thread's ring; whoever holds
 * the policy's lock takes them out. Insertions are never lost: the put waits
 * for the lock where its ring is full. Touches of gets are, if the lock is busy
 * while the ring is full. One thread alone never loses any: LRU is exact for
 * it.
 */
#include "cache.h"

/*
 * Is a drained touch to be fed to the policy? Not if the entry is on its way
 * out. What is reserved is taken from there, if it still is. The mark of the
 * reserve is looked for first: where it is gone through a claim, the state
 * tells. Under the policy's lock.
 */
static bool
keep_touch(struct vmc_policy_node *node)
{
	vmc_reserve_slot *slot = vmc_reserve_slot_of(node);

	if (vmc_load_acquire(&vmc_entry_of(node)->state) > VMC_ENTRY_LIVE)
		return false;
	return !slot || vmc_reserve_withdraw(slot, node);
}

void
vmc_cache_drain(struct vmemcache *cache, struct vmc_ring *ring)
{
	struct vmc_policy_node *nodes[VMC_DRAIN_AT];
	unsigned taken;

	while ((taken = vmc_ring_take(ring, nodes, VMC_DRAIN_AT)) > 0) {
		unsigned kept = 0;
		for (unsigned i = 0; i < taken; i++) {
			struct vmc_policy_node *node = nodes[i];
			nodes[kept] = node;
			kept += keep_touch(node);
		}
		cache->policy->ops->touch(cache->policy, nodes, kept);
	}
}

void
vmc_cache_feed(struct vmemcache *cache, struct vmc_ring *ring, bool wait)
{
	if (wait)
		vmc_lock_acquire(&cache->policy_lock);
	else if (!vmc_lock_try(&cache->policy_lock))
		return;
	vmc_cache_drain(cache, ring);
	vmc_lock_release(&cache->policy_lock);
}

void
vmc_cache_drain_all(struct vmemcache *cache)
{
	unsigned slots = vmc_thread_slots();

	for (unsigned slot = 0; slot < slots; slot++) {
		struct vmc_stripe *s = vmc_stripe_at(&cache->stripes, slot);
		if (s)
			vmc_cache_drain(cache, &s->ring);
	}
}
