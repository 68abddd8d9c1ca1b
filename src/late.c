/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * late.c -- victims of a thread that is alone, where the policy counts uses
 *
 * Such a thread has no victims in reserve (claim.c): it takes each when it
 * needs it, under the policy's lock, and so the choice is exactly that of the
 * policy (vmc_cache_chooses_late()). A put does all of this once, where others
 * do it once in 32 puts. So it is kept short:
 *
 *   the ring          has one touch, of the put before: passed on by itself
 *   other threads     are looked at as seldom as by those others
 *   the victim        is LIVE and nothing else: claimed by one step
 *   its hash          is that for which its bag was fetched ahead
 *   the stock         of rows is as it was, most likely
 *
 * If any of these is not so, the put takes the common way. What the next
 * eviction will need is fetched: its victim is a guess of the policy's, on
 * which nothing else depends. Ghosts are a cache miss each for what is evicted
 * next and for what is put now, which the policy sees at the next eviction:
 * these are fetched as well.
 *
 * Rejected: victims in reserve whose uses are looked at when they are needed.
 * A row of the next ones in the queue would do for SIEVE; but with S3-FIFO and
 * ADAPTIVE the queue of each victim depends on what came in, and came back,
 * just before.
 */
#include "claim.h"
#include "space.h"
#include "visit.h"

/* The policy itself has fetched the nodes that come after. */
static inline __attribute__((always_inline)) void
fetch(struct vmemcache *cache, struct vmc_thread *thread)
{
	struct vmc_policy *policy = cache->policy;
	struct vmc_policy_node *node = policy->coming;

	if (!node)
		return;
	vmc_epoch_enter(thread);
	uint64_t hash = vmc_claim_fetch(cache, vmc_entry_of(node));
	vmc_epoch_exit(thread);
	if (hash)
		vmc_policy_know(policy, node, hash);
}

void
vmc_claim_fetch_late(struct vmemcache *cache)
{
	fetch(cache, vmc_thread_self());
}

/* As vmc_visit_policy(): what settles is what these policies do not have. */
static inline void
visit(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	struct vmc_policy *policy = cache->policy;
	struct vmc_policy_node *node = NULL;
	uint64_t word;

	if (__builtin_expect(
		    !vmc_spaces_are_active(cache) &&
			    vmc_ring_take_one(&stripe->ring, &node, &word),
		    1)) {
		uint32_t at = vmc_load_acquire(&node->at);
		if (!(vmc_load_acquire(&vmc_entry_of(node)->state) &
			    VMC_ENTRY_STATES))
			policy->ops->touch(policy, &node, &at, &word, 1);
	} else {
		vmc_cache_drain(cache, &stripe->ring);
	}
	if (__builtin_expect(stripe->replaced_count > 0, 0))
		vmc_cache_let_go_of_replaced(cache, stripe, stripe);
	if (__builtin_expect(stripe->visits++ % VMC_VISITS_LATE == 0, 0))
		vmc_cache_look_at_others(cache, stripe);
}

/* The stock is as it was, most likely, and more than is wanted at that. */
static inline void
release(struct vmemcache *cache)
{
	if (__builtin_expect(vmc_policy_is_stocked(cache->policy) &&
				     vmc_load_relaxed(&cache->parked) == 0 &&
				     vmc_cache_is_stocked(cache),
		    1))
		vmc_lock_release(&cache->policy_lock);
	else
		vmc_cache_release_policy(cache);
}

struct vmc_entry *
vmc_claim_late(
	struct vmemcache *cache, struct vmc_stripe *stripe, uint64_t *hash)
{
	struct vmc_policy *policy = cache->policy;
	uint16_t live = VMC_ENTRY_LIVE;

	vmc_lock_acquire(&cache->policy_lock);
	visit(cache, stripe);
	struct vmc_policy_node *node = policy->ops->victim(policy);
	struct vmc_entry *e = node ? vmc_entry_of(node) : NULL;
	*hash = policy->hash;
	if (__builtin_expect(
		    e && (e == stripe->spared || vmc_entry_is_marked(e) ||
				 !vmc_cas_acq_rel(
					 &e->state, &live, VMC_ENTRY_EVICTING)),
		    0)) {
		e = vmc_claim_late_of_any(cache, stripe, node);
		*hash = 0;
	}
	vmc_policy_expect(policy, stripe->puts);
	fetch(cache, vmc_thread_self());
	release(cache);
	return e;
}
