/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * visit.c -- maintenance that a thread does while it holds the policy's lock
 *
 * A thread takes the lock when it needs victims (claim.c), and seldom
 * otherwise. Then it passes the touches to the policy that could change its
 * choice, and fills its own reserve, so that it does not need the lock again
 * soon. Every few visits it looks at other threads: it drains their rings,
 * recalls reserves that their owners do not use, and takes over what threads
 * that have ended have left.
 *
 * A thread that ends takes its stripe out of use: otherwise other threads would
 * have to look at the stripes of all threads there ever were, and the policy
 * would keep memory for them. The objects that it has retired become the
 * cache's estate, which the next thread that looks at others takes into its own
 * limbo. By then it has given its slot back, so another thread may already have
 * the slot and the stripe, with all that is in it; then there is nothing to do.
 * If a thread ended without this, other threads find that its slot has no
 * owner.
 *
 * Everything here runs under the policy's lock, so one thread at a time does
 * it; the owners of rings and reserves go on meanwhile (policy/ring.h,
 * policy/reserve.h).
 */
#include "visit.h"

#include "space.h"

#include "room.h"

/* What part of the nodes all threads may reserve with one row each. */
#define RESERVE_SHARE 64

/* Where there are fewer nodes than that for each, nothing is reserved. */
#define RESERVE_FROM 4

/* Where there are spaces: the same for one of them; and how few are too few. */
#define RESERVE_SHARE_OF_SPACE 16
#define RESERVE_LEAST_OF_SPACE 4

/*
 * Rows that were recalled, or given up: eras have nodes again. Eras that have
 * ended have no rows (vmc_visit_recall_era()).
 */
static void
unlink_rows(struct vmemcache *cache, struct vmc_stripe *s, unsigned from,
	unsigned to)
{
	for (unsigned k = from; k < to; k++) {
		if (s->reserve_of[k])
			vmc_share_link(vmc_load_acquire(&cache->spaces),
				s->reserve_of[k]);
		s->reserve_of[k] = NULL;
	}
}

static void
fill_of_space(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	unsigned i = vmc_reserve_next(&stripe->reserve);
	struct vmc_era *era = vmc_reserve_is_low(&stripe->reserve)
				      ? vmc_share_giver(cache)
				      : NULL;
	uint64_t most = 0;

	if (era)
		most = vmc_load_relaxed(&era->policy->nodes) /
		       RESERVE_SHARE_OF_SPACE;
	if (most < RESERVE_LEAST_OF_SPACE)
		return;
	if (most > VMC_POLICY_ROW)
		most = VMC_POLICY_ROW;
	cache->reserving += !stripe->reserves;
	stripe->reserves = true;
	vmc_reserve_fill(&stripe->reserve, era->policy, (unsigned)most);
	unlink_rows(cache, stripe, i, i + 1);
	stripe->reserve_of[i] = era;
}

void
vmc_visit_fill_reserve(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (__builtin_expect(vmc_spaces_are_active(cache), 0)) {
		fill_of_space(cache, stripe);
		return;
	}
	uint64_t nodes = vmc_load_relaxed(&cache->policy->nodes);
	unsigned reserving = cache->reserving + !stripe->reserves;
	uint64_t most = nodes / RESERVE_SHARE / reserving;

	if (most > VMC_POLICY_ROW)
		most = VMC_POLICY_ROW;
	if (most == 0 && (reserving == 1 || nodes / reserving >= RESERVE_FROM))
		most = 1;
	if (most == 0)
		return;
	cache->reserving = reserving;
	stripe->reserves = true;
	vmc_reserve_fill(&stripe->reserve, cache->policy, (unsigned)most);
}

void
vmc_visit_recall(struct vmemcache *cache, struct vmc_stripe *s)
{
	if (!s->reserves)
		return;
	vmc_reserve_recall(&s->reserve);
	unlink_rows(cache, s, 0, VMC_RESERVE_ROWS);
	s->reserves = false;
	cache->reserving--;
}

void
vmc_visit_recall_own(struct vmemcache *cache, struct vmc_stripe *s,
	const struct vmc_era *era)
{
	for (unsigned k = 0; k < VMC_RESERVE_ROWS; k++)
		if (s->reserve_of[k] == era) {
			vmc_reserve_recall_row(&s->reserve, k);
			unlink_rows(cache, s, k, k + 1);
		}
}

void
vmc_visit_recall_era(struct vmemcache *cache, const struct vmc_era *era)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_next(&cache->stripes, s)) != NULL;)
		vmc_visit_recall_own(cache, s, era);
}

void
vmc_visit_recall_all(struct vmemcache *cache)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_next(&cache->stripes, s)) != NULL;)
		vmc_visit_recall(cache, s);
}

/*
 * What a thread that has gone has left: touches and victims for the policy, and
 * what it retired for the estate.
 */
static void
take_over(struct vmemcache *cache, struct vmc_stripe *s)
{
	if (!vmc_stripe_take_over(&cache->stripes, s))
		return;
	vmc_cache_drain(cache, &s->ring);
	vmc_visit_recall(cache, s);
	vmc_reserve_end(&s->reserve);
	vmc_cache_let_go_of_replaced(cache, s, s);
	vmc_limbo_adopt(&cache->estate, &s->limbo, &cache->uncounted);
	vmc_limbo_join(&cache->ripe_estate, s->ripe);
	s->ripe = NULL;
	s->handover = NULL;
	s->spared = NULL;
	s->touched = s->evicts = false;
	s->nested = s->cut = 0;
	vmc_store_relaxed(&s->work, 0);
	vmc_store_relaxed(&s->waits, 0);
	vmc_limit_tell(cache, s);
	s->reclaimed = s->limbo.added;
	vmc_stripe_spare(&cache->stripes, s);
}

void
vmc_visit_leave(struct vmemcache *cache, unsigned slot)
{
	if (!vmc_stripe_at(&cache->stripes, slot))
		return;
	vmc_lock_acquire(&cache->policy_lock);
	struct vmc_stripe *s = vmc_stripe_at(&cache->stripes, slot);
	if (s && cache->looked_at == s)
		cache->looked_at = NULL;
	if (s)
		take_over(cache, s);
	vmc_cache_release_policy(cache);
}

/* Into a thread's own stripe. */
static void
take_estate(struct vmemcache *cache, struct vmc_stripe *own)
{
	vmc_limbo_adopt(&own->limbo, &cache->estate, &cache->uncounted);
	vmc_limbo_join(&own->ripe, cache->ripe_estate);
	cache->ripe_estate = NULL;
}

/*
 * At how many stripes a look at others is; and at how many where there are
 * more.
 */
#define LOOK_AT_ALL 16
#define LOOK_AT_SOME 4

/*
 * The next ones in turn: each costs several lines that its thread is writing
 * to. What has not changed since the last look is idle: it is recalled.
 */
void
vmc_cache_look_at_others(struct vmemcache *cache, struct vmc_stripe *own)
{
	unsigned count = vmc_load_relaxed(&cache->stripes.count);
	/* once round the list, its end counts as well */
	unsigned looks = count <= LOOK_AT_ALL ? count + 1 : LOOK_AT_SOME;
	struct vmc_stripe *s = cache->looked_at;

	for (; looks > 0; looks--) {
		struct vmc_stripe *last = s;
		s = vmc_stripe_next(&cache->stripes, s);
		if (s == own || !s)
			continue;
		vmc_cache_drain(cache, &s->ring);
		if (s->reserve.seen == s->reserve.filled)
			vmc_visit_recall(cache, s);
		s->reserve.seen = s->reserve.filled;
		if (vmc_thread_has(vmc_load_relaxed(&s->slot)))
			continue;
		take_over(cache, s);
		s = last;
	}
	cache->looked_at = s;
	take_estate(cache, own);
}

void
vmc_visit_policy(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	stripe->touched = false;
	vmc_cache_drain(cache, &stripe->ring);
	if (stripe->replaced_count > 0)
		vmc_cache_let_go_of_replaced(cache, stripe, stripe);
	if (stripe->visits++ % VMC_VISITS == 0)
		vmc_cache_look_at_others(cache, stripe);
	cache->policy->ops->settle(cache->policy);
}
