/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * visit.h -- visits to the policy: between visit.c, claim.c and inherit.c.
 * Everything but vmc_visit_leave() is called under the policy's lock
 */
#ifndef VMC_VISIT_H
#define VMC_VISIT_H

#include "cache.h"

/*
 * Feed the policy what could change its choice: the thread's own ring always,
 * so that it sees exact order if it is alone; those of others now and then.
 */
void vmc_visit_policy(struct vmemcache *cache, struct vmc_stripe *stripe);

/*
 * How many of a thread's visits to the policy it takes to look at others; and
 * where each is for one victim, not for a row of them.
 */
#define VMC_VISITS 4u
#define VMC_VISITS_LATE (VMC_VISITS * VMC_POLICY_ROW)

/*
 * Under the policy's lock: feed it what is in the rings of other threads, some
 * of them in turn, recall reserves that are left alone, and take over what
 * threads that have gone have left.
 */
void vmc_cache_look_at_others(struct vmemcache *cache, struct vmc_stripe *own);

/* Victims for the stripe's owner, if it has few. */
void vmc_visit_fill_reserve(struct vmemcache *cache, struct vmc_stripe *stripe);

/* What is reserved goes back to the policy, as the oldest that it has. */
void vmc_visit_recall(struct vmemcache *cache, struct vmc_stripe *s);
void vmc_visit_recall_all(struct vmemcache *cache);
/* The same of what is of that era: of one stripe, or of all. */
void vmc_visit_recall_own(struct vmemcache *cache, struct vmc_stripe *s,
	const struct vmc_era *era);
void vmc_visit_recall_era(struct vmemcache *cache, const struct vmc_era *era);

/* No thread has that slot any more: take over what it has left, if so. */
void vmc_visit_leave(struct vmemcache *cache, unsigned slot);

#endif
