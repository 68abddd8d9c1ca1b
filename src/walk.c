/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.c -- showing every entry once, in the order of the index
 *
 * A step of the index yields the entries of some positions while their
 * partition of the index is latched: under the latch an entry of the index is
 * not freed, so it can be pinned without an epoch. Then, with no lock held, the
 * entries are passed to the callback one by one. The cursor is the position of
 * the next entry, which stays valid however the index grows or shrinks
 * (index.h).
 *
 * Entries of one hash have the same position, so the walk pauses between
 * positions only. If a step yields more entries than there is room for, they
 * are unpinned, and the step is repeated with more room. So no entry is lost
 * for lack of memory, and no callback sees one twice.
 *
 * Clearing the cache itself moves its entries out of the index (clear.c). If
 * on_remove is set, or there are few entries, it is a walk that removes. That
 * does not wait for callbacks of threads that are evicting an entry: such an
 * entry leaves the index at once. Clearing a space ends its era, and nothing is
 * left to remove (space.c); but if on_remove is set, the old era is walked
 * after that.
 *
 * All spaces are in one index. A walk of one space also meets the entries of
 * the others, and skips them.
 *
 * An entry that goes after it was pinned is shown all the same. An entry that
 * comes is shown if its position is still to come.
 */
#include "claim.h"

#include "base/error.h"
#include "expire.h"
#include "item.h"
#include "space.h"
#include "version.h"

#include <errno.h>

struct met {
	uint64_t position;
	struct vmemcache_item item;
};

enum { ROOM_FIRST = 32 };

/* Those that a step has met, pinned, from `next` on. */
struct batch {
	struct vmemcache *cache;
	struct vmc_stripe *stripe;
	const struct vmc_key *of; /* the era of this */
	struct met *met;
	size_t next, count, room;
	bool full; /* there were more */
	bool all;  /* also what is over */
	int error;
};

static void
let_go_of_rest(struct batch *batch)
{
	for (; batch->next < batch->count; batch->next++)
		vmc_cache_unpin(batch->cache, &batch->met[batch->next].item);
	batch->next = batch->count = 0;
}

/* The callback may not return, or return in a child. */
static void
end_batch(struct batch *batch)
{
	if (vmc_cache_is_foreign(batch->cache))
		return;
	let_go_of_rest(batch);
	if (batch->room > 0)
		vmc_free(&batch->cache->uncounted, batch->met,
			batch->room * sizeof(*batch->met));
}

static int
make_room(struct batch *batch)
{
	size_t room = batch->room ? 2 * batch->room : ROOM_FIRST;
	const struct vmc_memory *memory = &batch->cache->uncounted;
	struct met *met = vmc_alloc(memory, room * sizeof(*met));

	if (!met)
		return -ENOMEM;
	if (batch->room > 0)
		vmc_free(memory, batch->met, batch->room * sizeof(*met));
	batch->met = met;
	batch->room = room;
	return 0;
}

/* vmc_index_visit_fn: under the latch of a stripe of the index. */
static void
meet(void *leaf, void *arg)
{
	struct batch *batch = arg;
	struct vmc_entry *e = leaf;

	if (batch->error || !vmc_key_is_of_same(batch->of, e) ||
		(!batch->all && vmc_entry_is_over(e, &batch->stripe->now)))
		return;
	batch->full |= batch->count == batch->room;
	if (batch->full)
		return;
	struct met *met = &batch->met[batch->count];
	int rc = vmc_item_pin(batch->cache, batch->stripe, e, &met->item);
	if (rc == -ENOMEM)
		batch->error = rc;
	if (rc)
		return;
	met->position = vmc_index_position(
		batch->of->space->index, vmc_cache_hash(batch->cache, e));
	batch->count++;
}

/* By position: few, and mostly in order. */
static void
sort(struct batch *batch)
{
	for (size_t i = 1; i < batch->count; i++) {
		struct met met = batch->met[i];
		size_t k = i;
		for (; k > 0 && batch->met[k - 1].position > met.position; k--)
			batch->met[k] = batch->met[k - 1];
		batch->met[k] = met;
	}
}

/* The entries of the next positions, from *position on, which goes on. */
static int
next_batch(struct batch *batch, uint64_t *position)
{
	uint64_t from = *position;

	do {
		let_go_of_rest(batch);
		if (batch->full || batch->room == 0)
			batch->error = make_room(batch);
		batch->full = false;
		*position = from;
		if (!batch->error)
			vmc_index_walk(
				batch->of->space->index, position, meet, batch);
	} while (batch->full && !batch->error);
	sort(batch);
	for (size_t i = 0; i < batch->count && !batch->error; i++)
		batch->error = vmc_item_fill(
			batch->cache, batch->stripe, &batch->met[i].item);
	if (batch->error)
		let_go_of_rest(batch);
	return batch->error;
}

int
vmc_item_remove(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, enum vmemcache_reason reason, bool at_once)
{
	vmc_runs freed = VMC_RUNS_NONE;
	uint16_t state;

	vmc_cache_begin_change(cache, stripe);
	vmc_cache_work_begins(stripe);
	bool claimed = vmc_claim_entry(cache, e, &state);
	if (claimed) {
		vmc_lock_acquire(&cache->policy_lock);
		vmc_cache_let_go_of_node(cache, e);
		vmc_cache_release_policy(cache);
		int rc = vmc_cache_remove(cache, stripe, e, reason, &freed);
		if (rc < 0)
			return rc;
		vmc_extent_free(cache->extent, &freed);
	} else if (at_once) {
		(void)vmc_cache_take_out(cache, stripe, e);
	}
	vmc_cache_work_ends(stripe);
	vmc_cache_reclaim(cache, stripe);
	vmc_cache_end_change(stripe);
	return claimed;
}

int
vmc_item_offer(struct vmemcache *space, struct vmc_stripe *stripe,
	struct vmemcache_item *item, vmemcache_on_item *on_item, void *arg,
	enum vmemcache_step *step)
{
	struct vmemcache *cache = space->root;
	struct vmc_entry *e = item->entry;

	vmc_lock_assert_none_held();
	*step = on_item(space, e->key, vmc_entry_key_size(e), item, arg);
	stripe->now = 0;
	if (vmc_cache_is_foreign(cache))
		return vmc_cache_fail_foreign();
	if (*step == VMEMCACHE_WALK_REMOVE) {
		int rc = vmc_item_remove(
			cache, stripe, e, VMEMCACHE_REASON_EVICTED, false);
		if (rc < 0)
			return rc;
	}
	vmc_cache_unpin(cache, item);
	return 0;
}

ssize_t
vmc_cache_walk(struct vmemcache *space, uint64_t *cursor, size_t at_most,
	vmemcache_on_item *on_item, void *arg)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	size_t shown = 0;
	bool stop = false;

	if (!stripe)
		return -ENOMEM;
	stripe->now = 0;
	vmc_versions_ask(cache, stripe);
	vmc_cleanup(vmc_key_let_go) struct vmc_key of =
		vmc_cache_key(space, NULL, 0);
	vmc_key_hold(thread, &of);
	vmc_cleanup(end_batch) struct batch batch = {
		.cache = cache, .stripe = stripe, .of = &of};
	do {
		uint64_t after = *cursor;
		int rc = next_batch(&batch, &after);
		if (rc)
			return shown > 0 ? (ssize_t)shown : rc;
		while (batch.next < batch.count) {
			uint64_t position = batch.met[batch.next].position;
			enum vmemcache_step step;
			if (shown > 0 && (stop || shown >= at_most) &&
				position != *cursor) {
				*cursor = position;
				return (ssize_t)shown;
			}
			*cursor = position;
			rc = vmc_item_offer(space, stripe,
				&batch.met[batch.next].item, on_item, arg,
				&step);
			if (rc)
				return rc;
			batch.next++;
			shown++;
			stop |= step == VMEMCACHE_WALK_STOP;
		}
		*cursor = after;
	} while (*cursor != 0 && !stop && shown < at_most);
	return (ssize_t)shown;
}

/* All that is of that era. */
static int
remove_all(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *of)
{
	uint64_t position = 0;
	int rc;

	vmc_cleanup(end_batch) struct batch batch = {
		.cache = cache, .stripe = stripe, .of = of, .all = true};
	do {
		rc = next_batch(&batch, &position);
		while (rc == 0 && batch.next < batch.count) {
			struct vmemcache_item *item =
				&batch.met[batch.next].item;
			rc = vmc_item_remove(cache, stripe, item->entry,
				VMEMCACHE_REASON_CLEARED, true);
			if (rc < 0)
				break;
			rc = 0;
			vmc_cache_unpin(cache, item);
			batch.next++;
		}
	} while (rc == 0 && position != 0);
	return rc;
}

/* An era that has ended, of which its space is to hear. */
static void
end_of_era(struct vmc_key *of)
{
	if (vmc_cache_is_foreign(of->space))
		return;
	vmc_space_dismiss(of->era);
	vmc_key_let_go(of);
}

static int
clear_space(struct vmemcache *space, struct vmc_stripe *stripe)
{
	struct vmemcache *cache = space->root;
	struct vmc_era *ended;

	vmc_cache_begin_change(cache, stripe);
	int rc = vmc_space_clear(space, &ended);
	if (rc == 0 && !vmc_cache_calls_back(cache)) {
		/* a few for each: so eras that have ended become no more */
		vmc_cache_work_begins(stripe);
		(void)vmc_share_reclaim(cache, stripe);
		vmc_cache_work_ends(stripe);
		vmc_cache_reclaim(cache, stripe);
	}
	vmc_cache_end_change(stripe);
	if (rc)
		return rc;
	vmc_cleanup(end_of_era) struct vmc_key of = {.space = space,
		.era = ended,
		.mark = VMC_ENTRY_MARK,
		.era_id = ended->id};
	return space->on_remove ? remove_all(cache, stripe, &of) : 0;
}

int
vmc_cache_clear(struct vmemcache *space)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!stripe)
		return -ENOMEM;
	stripe->now = 0;
	if (vmc_is_space(space))
		return clear_space(space, stripe);
	const struct vmc_key of = {.space = cache};
	int rc = 0;
	if (cache->on_remove || !vmc_clear_own(cache, stripe))
		rc = remove_all(cache, stripe, &of);
	/* a callback that clears the cache calls no other */
	vmc_stripe_in_callbacks(stripe, thread);
	if (rc == 0 && stripe->nested == 0)
		rc = vmc_clear_pieces(cache, stripe);
	return rc;
}
