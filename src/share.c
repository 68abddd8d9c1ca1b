/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share.c -- how spaces share the pool: quotas, reservations, whose victims
 *
 * Each era (the contents of a space between two clears, space.c) has an
 * instance of the cache's policy, which knows its next victim. This file
 * decides which era loses an entry.
 *
 * Quota. A put counts its blocks for the era before it takes them from the
 * pool: `held` grows by compare-and-swap, and only up to the quota. So the
 * quota holds at every moment, with any number of threads. If there is no room,
 * the era's own victims go first. A value that replaces another may exceed the
 * quota by the blocks of the old one until that goes. A reservation may not, as
 * it may stay for long: the old value is a victim like others. One that was
 * made before a clear is admitted again by its commit.
 *
 * Victims are chosen until what stays is little enough: entries, and
 * reservations. Puts under way are waited for, as what they replace goes with
 * them. If nobody is at work they are the thread's own, whose callback this put
 * is, or in callbacks of others: then they count as well, and so do victims.
 *
 * Reservation. Victims for room in the pool are chosen under the policy's lock,
 * and count as `claimed` from then on. Others take victims from an era only
 * while it would keep more than its reserved blocks, counting only values that
 * are there, not those about to be put. The era's own puts may take any of its
 * entries.
 *
 * Whose victim, if several eras have more than that: the era whose next victim
 * reached its position longest ago. Policies that share their rows share a
 * clock: the number of rows opened, or in adaptive.c of blocks inserted.
 * Comparing all eras would take time proportional to the spaces. So the era
 * that lost an entry last is compared with the next few in a ring of all eras
 * that hold something; the oldest loses next. Among 10,000 spaces, one that
 * holds much and is seldom used is found within some thousand evictions, and
 * then loses entries until it is no longer the oldest. Rejected: a random
 * choice, by spaces or by blocks, which takes from spaces in use as much as
 * from others; one order for all, in which a quota or a reservation would have
 * to skip the entries of others.
 *
 * Reserves. A thread that needs victims may get a whole row of them (claim.c):
 * of the era that loses next, a 16th of its entries at most. They lose their
 * entries without the lock then, at any time later. So none of an era with a
 * reservation are given away: by then they may belong to the part that is
 * reserved. The puts that evict those take the lock each. As an era ends, all
 * that threads have of it comes back to its policy (vmc_visit_recall_era()).
 *
 * Cleared entries. Eras that have ended are in a ring. Their nodes are freed
 * before anything is evicted, and so are entries that were cleared of the cache
 * itself (clear.c). Each put of a space and each clear frees a few, even if no
 * room is needed, so that metadata and the numbers of eras become free.
 * `reclaimable` says whether taking the lock is worthwhile: it is not if all
 * that is left is pinned or being stored. The policy NONE has no nodes: there
 * the index is searched, from where the last search ended.
 */
#include "space.h"

#include "base/error.h"
#include "claim.h"
#include "expire.h"

#include <errno.h>

/* Of the ring, for a victim. */
#define LOOKS 4

/* --- the ring --- */

void
vmc_share_link(struct vmc_spaces *spaces, struct vmc_era *era)
{
	if (vmc_era_has_ended(era)) {
		vmc_store_relaxed(&spaces->reclaimable, true);
		return;
	}
	if (era->is_linked)
		return;
	era->is_linked = true;
	if (spaces->ring) {
		/* behind all that will be looked at */
		era->next = spaces->ring;
		era->prev = spaces->ring->prev;
		era->prev->next = era;
		era->next->prev = era;
	} else {
		spaces->ring = era->next = era->prev = era;
	}
}

void
vmc_share_unlink(struct vmc_spaces *spaces, struct vmc_era *era)
{
	if (spaces->best == era)
		spaces->best = NULL;
	if (!era->is_linked)
		return;
	era->is_linked = false;
	if (spaces->ring == era)
		spaces->ring = era->next == era ? NULL : era->next;
	era->prev->next = era->next;
	era->next->prev = era->prev;
}

/* --- victims --- */

static bool
may_lose(const struct vmc_era *era, const struct vmc_era *own)
{
	return vmc_load_relaxed(&era->policy->nodes) > 0 &&
	       (era == own || era->reserved == 0 ||
		       vmc_era_stays(era) > era->reserved);
}

/* The next one of the ring; what holds nothing leaves it. */
static struct vmc_era *
next_of_ring(struct vmc_spaces *spaces)
{
	struct vmc_era *era = spaces->ring;

	spaces->ring = era->next;
	if (era != &spaces->own && vmc_load_relaxed(&era->policy->nodes) == 0)
		vmc_share_unlink(spaces, era);
	return era;
}

static uint32_t
age_of(const struct vmc_era *era)
{
	return era->policy->ops->age(era->policy);
}

static struct vmc_era *
choose(struct vmc_spaces *spaces, const struct vmc_era *own)
{
	struct vmc_era *best = spaces->best;

	if (best && !may_lose(best, own))
		best = NULL;
	uint32_t age = best ? age_of(best) : 0;
	const struct vmc_era *last = spaces->ring->prev;
	/* until there is one: once round */
	for (unsigned looks = 0; looks < LOOKS || !best; looks++) {
		struct vmc_era *era = next_of_ring(spaces);
		if (era != best && may_lose(era, own)) {
			uint32_t other = age_of(era);
			if (!best || other > age) {
				best = era;
				age = other;
			}
		}
		if (era == last)
			break;
	}
	spaces->best = best;
	return best;
}

struct vmc_era *
vmc_share_giver(struct vmemcache *cache)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	struct vmc_era *era = choose(spaces, &spaces->own);

	return era && era->reserved == 0 ? era : NULL;
}

struct vmc_policy_node *
vmc_share_victim(struct vmemcache *cache, const struct vmc_era *own)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	struct vmc_era *era = choose(spaces, own ? own : &spaces->own);

	return era ? era->policy->ops->victim(era->policy) : NULL;
}

/* --- quotas --- */

static int
fail_quota(void)
{
	return vmc_fail_const(ENOSPC,
		"the value does not fit the quota of its space, with what "
		"cannot be evicted there");
}

/* Some of the era's own victims go. -ENOENT: nothing had to. */
static int
evict_own(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_era *era, bool waits, uint64_t most)
{
	struct vmc_claim claim;
	vmc_runs freed = VMC_RUNS_NONE;

	vmc_claim_begin(&claim, 0, 0, stripe->spared);
	int rc = vmc_claim_for_quota(cache, stripe, &claim, era, waits, most);
	if (rc == 0 && claim.end == 0)
		return -ENOENT; /* it is in the hands of others */
	if (rc == 0)
		rc = vmc_claim_remove(cache, stripe, &claim,
			VMEMCACHE_REASON_CAPACITY, &freed);
	if (rc == 0)
		vmc_extent_free(cache->extent, &freed);
	return rc;
}

static __attribute__((noinline)) int
make_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_era *era, uint64_t blocks, uint64_t most)
{
	struct vmc_patience patience = {0};
	bool waits = true;
	int rc = 0;

	while (rc == 0 && !vmc_era_admits(era, blocks, most)) {
		if (vmc_cache_calls_back(cache))
			vmc_cache_end_wait(stripe, &patience);
		if (vmc_load_relaxed(&cache->expiry) &&
			(rc = vmc_expiry_reclaim(cache, stripe)) != -ENOENT)
			continue;
		rc = evict_own(cache, stripe, era, waits, most - blocks);
		if (rc != -ENOENT && rc != -ENOSPC)
			continue;
		bool more = rc == -ENOENT && waits;
		rc = 0;
		if (vmc_cache_wait(cache, stripe, &patience))
			continue;
		if (more)
			waits = false;
		else
			rc = vmc_era_admits(era, blocks, most) ? 1
							       : fail_quota();
	}
	vmc_cache_end_wait(stripe, &patience);
	return rc > 0 ? 0 : rc;
}

int
vmc_share_admit(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_era *era, uint64_t blocks, uint64_t credit)
{
	uint64_t most = era->quota;

	if (blocks > most)
		return fail_quota();
	most = credit > UINT64_MAX - most ? UINT64_MAX : most + credit;
	return __builtin_expect(vmc_era_admits(era, blocks, most), 1)
		       ? 0
		       : make_room(cache, stripe, era, blocks, most);
}

/* --- what was cleared --- */

/* Under the lock: as many as a claim has room for. */
static void
claim_ended(struct vmemcache *cache, struct vmc_spaces *spaces,
	struct vmc_claim *claim)
{
	struct vmc_era *era = spaces->ended;

	for (unsigned i = spaces->ended_count; i > 0; i--, era = era->next) {
		struct vmc_policy *policy = era->policy;
		struct vmc_policy_node *node;
		while (claim->end < VMC_CLAIM_FIRST &&
			(node = policy->ops->victim(policy)) != NULL) {
			struct vmc_entry *e = vmc_entry_of(node);
			uint16_t state;
			if (vmc_claim_entry(cache, e, &state))
				claim->some[claim->end++] = e;
		}
	}
}

struct sweep {
	struct vmemcache *cache;
	struct vmc_claim *claim;
};

/* vmc_index_visit_fn */
static void
claim_if_ended(void *leaf, void *arg)
{
	struct sweep *sweep = arg;
	struct vmc_claim *claim = sweep->claim;
	struct vmc_entry *e = leaf;
	uint16_t state;

	if (claim->end < VMC_CLAIM_FIRST && vmc_entry_is_marked(e) &&
		vmc_era_has_ended(vmc_era_of(sweep->cache, e)) &&
		vmc_claim_entry(sweep->cache, e, &state))
		claim->some[claim->end++] = e;
}

/* The same where there are no nodes: until some are found, or once round. */
static void
sweep_index(struct vmemcache *cache, struct vmc_spaces *spaces,
	struct vmc_claim *claim)
{
	struct sweep sweep = {cache, claim};
	unsigned ends = 0;

	while (claim->end == 0 && ends < 2) {
		vmc_index_walk(
			spaces->index, &spaces->swept, claim_if_ended, &sweep);
		ends += spaces->swept == 0;
	}
}

int
vmc_share_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	struct vmc_claim claim;
	vmc_runs freed;

	if (!spaces || !vmc_load_relaxed(&spaces->reclaimable))
		return -ENOENT;
	vmc_claim_begin(&claim, 0, 0, NULL);
	vmc_lock_acquire(&cache->policy_lock);
	claim_ended(cache, spaces, &claim);
	if (claim.end == 0)
		vmc_cleared_claim(cache, spaces, &claim);
	if (claim.end == 0) {
		/* a drain may find more */
		vmc_store_relaxed(&spaces->reclaimable, false);
		vmc_cache_drain_all(cache);
		claim_ended(cache, spaces, &claim);
	}
	if (claim.end == 0 && !cache->wants_touches && spaces->ended_count > 0)
		sweep_index(cache, spaces, &claim);
	if (claim.end > 0)
		vmc_store_relaxed(&spaces->reclaimable, true);
	vmc_spaces_free_some(cache);
	vmc_cache_release_policy(cache);
	if (claim.end == 0)
		return -ENOENT;
	int rc = vmc_claim_remove(
		cache, stripe, &claim, VMEMCACHE_REASON_CLEARED, &freed);
	if (rc == 0)
		vmc_extent_free(cache->extent, &freed);
	return rc;
}
