/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * room.c -- what a put does if there is too little room in the pool
 *
 * An empty value has no blocks, but counts as one: a pool of n blocks has room
 * for n entries at most. So evicting an empty value makes room for one block,
 * which is free already. Whatever is in the cache, a put evicts at most as many
 * entries as it lacks blocks.
 *
 * Room is the number of free blocks less that of empty values. A put reads it
 * before it takes blocks, or counts its empty value. Puts that read it at the
 * same time may together take more than there is, each once. Then the room is
 * negative, and the next puts evict more. Blocks themselves are never taken
 * twice: the extent allocator decides that.
 */
#include "room.h"

#include "base/error.h"

#include <errno.h>

/* Callbacks of others may put within, and change what the stripe says. */
static uint64_t
admitted_of(const struct vmc_stripe *stripe, const struct vmc_entry *e)
{
	return vmc_entry_is_marked(e) ? stripe->admitted : 0;
}

int
vmc_room_admit(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t blocks)
{
	vmc_cleanup(vmc_unseen_free) struct vmc_unseen unseen = {cache, e, 0};
	uint64_t credit = stripe->spared ? stripe->spared_blocks : 0;
	uint64_t counts_as = vmc_entry_value_size(e) > 0 ? blocks : 1;
	/* where that is not a search */
	int rc = cache->wants_touches && vmc_share_may_reclaim(cache)
			 ? vmc_share_reclaim(cache, stripe)
			 : 0;

	if (rc == 0 || rc == -ENOENT)
		rc = vmc_share_admit(
			cache, stripe, vmc_era_of(cache, e), counts_as, credit);
	unseen.entry = NULL;
	stripe->admitted = counts_as;
	return rc;
}

int
vmc_room_make_in_space(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t blocks, uint64_t bytes, vmc_runs *freed)
{
	uint64_t admitted = admitted_of(stripe, e);
	vmc_cleanup(vmc_unseen_free) struct vmc_unseen unseen = {
		cache, e, admitted};
	int rc = vmc_cache_make_room_for(cache, stripe, vmc_era_of(cache, e),
		blocks, bytes, VMEMCACHE_REASON_CAPACITY, freed);

	unseen.entry = NULL;
	stripe->admitted = admitted;
	return rc;
}

/* Some of what was cleared or is over goes. -ENOENT: there is nothing. */
static int
reclaim_some(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	int rc = vmc_share_reclaim(cache, stripe);

	return rc == -ENOENT ? vmc_expiry_reclaim(cache, stripe) : rc;
}

int
vmc_room_of_useless(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t wanted)
{
	uint64_t admitted = admitted_of(stripe, e);
	vmc_cleanup(vmc_unseen_free) struct vmc_unseen unseen = {
		cache, e, admitted};
	int rc = 0;

	while (rc == 0 && !vmc_has_room(cache, wanted))
		rc = reclaim_some(cache, stripe);
	stripe->admitted = admitted;
	unseen.entry = NULL;
	return rc == -ENOENT ? 0 : rc;
}

int
vmc_room_of_useless_metadata(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t wanted, uint64_t *got)
{
	const _Atomic uint64_t *gone =
		&stripe->counter[VMC_COUNT_METADATA_GONE];
	uint64_t admitted = admitted_of(stripe, e);
	uint64_t before = vmc_load_relaxed(gone);
	vmc_cleanup(vmc_unseen_free) struct vmc_unseen unseen = {
		cache, e, admitted};
	int rc = 0;

	for (*got = 0; rc == 0 && *got < wanted;
		*got = vmc_load_relaxed(gone) - before)
		rc = reclaim_some(cache, stripe);
	stripe->admitted = admitted;
	unseen.entry = NULL;
	return rc == -ENOENT ? 0 : rc;
}

int
vmc_room_exchange_beside(struct vmemcache *cache, vmc_runs *freed,
	uint64_t blocks, uint64_t counts_as, struct vmc_entry *e,
	uint64_t *missing)
{
	int64_t room = vmc_room(cache) + (int64_t)vmc_runs_blocks(freed);

	if (room >= (int64_t)counts_as)
		return vmc_extent_exchange(
			cache->extent, freed, blocks, &e->runs, missing);
	vmc_extent_free(cache->extent, freed);
	*missing = counts_as - (uint64_t)room;
	return -ENOSPC;
}

/* Evict, unless there is room. -ENOSPC: there is none, nor can be made. */
static int
make_missing(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t missing, uint64_t counts_as,
	vmc_runs *freed)
{
	int rc = 0;

	if (vmc_room_may_be_useless(cache, stripe))
		rc = vmc_room_of_useless(cache, stripe, e, counts_as);
	if (rc == 0 && !vmc_has_room(cache, counts_as))
		rc = vmc_room_make(cache, stripe, e, missing, 0, freed);
	return rc == -ENOSPC && vmc_has_room(cache, counts_as) ? 0 : rc;
}

int
vmc_room_take_missing(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, uint64_t counts_as, struct vmc_entry *e,
	uint64_t missing)
{
	struct vmc_patience patience = {0};
	int rc;

	do {
		vmc_runs freed = VMC_RUNS_NONE;
		if (vmc_cache_calls_back(cache))
			vmc_cache_end_wait(stripe, &patience);
		rc = make_missing(cache, stripe, e, missing, counts_as, &freed);
		if (rc == 0)
			rc = vmc_room_exchange(
				cache, &freed, blocks, counts_as, e, &missing);
		else if (rc == -ENOSPC &&
			 !(cache->wants_touches &&
				 vmc_cache_wait(cache, stripe, &patience))) {
			vmc_fail_const(
				ENOSPC, "not enough entries can be evicted");
			break;
		}
	} while (rc == -ENOSPC);
	vmc_cache_end_wait(stripe, &patience);
	return rc;
}

int
vmc_room_for_empty(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	int64_t have = vmc_room(cache);
	int rc = have > 0 ? 0
			  : vmc_room_take_missing(
				    cache, stripe, 0, 1, e, have < 0 ? 2 : 1);

	if (rc == 0)
		vmc_fetch_add_relaxed(&cache->empties, 1);
	return rc;
}

/*
 * Where the policy has no more rows to give the cache is full, whatever the
 * pool has: a row is left when all that is in it has gone.
 */
int
vmc_room_for_node(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	vmc_runs freed;
	int rc;

	while ((rc = vmc_cache_stock(cache)) == -ENOSPC) {
		rc = vmc_room_make(cache, stripe, e, 0, 0, &freed);
		if (rc)
			break;
		vmc_extent_free(cache->extent, &freed);
	}
	return rc;
}
