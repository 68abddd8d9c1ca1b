/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evict.c -- taking entries out of the cache
 *
 * An evictor first claims an entry: the step LIVE -> EVICTING succeeds for one
 * thread, and only that thread goes on to remove it. Code that finds the entry
 * later (a search for victims, another evict of the key, a touch in a ring)
 * sees that it is not LIVE and leaves it alone. The way of an entry:
 *
 *   1. out of the policy, and out of any reserve
 *   2. the on_evict callback runs   (no lock held; gets still answer)
 *   3. out of the index             (a get that starts now misses), and then
 *      out of the order of keys
 *   4. state DEAD, blocks given up  (a get in its copy looks again, get.c); if
 *      it is pinned, the last unpin goes on from here
 *   5. the entry goes to the limbo, and is freed when no reader is left that
 *      could know it and after all rings were drained once more
 *
 * Why 5 is enough for the rings, which hold plain pointers. Two kinds of
 * threads push an entry into a ring: one inside an epoch in which it found the
 * entry before 3, or published it; and one that has a pin, during which the
 * entry is not retired. Once the limbo reports that no such epoch is left, no
 * push can follow; the drain after that removes the last pointers. A drained
 * entry gets into the policy only while it is LIVE, and only if the policy
 * holds it, it was in a reserve, or it is new. A thread that claims it after
 * that check removes it again under the lock. A thread that has claimed it from
 * a reserve emptied the place first, so the policy cannot take it back.
 */
#include "claim.h"

#include "base/error.h"
#include "expire.h"
#include "item.h"
#include "space.h"
#include "visit.h"

#include <errno.h>

struct showing {
	struct vmemcache *cache;
	struct vmemcache_item item;
};

static void
end_of_showing(struct showing *showing)
{
	if (!vmc_cache_is_foreign(showing->cache))
		vmc_item_end(showing->cache, &showing->item);
}

void
vmc_cache_call_on_remove(struct vmemcache *cache, struct vmemcache *space,
	struct vmc_stripe *stripe, struct vmc_entry *e,
	enum vmemcache_reason reason)
{
	vmc_cleanup(end_of_showing) struct showing showing = {.cache = cache};

	vmc_item_show(cache, stripe, e, &showing.item);
	space->on_remove(space, e->key, vmc_entry_key_size(e), &showing.item,
		reason, space->on_remove_arg);
}

/* An entry that callbacks are called for; the rest of the victims comes after.
 */
struct leaving {
	struct vmemcache *cache;
	struct vmc_stripe *stripe;
	struct vmc_entry *entry;
	struct vmc_claim *rest;  /* NULL: none */
	struct vmemcache *space; /* whose callbacks */
	bool returned;
};

/*
 * If a callback does not return, the entry and the rest stay, as if they had
 * not been claimed: no callback has told of the rest, and the entry answers
 * still. What was reserved since then comes behind them.
 */
static void
end_of_callbacks(struct leaving *leaving)
{
	struct vmemcache *cache = leaving->cache;

	leaving->stripe->nested--;
	vmc_space_called(leaving->space);
	if (leaving->returned || vmc_cache_is_foreign(cache))
		return;
	vmc_lock_acquire(&cache->policy_lock);
	vmc_visit_recall(cache, leaving->stripe);
	vmc_claim_give_back(
		cache, leaving->stripe, leaving->rest, leaving->entry);
	vmc_cache_release_policy(cache);
	vmc_cache_end_change(leaving->stripe);
}

/* Somebody was told: 1; or nobody. -EBADF: it has returned in a child. */
static int
call_back(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmc_claim *rest,
	enum vmemcache_reason reason)
{
	struct vmemcache *space = vmc_space_to_call(cache, e);

	if (!space)
		return 0;
	if (vmc_cleared_has(cache, e)) {
		vmc_space_called(space);
		return 0;
	}
	vmc_stripe_in_callbacks(stripe, vmc_thread_self());
	vmc_cleanup(end_of_callbacks) struct leaving leaving = {
		cache, stripe, e, rest, space, false};

	stripe->nested++;
	vmc_cache_work_ends(stripe); /* a callback takes as long as it likes */
	if (space->on_evict && reason != VMEMCACHE_REASON_CLEARED)
		space->on_evict(space, e->key, vmc_entry_key_size(e),
			space->on_evict_arg);
	if (space->on_remove && !vmc_cache_is_foreign(cache))
		vmc_cache_call_on_remove(cache, space, stripe, e, reason);
	leaving.returned = true;
	stripe->now = 0;
	vmc_cache_work_begins(stripe);
	return vmc_cache_is_foreign(cache) ? vmc_cache_fail_foreign() : 1;
}

/*
 * hash: its key's; of_space: it is marked. -ENOENT; VMC_WAS_OVER: it was in
 * what has been cleared.
 */
static inline __attribute__((always_inline)) int
take_out(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t hash, bool of_space)
{
	struct vmc_index *index =
		of_space ? vmc_load_acquire(&cache->spaces)->index
			 : cache->index;
	int gone = vmc_index_remove(index, hash, e);

	if (__builtin_expect(gone != 0, 0) &&
		vmc_cleared_take_out(cache, hash, e))
		gone = VMC_WAS_OVER;

	if (!of_space && __builtin_expect(cache->order != NULL, 0))
		vmc_count(stripe, VMC_COUNT_METADATA,
			vmc_order_remove(cache->order, vmc_thread_self(), e));
	return gone;
}

int
vmc_cache_take_out(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	return take_out(cache, stripe, e, vmc_cache_hash(cache, e),
		vmc_entry_is_marked(e));
}

/*
 * Steps 2 to 5 for an entry that the caller has claimed, as it has the rest;
 * its blocks, or none where pins keep them. VMC_REPLACED: a store has put
 * another value of the key into the index since; VMC_WAS_OVER: it was cleared
 * before the callback. What was only taken out of sight meanwhile, by a clear
 * or with its prefix, counts as evicted by this call, and by no other. -EBADF:
 * the callback has returned in a child, where nothing may be touched.
 */
static inline __attribute__((always_inline)) int
remove_one(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t hash, struct vmc_claim *rest,
	bool of_space, enum vmemcache_reason reason, vmc_runs *freed)
{
	int told = 0;

	vmc_lock_assert_none_held();
	if (vmc_cache_calls_back(cache)) {
		told = call_back(cache, stripe, e, rest, reason);
		if (told < 0)
			return told;
	}
	int gone = take_out(cache, stripe, e, hash, of_space);
	if (of_space)
		reason = vmc_space_went(cache, e, reason);
	else if (__builtin_expect(gone == VMC_WAS_OVER, 0) && !told)
		reason = VMEMCACHE_REASON_CLEARED;
	vmc_count(stripe, vmc_count_of_removal(reason), 1);
	vmc_count(stripe, VMC_COUNT_VALUES_GONE, vmc_entry_value_size(e));
	vmc_expiry_stop(cache, e);
	uint16_t state = vmc_fetch_add_acq_rel(
		&e->state, VMC_ENTRY_DEAD - VMC_ENTRY_EVICTING);
	*freed = __builtin_expect(state < VMC_ENTRY_PIN, 1)
			 ? vmc_cache_let_go_of(cache, stripe, e, of_space)
			 : VMC_RUNS_NONE;
	if (__builtin_expect(gone == 0, 1))
		return 0;
	if (gone == -ENOENT)
		return state & VMC_ENTRY_REPLACED ? VMC_REPLACED : 0;
	return told ? 0 : gone;
}

static __attribute__((noinline)) int
remove_of_space(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmc_claim *rest,
	enum vmemcache_reason reason, vmc_runs *freed)
{
	return remove_one(cache, stripe, e, vmc_cache_hash(cache, e), rest,
		true, reason, freed);
}

/* What the cache itself has costs nothing for spaces. */
static __attribute__((noinline)) int
remove_claimed(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmc_claim *rest,
	enum vmemcache_reason reason, vmc_runs *freed)
{
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		return remove_of_space(cache, stripe, e, rest, reason, freed);
	return remove_one(cache, stripe, e, vmc_cache_hash(cache, e), rest,
		false, reason, freed);
}

int
vmc_cache_remove(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, enum vmemcache_reason reason, vmc_runs *freed)
{
	return remove_claimed(cache, stripe, e, NULL, reason, freed);
}

int
vmc_claim_remove(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, enum vmemcache_reason reason, vmc_runs *freed)
{
	struct vmc_entry *e;
	int result = VMC_WAS_OVER;

	*freed = VMC_RUNS_NONE;
	while ((e = vmc_claim_pop(cache, claim))) {
		bool over = vmc_entry_is_over(e, &stripe->now);
		vmc_extent_free(cache->extent, freed);
		int rc = remove_claimed(cache, stripe, e, claim,
			over ? VMEMCACHE_REASON_EXPIRED : reason, freed);
		if (rc < 0)
			return rc;
		if (!over && rc != VMC_WAS_OVER)
			result = 0;
	}
	return reason == VMEMCACHE_REASON_EVICTED ? result : 0;
}

static __attribute__((noinline)) int
make_more_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, uint64_t bytes, struct vmc_entry *first,
	enum vmemcache_reason reason, vmc_runs *freed)
{
	struct vmc_claim claim;

	vmc_claim_begin(&claim, blocks, bytes, stripe->spared);
	int rc = vmc_claim_victims(cache, stripe, &claim, first);
	return rc ? rc : vmc_claim_remove(cache, stripe, &claim, reason, freed);
}

/* The usual: one victim is enough. */
static inline bool
is_enough(struct vmc_stripe *stripe, const struct vmc_entry *e, uint64_t blocks,
	uint64_t bytes)
{
	return __builtin_expect(e && vmc_entry_blocks(e) >= blocks &&
					bytes == 0 &&
					!vmc_entry_is_over(e, &stripe->now),
		1);
}

/* Of make_room, whose only victim has gone with that result. */
static inline int
result_of(int rc, enum vmemcache_reason reason)
{
	if (__builtin_expect(rc == 0, 1))
		return 0;
	bool again = rc == VMC_WAS_OVER && reason == VMEMCACHE_REASON_EVICTED;
	return rc < 0 || again ? rc : 0;
}

/* Where victims are chosen late, and there are no spaces (late.c). */
static int
make_room_late(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, uint64_t bytes, enum vmemcache_reason reason,
	vmc_runs *freed)
{
	uint64_t hash;
	struct vmc_entry *e = vmc_claim_late(cache, stripe, &hash);

	if (!is_enough(stripe, e, blocks, bytes))
		return make_more_room(
			cache, stripe, blocks, bytes, e, reason, freed);
	if (hash == 0) /* not known */
		hash = vmc_cache_hash(cache, e);
	int rc = remove_one(cache, stripe, e, hash, NULL, false, reason, freed);
	return result_of(rc, reason);
}

/* counts: the policy counts uses. */
static inline __attribute__((always_inline)) int
make_room(struct vmemcache *cache, struct vmc_stripe *stripe, uint64_t blocks,
	uint64_t bytes, enum vmemcache_reason reason, vmc_runs *freed,
	bool counts)
{
	struct vmc_entry *e = vmc_claim_reserved(cache, stripe, counts);

	if (!is_enough(stripe, e, blocks, bytes))
		return make_more_room(
			cache, stripe, blocks, bytes, e, reason, freed);
	int rc =
		__builtin_expect(vmc_entry_is_marked(e), 0)
			? remove_of_space(cache, stripe, e, NULL, reason, freed)
			: remove_one(cache, stripe, e, vmc_cache_hash(cache, e),
				  NULL, false, reason, freed);
	return result_of(rc, reason);
}

static __attribute__((noinline)) int
make_room_by_use(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, uint64_t bytes, enum vmemcache_reason reason,
	vmc_runs *freed)
{
	bool late = vmc_cache_chooses_late(cache, stripe) &&
		    vmc_reserve_is_empty(&stripe->reserve) &&
		    !vmc_spaces_are_active(cache);

	return late ? make_room_late(
			      cache, stripe, blocks, bytes, reason, freed)
		    : make_room(cache, stripe, blocks, bytes, reason, freed,
			      true);
}

int
vmc_cache_make_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, uint64_t bytes, enum vmemcache_reason reason,
	vmc_runs *freed)
{
	*freed = VMC_RUNS_NONE;
	if (__builtin_expect(cache->counts > 0, 0))
		return make_room_by_use(
			cache, stripe, blocks, bytes, reason, freed);
	return make_room(cache, stripe, blocks, bytes, reason, freed, false);
}

int
vmc_cache_make_room_for(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_era *own, uint64_t blocks, uint64_t bytes,
	enum vmemcache_reason reason, vmc_runs *freed)
{
	struct vmc_claim claim;
	struct vmc_entry *e = NULL;
	bool only_own = reason == VMEMCACHE_REASON_EVICTED;

	*freed = VMC_RUNS_NONE;
	if (!only_own && !vmc_cache_chooses_late(cache, stripe))
		e = vmc_claim_reserved(cache, stripe, cache->counts > 0);
	if (is_enough(stripe, e, blocks, bytes)) {
		int rc = remove_claimed(cache, stripe, e, NULL, reason, freed);
		return rc < 0 ? rc : 0;
	}
	vmc_claim_begin(&claim, blocks, bytes, stripe->spared);
	claim.own = own;
	claim.only_own = only_own;
	int rc = vmc_claim_victims(cache, stripe, &claim, e);
	return rc ? rc : vmc_claim_remove(cache, stripe, &claim, reason, freed);
}
