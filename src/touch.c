/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * touch.c -- from the rings to the policy
 *
 * Every get and every put leaves a touch in its thread's ring; whoever holds
 * the policy's lock takes them out. Insertions are never lost: the put waits
 * for the lock where its ring is full. Touches of gets are, if the lock is busy
 * while the ring is full. One thread alone never loses any: LRU is exact for
 * it.
 *
 * Where several threads get what is in a large cache, bringing each entry to
 * the front each time costs them more than the gets: its line and those of the
 * order go from one processor to the other. So a touch is left out if the entry
 * has been touched in the same generation, of which there are 16 while as many
 * entries are put as there are: an entry that was got is evicted after 15/16 as
 * many puts as if it had been brought to the front each time, or later. Gets
 * that find the same entries again and again write nothing but their own
 * counters then. An entry is in a generation from when its touch is fed. A
 * thread that alone uses the cache has no generations: at once if it is the
 * only one, and else when it has fed 2048 touches.
 */
#include "cache.h"

/* Entries from which on it is done, and the part of them in a generation. */
#define GENERATIONS_FROM 4096
#define GENERATIONS 16

/* Batches after which a thread that alone has fed them counts as alone. */
#define ALONE_AFTER 64

/* A batch from that ring, in which so many were new, under the lock. */
static void
choose_generation(
	struct vmemcache *cache, const struct vmc_ring *ring, unsigned inserted)
{
	uint64_t nodes = vmc_load_relaxed(&cache->policy->nodes);
	uint16_t generation = VMC_NO_GENERATION;

	if (ring == cache->feeder) {
		cache->fed_alone += cache->fed_alone < ALONE_AFTER;
	} else {
		cache->fed_alone = cache->feeder ? 0 : ALONE_AFTER;
		cache->feeder = ring;
	}
	cache->inserted += inserted;
	if (nodes >= GENERATIONS_FROM && cache->fed_alone < ALONE_AFTER) {
		if (cache->inserted >= nodes / GENERATIONS) {
			cache->inserted = 0;
			cache->last_generation++;
			/* new entries have 0 */
			if (cache->last_generation == 0)
				cache->last_generation = 1;
		}
		generation = cache->last_generation;
	}
	if (vmc_load_relaxed(&cache->generation) != generation)
		vmc_store_relaxed(&cache->generation, generation);
}

/*
 * Those that are on their way out are not fed. Where a node is is read before
 * its state: if it is the evictor's by then, the state tells.
 */
void
vmc_cache_drain(struct vmemcache *cache, struct vmc_ring *ring)
{
	struct vmc_policy_node *nodes[VMC_DRAIN_AT];
	uint32_t ats[VMC_DRAIN_AT];
	unsigned taken;

	while ((taken = vmc_ring_take(ring, nodes, VMC_DRAIN_AT)) > 0) {
		uint8_t generation =
			(uint8_t)vmc_load_relaxed(&cache->generation);
		unsigned kept = 0, inserted = 0;
		for (unsigned i = 0; i < taken; i++) {
			struct vmc_entry *e = vmc_entry_of(nodes[i]);
			nodes[kept] = nodes[i];
			ats[kept] = vmc_load_acquire(&nodes[i]->at);
			inserted += ats[kept] == 0;
			if (vmc_load_acquire(&e->state) > VMC_ENTRY_LIVE)
				continue;
			if (generation != 0)
				vmc_store_relaxed(&e->generation, generation);
			kept++;
		}
		cache->policy->ops->touch(cache->policy, nodes, ats, kept);
		choose_generation(cache, ring, inserted);
	}
}

/*
 * Rows of the policy's for what a thread may have in its ring, and one more put
 * after that failed; and for what is recalled from its reserve.
 */
#define STOCK (VMC_RING_SIZE / VMC_POLICY_ROW + 1 + VMC_RESERVE_ROWS + 1)

int
vmc_cache_release_policy(struct vmemcache *cache)
{
	unsigned count = vmc_load_relaxed(&cache->stripes.count);
	int rc = cache->policy->ops->stock(cache->policy, count * STOCK);

	if (rc)
		count = 0;
	if (vmc_load_relaxed(&cache->stocked_for) != count)
		vmc_store_relaxed(&cache->stocked_for, count);
	vmc_lock_release(&cache->policy_lock);
	return rc;
}

int
vmc_cache_stock(struct vmemcache *cache)
{
	if (vmc_cache_is_stocked(cache))
		return 0;
	vmc_lock_acquire(&cache->policy_lock);
	return vmc_cache_release_policy(cache);
}

void
vmc_cache_feed(struct vmemcache *cache, struct vmc_ring *ring, bool wait)
{
	if (wait)
		vmc_lock_acquire(&cache->policy_lock);
	else if (!vmc_lock_try(&cache->policy_lock))
		return;
	vmc_cache_drain(cache, ring);
	vmc_cache_release_policy(cache);
}

void
vmc_cache_drain_all(struct vmemcache *cache)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_next(&cache->stripes, s)) != NULL;)
		vmc_cache_drain(cache, &s->ring);
}
