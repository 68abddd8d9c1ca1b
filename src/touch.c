/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * touch.c -- passing access records (touches) from the rings to the policy
 *
 * Every get and every put leaves a touch in its thread's ring; a thread that
 * holds the policy's lock takes the touches out. Touches of puts are never
 * lost: if the ring is full, the put waits for the lock. Touches of gets are
 * lost if the ring is full and the lock is taken. A thread that alone uses the
 * cache loses none: LRU is exact for it.
 *
 * If the policy counts uses (policy/queues.c), a get only counts one in the
 * entry: only puts leave touches, and the rest of this comment does not apply.
 *
 * If several threads get the same entries, bringing an entry to the front each
 * time costs more than the get: its cache line, and those of the order, move
 * from one processor to the other. So time is divided into generations: one
 * ends when entries/16 insertions were made. Within a generation only the first
 * get of an entry is recorded; gets of entries that are used again and again
 * write nothing but their own counters. In return an entry that is read may be
 * evicted early: after 15/16 of the insertions that exact LRU would allow, not
 * before. (The puts of a batch are of one generation, too.) The generation of
 * an entry is that in which its touch was passed to the policy.
 *
 * A thread that alone uses the cache leaves out nothing, and its order is
 * exact: at once if there has been no other thread, else after some 3,000 hits
 * without a call of another thread. It is the cache's sole user then, until
 * another thread calls. Its touches carry ticks of the policy's clock. For an
 * entry in the hot set a touch is only a stamp there (lru/hot.c): no ring, no
 * lock. Touches in its ring carry ticks as well, by which the policy orders
 * them. Only the sole user writes the clock and the stamps without the lock; it
 * checks each time that it is still the sole user. For a moment two threads may
 * take themselves for it, while the former one has not yet seen the change:
 * then two uses have the same tick, or the clock goes back a little. If several
 * threads use the cache at the same time, no exact order is promised, and
 * nothing else depends on it: hot.c and take_hot() in lru.c say how they treat
 * such stamps. A thread that gets the stripe of a sole user that has ended
 * becomes the sole user: no other thread has called since.
 */
#include "cache.h"
#include "space.h"

/* Parts of the entries that there are, of which as many are put in one. */
#define GENERATIONS 16

/* How often in turn nobody else is seen before a thread counts as the only. */
#define UNSEEN 2
/* Among more threads nobody looks. */
#define LOOK_AT_SLOTS 64

/* So many were new in a batch, under the lock. */
static void
choose_generation(struct vmemcache *cache, unsigned inserted)
{
	uint8_t next = vmc_load_relaxed(&cache->generation) + 1;

	bool shared = vmc_spaces_are_active(cache);
	uint64_t nodes = shared ? cache->generation_nodes
				: vmc_load_relaxed(&cache->policy->nodes);

	cache->inserted += inserted;
	if (cache->inserted == 0 || cache->inserted < nodes / GENERATIONS)
		return;
	cache->inserted = 0;
	/* of all policies, as of now */
	if (shared)
		cache->generation_nodes =
			vmc_index_count(cache->index) +
			vmc_index_count(
				vmc_load_acquire(&cache->spaces)->index);
	/* new entries have 0 */
	vmc_store_relaxed(&cache->generation, next ? next : 1);
}

/* Touches of one batch. */
struct batch {
	struct vmc_policy_node *nodes[VMC_DRAIN_AT];
	uint32_t ats[VMC_DRAIN_AT];
	uint64_t words[VMC_DRAIN_AT];
	unsigned count;
};

/* Are both of one era, or both the cache's own? */
static inline bool
are_of_one(const struct vmc_entry *a, const struct vmc_entry *b)
{
	if (vmc_entry_is_marked(a))
		return vmc_entry_is_marked(b) &&
		       vmc_entry_era_id(a) == vmc_entry_era_id(b);
	return !vmc_entry_is_marked(b);
}

/*
 * Where there are spaces: those that follow each other and are of one policy go
 * to it together. Policies of spaces settle after each.
 */
static __attribute__((noinline)) void
pass_by_era(struct vmemcache *cache, const struct batch *b)
{
	unsigned end;

	for (unsigned i = 0; i < b->count; i = end) {
		const struct vmc_entry *e = vmc_entry_of(b->nodes[i]);
		struct vmc_era *era =
			vmc_entry_is_marked(e) ? vmc_era_of(cache, e) : NULL;
		struct vmc_policy *policy = era ? era->policy : cache->policy;
		for (end = i + 1; end < b->count; end++)
			if (!are_of_one(e, vmc_entry_of(b->nodes[end])))
				break;
		policy->ops->touch(policy, b->nodes + i, b->ats + i,
			b->words + i, end - i);
		if (!era)
			continue;
		policy->ops->settle(policy);
		vmc_share_link(vmc_load_acquire(&cache->spaces), era);
	}
}

/*
 * Skips entries that are being evicted. node.at is loaded before the state: if
 * an evictor has overwritten node.at by then, the state already says EVICTING.
 */
void
vmc_cache_drain(struct vmemcache *cache, struct vmc_ring *ring)
{
	struct batch b;
	unsigned taken;

	while ((taken = vmc_ring_take(ring, b.nodes, b.words, VMC_DRAIN_AT)) >
		0) {
		uint8_t generation = vmc_load_relaxed(&cache->generation);
		unsigned kept = 0, inserted = 0;
		for (unsigned i = 0; i < taken; i++) {
			struct vmc_entry *e = vmc_entry_of(b.nodes[i]);
			b.nodes[kept] = b.nodes[i];
			b.words[kept] = b.words[i];
			b.ats[kept] = vmc_load_acquire(&b.nodes[i]->at);
			inserted += b.ats[kept] == 0;
			if (vmc_load_acquire(&e->state) & VMC_ENTRY_STATES)
				continue;
			if (cache->counts == 0)
				vmc_store_relaxed(&e->used, generation);
			kept++;
		}
		b.count = kept;
		if (__builtin_expect(vmc_spaces_are_active(cache), 0))
			pass_by_era(cache, &b);
		else
			cache->policy->ops->touch(
				cache->policy, b.nodes, b.ats, b.words, kept);
		if (cache->counts == 0)
			choose_generation(cache, inserted);
	}
}

void
vmc_cache_restore_node(struct vmemcache *cache, struct vmc_entry *e)
{
	struct vmc_policy *policy = vmc_cache_policy_of(cache, e);

	policy->ops->restore(policy, &e->node);
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_share_link(
			vmc_load_acquire(&cache->spaces), vmc_era_of(cache, e));
}

void
vmc_cache_have_node(struct vmemcache *cache, struct vmc_entry *e)
{
	struct vmc_policy *policy = vmc_cache_policy_of(cache, e);
	struct vmc_policy_node *node = &e->node;

	policy->ops->touch(policy, &node, &(uint32_t){0}, NULL, 1);
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_share_link(
			vmc_load_acquire(&cache->spaces), vmc_era_of(cache, e));
}

/*
 * Rows of the policy's for what a thread may have in its ring, and one more put
 * after that failed; and for what is recalled from its reserve. And rows for
 * what is parked, which comes back in rings.
 */
#define STOCK (VMC_RING_SIZE / VMC_POLICY_ROW + 1 + VMC_RESERVE_ROWS + 1)
/* Where there are spaces, each may be of another policy. */
#define STOCK_OF_SPACES (VMC_RING_SIZE + 1 + 2 * VMC_RESERVE_ROWS)

int
vmc_cache_release_policy(struct vmemcache *cache)
{
	unsigned count = vmc_load_relaxed(&cache->stripes.count);
	unsigned parked = vmc_load_relaxed(&cache->parked);
	unsigned rows =
		count * STOCK + (parked + VMC_POLICY_ROW - 1) / VMC_POLICY_ROW;
	if (vmc_spaces_are_active(cache))
		rows = count * STOCK_OF_SPACES + parked;
	int rc = 0;
	if (rows != cache->stock || !vmc_policy_is_stocked(cache->policy)) {
		rc = cache->policy->ops->stock(cache->policy, rows);
		cache->stock = rc ? 0 : rows;
		if (rc)
			count = 0;
	}
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
	cache->policy->ops->settle(cache->policy);
	vmc_cache_release_policy(cache);
}

void
vmc_cache_push(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	uint64_t word =
		vmc_cache_word(cache, stripe, vmc_cache_policy_of(cache, e), 0);

	while (!vmc_ring_push(&stripe->ring, &e->node, word))
		vmc_cache_feed(cache, &stripe->ring, true);
}

/* What the others have done, in all, as their counters tell. */
static uint64_t
calls_of_others(struct vmemcache *cache, const struct vmc_stripe *own)
{
	uint64_t sum = 0;

	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;)
		for (unsigned i = 0; s != own && i < VMC_COUNTERS; i++)
			sum += vmc_load_relaxed(&s->counter[i]);
	return sum;
}

void
vmc_cache_look_around(
	struct vmemcache *cache, struct vmc_stripe *stripe, uint32_t pending)
{
	if (pending == 0 && vmc_ring_is_full(&stripe->ring))
		vmc_count(stripe, VMC_COUNT_TOUCHES_LOST, 1);
	vmc_cache_feed(cache, &stripe->ring, false);
	uint64_t hits = vmc_load_relaxed(&stripe->counter[VMC_COUNT_HIT]);
	if (hits - stripe->looked < VMC_LOOK_AROUND_EVERY ||
		vmc_load_relaxed(&cache->sole) ||
		vmc_thread_slots() > LOOK_AT_SLOTS)
		return;
	stripe->looked = hits;
	uint64_t others = calls_of_others(cache, stripe);
	stripe->unseen = others == stripe->others ? stripe->unseen + 1 : 0;
	stripe->others = others;
	if (stripe->unseen < UNSEEN)
		return;
	/* a get waits for no lock: else when it looks around next */
	if (!vmc_lock_try(&cache->policy_lock))
		return;
	/* what others did comes before all that it will do */
	vmc_cache_drain_all(cache);
	vmc_store_relaxed(&cache->sole, stripe);
	vmc_cache_release_policy(cache);
}

void
vmc_cache_drain_all(struct vmemcache *cache)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_next(&cache->stripes, s)) != NULL;)
		vmc_cache_drain(cache, &s->ring);
	cache->policy->ops->settle(cache->policy);
}
