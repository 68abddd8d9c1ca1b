/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limit.c -- a limit on metadata
 *
 * The bytes of metadata are counted per thread (stripe.h); adding that up at
 * each put would read a cache line of every thread. So a thread adds its
 * difference to the cache's sum `told` only when that has reached a step: its
 * puts write to memory that other threads read once in many puts. `over`
 * records whether the sum then exceeded the limit. While it is set, every put
 * evicts twice as much metadata as its own entry takes, so at least two entries
 * or one large one; when the sum has fallen by a step, the thread that reports
 * it clears `over`.
 *
 * What was cleared or has expired goes first, and other entries only for the
 * rest. A touch that makes an entry larger (renew.c) evicts like a put.
 *
 * The error is at most a step per thread: all steps together are a fixed part
 * of the limit, and the sum is kept below the limit by that part. A thread that
 * ends reports all (visit.c). Any thread may report for another: the atomic
 * exchange of what was reported before makes the sum right, whichever is first.
 *
 * Only entries are evicted for the limit. The other metadata, mainly the index,
 * shrinks with them.
 */
#include "room.h"

#include "base/error.h"

#include <errno.h>

/* Parts of the limit that the aim is below it, and that all steps come to. */
#define PART_BELOW 16
#define PART_OF_STEPS 32

static uint64_t
bytes_of(const struct vmc_stripe *stripe)
{
	uint64_t gone =
		vmc_load_acquire(&stripe->counter[VMC_COUNT_METADATA_GONE]);

	return vmc_load_relaxed(&stripe->counter[VMC_COUNT_METADATA]) - gone;
}

void
vmc_limit_tell(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	uint64_t bytes = bytes_of(stripe);
	uint64_t told = vmc_exchange_acq_rel(&stripe->told, bytes);

	vmc_fetch_add_relaxed(&cache->told, bytes - told);
}

static void
tell_all(struct vmemcache *cache)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;)
		vmc_limit_tell(cache, s);
}

/* As told; of an open cache. More than 2^63 stand for less than nothing. */
static uint64_t
used(const struct vmemcache *cache)
{
	uint64_t bytes = vmc_load_relaxed(&cache->told) - cache->dram_baseline +
			 vmc_load_relaxed(&cache->policy->bytes);

	return bytes > INT64_MAX ? 0 : bytes;
}

static bool
is_over(struct vmemcache *cache, uint64_t limit)
{
	bool over = limit != 0 && used(cache) > limit - limit / PART_BELOW;

	if (vmc_load_relaxed(&cache->over) != over)
		vmc_store_relaxed(&cache->over, over);
	return over;
}

void
vmc_limit_set(struct vmemcache *cache, uint64_t limit)
{
	vmc_store_relaxed(&cache->metadata_limit, limit);
	if (!vmc_cache_is_open(cache))
		return;
	tell_all(cache);
	is_over(cache, limit);
}

/* Has the stripe got by a step more, or less, since it told? */
static bool
is_to_tell(struct vmemcache *cache, const struct vmc_stripe *stripe,
	uint64_t limit)
{
	uint64_t step =
		limit / PART_OF_STEPS / vmc_load_relaxed(&cache->stripes.count);
	uint64_t more = bytes_of(stripe) - vmc_load_relaxed(&stripe->told);

	return (more > INT64_MAX ? -more : more) >= step;
}

/* Twice as much as the entry, or where there is not so much, as much. */
static int
evict(struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	uint64_t size = vmc_entry_size(e), got = 0;
	vmc_runs freed;
	int rc = vmc_room_may_be_useless(cache, stripe)
			 ? vmc_room_of_useless_metadata(
				   cache, stripe, e, 2 * size, &got)
			 : 0;

	if (rc || got >= 2 * size)
		return rc;
	rc = vmc_room_make(cache, stripe, e, 0, 2 * size - got, &freed);
	if (rc == -ENOSPC && got >= size)
		return 0;
	if (rc == -ENOSPC)
		rc = vmc_room_make(cache, stripe, e, 0, size - got, &freed);
	if (rc == 0)
		vmc_extent_free(cache->extent, &freed);
	return rc;
}

/*
 * Not enough can be evicted: what others have in hand is waited for, unless
 * there is room, by an exact look.
 */
static int
evict_or_wait(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	struct vmc_patience patience = {0};
	int rc;

	do {
		uint64_t limit = vmc_load_relaxed(&cache->metadata_limit);
		tell_all(cache);
		is_over(cache, limit);
		if (limit == 0 || used(cache) + vmc_entry_size(e) <= limit) {
			rc = 0;
			break;
		}
		if (vmc_cache_calls_back(cache))
			vmc_cache_end_wait(stripe, &patience);
		rc = evict(cache, stripe, e);
	} while (rc == -ENOSPC && cache->wants_touches &&
		 vmc_cache_wait(cache, stripe, &patience));
	vmc_cache_end_wait(stripe, &patience);
	return rc == -ENOSPC
		       ? vmc_fail_const(ENOSPC,
				 "metadata is at its limit, and not enough "
				 "entries can be evicted")
		       : rc;
}

bool
vmc_limit_is_near(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	uint64_t limit = vmc_load_relaxed(&cache->metadata_limit);

	if (limit == 0)
		return false;
	if (is_to_tell(cache, stripe, limit)) {
		vmc_limit_tell(cache, stripe);
		is_over(cache, limit);
	}
	return vmc_load_relaxed(&cache->over);
}

int
vmc_limit_make_room(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	uint64_t limit = vmc_load_relaxed(&cache->metadata_limit);
	int rc;

	if (vmc_entry_size(e) > limit && limit > 0)
		return vmc_fail_const(
			ENOSPC, "key larger than the limit on metadata");
	if (!vmc_limit_is_near(cache, stripe))
		return 0;
	rc = evict(cache, stripe, e);
	return rc == -ENOSPC ? evict_or_wait(cache, stripe, e) : rc;
}
