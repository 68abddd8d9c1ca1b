/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reclaim.c -- returning the memory of evicted entries to the system
 *
 * A thread frees the objects that it has retired, as part of its puts and
 * evictions: when their epoch has passed (base/limbo.h) and any thread has
 * drained all rings once more (evict.c). When the metadata has shrunk, its
 * memory is returned to the system in steps. Rejected: leaving that to the
 * allocator's clock, which does not advance in a thread that does not allocate.
 */
#include "visit.h"

/*
 * Take out of the rings what is in them. What was retired in an epoch that has
 * passed before is in none then, whoever retired it.
 */
static void
drain_locked(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	uint64_t safe = vmc_epoch_safe();

	vmc_lock_acquire(&cache->policy_lock);
	vmc_cache_drain_all(cache);
	if (safe > vmc_load_relaxed(&cache->drained))
		vmc_store_release(&cache->drained, safe);
	vmc_cache_look_at_others(cache, stripe);
	vmc_cache_release_policy(cache);
}

void
vmc_cache_free_at_once(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	drain_locked(cache, stripe);
	vmc_free(&cache->uncounted, e, vmc_entry_size(e));
}

/* Of what is ripe no ring may have anything, before it is freed. */
static void
make_sure_drained(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_limbo_chunk *ripe)
{
	/* acquire: pairs with the release by who drained */
	if (ripe &&
		vmc_limbo_last_stamp(ripe) >= vmc_load_acquire(&cache->drained))
		drain_locked(cache, stripe);
}

/*
 * The allocator keeps what was freed for what comes next, for good where
 * nothing comes. So whoever retires tells now and then by how much the metadata
 * has shrunk, and after so much of it what is free is given back: unless others
 * have allocated as much meanwhile.
 */
#define SHRUNK_MUCH (INT64_C(2) << 20)

static void
give_memory_back(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	uint64_t gone =
		vmc_load_relaxed(&stripe->counter[VMC_COUNT_METADATA_GONE]) -
		vmc_load_relaxed(&stripe->counter[VMC_COUNT_METADATA]);
	int64_t more = (int64_t)(gone - stripe->gone);

	stripe->gone = gone;
	more += vmc_fetch_add_relaxed(&cache->shrunk, more);
	if (more >= 0 && more < SHRUNK_MUCH)
		return;
	vmc_store_relaxed(&cache->shrunk, 0);
	if (more < 0) /* it has grown */
		return;
	uint64_t left = vmc_stripes_left(
		&cache->stripes, VMC_COUNT_METADATA, VMC_COUNT_METADATA_GONE);
	uint64_t before = vmc_load_relaxed(&cache->left);
	vmc_store_relaxed(&cache->left, left);
	if (left + (uint64_t)SHRUNK_MUCH / 2 <= before)
		vmc_memkind_give_back(cache->kind);
}

/*
 * How many ripe objects an operation frees: as many as it retired, so that
 * what is allocated next is what was just freed, and the allocator's own caches
 * neither overflow nor run dry; more when the next ones are waiting already.
 */
#define FREE_IN_HASTE 32

void
vmc_cache_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (__builtin_expect(vmc_load_relaxed(&cache->orphans) != NULL, 0))
		vmc_cache_adopt_orphans(cache, stripe);
	if (__builtin_expect(vmc_load_relaxed(&cache->abandoned) != NULL, 0))
		vmc_cache_adopt_abandoned(cache, stripe);
	unsigned count = stripe->limbo.added - stripe->reclaimed;

	stripe->reclaimed = stripe->limbo.added;
	if (!stripe->ripe && vmc_limbo_is_due(&stripe->limbo)) {
		give_memory_back(cache, stripe);
		stripe->ripe = vmc_limbo_ripe(&stripe->limbo);
		make_sure_drained(cache, stripe, stripe->ripe);
	}
	if (vmc_limbo_is_behind(&stripe->limbo))
		count += FREE_IN_HASTE;
	if (stripe->ripe && count > 0)
		stripe->ripe = vmc_limbo_free_some(
			stripe->ripe, &cache->uncounted, count);
}

bool
vmc_cache_reclaim_all(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	struct vmc_limbo_chunk *ripe = vmc_limbo_ripe_at_once(&stripe->limbo);
	bool any = ripe || stripe->ripe;

	make_sure_drained(cache, stripe, ripe);
	vmc_limbo_free(ripe, &cache->uncounted);
	vmc_limbo_free(stripe->ripe, &cache->uncounted);
	stripe->ripe = NULL;
	return any;
}
