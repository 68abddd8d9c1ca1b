/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reserve.c -- values made in place: reserve, commit, abort
 *
 * A reservation is a store (store.c) that stops before the index: an entry that
 * no other call finds, with its blocks, which the program fills. It belongs to
 * no thread: any thread may commit it, by the second half of a store, or abort
 * it.
 *
 * Its blocks cannot be evicted, and no put waits for them: a put that would
 * need them fails with ENOSPC.
 *
 * A commit of fewer bytes frees the blocks that are not needed if the value has
 * one run. A value of several runs keeps them, as their list is one object.
 *
 * A committed value always has a version: a reservation makes the cache keep
 * versions, as they may be wanted by the time of the commit (version.c).
 *
 * The quota of a space counts a reservation from when it is made. A clear does
 * not end it: the commit has it admitted once more, to what the space has now.
 *
 * An abort always succeeds. A thread without memory for its per-thread state
 * ends the wait for the reservation, and puts it into a list under the policy's
 * lock, from which the next thread that reclaims frees it. A commit by such a
 * thread fails, and does the same.
 */
#include "expire.h"
#include "flight.h"
#include "item.h"
#include "space.h"
#include "store.h"
#include "version.h"

#include "base/error.h"

#include <errno.h>

struct vmc_reservation {
	struct vmc_reservation *next; /* of those that are abandoned */
	struct vmc_entry *entry;
	struct vmemcache *space;
	struct vmemcache_store how;
	struct vmc_flight *flight; /* NULL: it is not exclusive */
};

static struct vmc_reservation *
reservation_of(const struct vmemcache_item *item)
{
	return item->kind == VMC_ITEM_RESERVED && item->iov_count >= 0
		       ? item->entry
		       : NULL;
}

/* Entry and blocks, evicting as a put would; nothing else is left of a failure.
 */
static int
take(struct vmc_storing *s)
{
	vmc_cache_begin_change(s->cache, s->stripe);
	vmc_cache_reclaim(s->cache, s->stripe);
	int rc = -ENOMEM;
	s->e = vmc_store_make_entry(s);
	if (s->e) {
		vmc_epoch_enter(s->thread);
		const struct vmc_entry *old =
			vmc_index_find(s->key->space->index, s->key->hash,
				vmc_entry_match, s->key);
		vmc_epoch_exit(s->thread);
		/* both may have to be there for long: see share.c */
		if (s->key->mark != 0 && s->key->era->quota != UINT64_MAX)
			old = NULL;
		rc = vmc_store_take_room(s, old, 0);
	}
	if (rc == -EBADF)
		return rc;
	if (rc == 0)
		vmc_cache_work_ends(s->stripe);
	vmc_cache_end_change(s->stripe);
	return rc;
}

static void
end_flight(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_reservation *r, int result)
{
	if (r->flight)
		vmc_flight_end(cache, stripe, r->flight, result);
}

static void
count_begin(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_entry *e)
{
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_fetch_add_acq_rel(
			&vmc_era_of(cache, e)->open, vmc_entry_blocks(e));
	vmc_count(stripe, VMC_COUNT_RESERVED, 1);
	vmc_count(stripe, VMC_COUNT_RESERVED_BYTES, vmc_entry_value_size(e));
}

/* By a thread that may have no stripe (NULL). */
static void
count_end(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_entry *e)
{
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_fetch_sub_acq_rel(
			&vmc_era_of(cache, e)->open, vmc_entry_blocks(e));
	vmc_count_gone(&cache->stripes, stripe, VMC_COUNT_RESERVED_GONE, 1);
	vmc_count_gone(&cache->stripes, stripe, VMC_COUNT_RESERVED_BYTES_GONE,
		vmc_entry_value_size(e));
}

/* They are not its space's any more. */
static inline void
give_blocks_back(
	struct vmemcache *cache, const struct vmc_entry *e, uint64_t blocks)
{
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_era_give_back(vmc_era_of(cache, e), blocks);
}

static void
free_entry(struct vmemcache *cache, struct vmc_entry *e)
{
	give_blocks_back(cache, e, vmc_entry_blocks(e));
	vmc_cache_uncount_empty(cache, e);
	vmc_extent_free(cache->extent, &e->runs);
	vmc_put_free_entry(cache, e);
}

/* What a reservation has that was counted, as it has ended, goes. */
static void
let_go(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_reservation *r)
{
	vmc_cache_begin_change(cache, stripe);
	free_entry(cache, r->entry);
	vmc_cache_end_change(stripe);
	end_flight(cache, stripe, r, VMC_FLIGHT_GONE);
	vmc_free(&cache->uncounted, r, sizeof(*r));
}

/* By a thread that has no stripe. */
static void
abandon(struct vmemcache *cache, struct vmc_reservation *r)
{
	if (r->flight)
		vmc_flight_tell(r->flight, VMC_FLIGHT_GONE);
	vmc_lock_acquire(&cache->policy_lock);
	r->next = vmc_load_relaxed(&cache->abandoned);
	vmc_store_release(&cache->abandoned, r);
	vmc_cache_release_policy(cache);
}

void
vmc_cache_adopt_abandoned(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	vmc_lock_acquire(&cache->policy_lock);
	struct vmc_reservation *r = vmc_load_relaxed(&cache->abandoned);
	vmc_store_relaxed(&cache->abandoned, NULL);
	vmc_cache_release_policy(cache);
	while (r) {
		struct vmc_reservation *next = r->next;
		if (stripe) {
			let_go(cache, stripe, r);
		} else { /* its flight goes with all others */
			free_entry(cache, r->entry);
			vmc_free(&cache->uncounted, r, sizeof(*r));
		}
		r = next;
	}
}

/* A reservation that was taken goes. */
static void
give_up(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_reservation *r)
{
	count_end(cache, stripe, r->entry);
	if (stripe)
		let_go(cache, stripe, r);
	else
		abandon(cache, r);
}

/* One that is not taken yet; on_evict may not return, or return in a child. */
struct reserving {
	struct vmemcache *cache;
	struct vmc_stripe *stripe;
	struct vmc_reservation *r;
};

static void
end_of_reserving(struct reserving *reserving)
{
	if (!reserving->r || vmc_cache_is_foreign(reserving->cache))
		return;
	end_flight(reserving->cache, reserving->stripe, reserving->r,
		VMC_FLIGHT_GONE);
	vmc_free(&reserving->cache->uncounted, reserving->r,
		sizeof(*reserving->r));
}

int
vmc_cache_reserve(struct vmemcache *space, const void *data, size_t key_size,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_reservation *r =
		stripe ? vmc_alloc(&cache->uncounted, sizeof(*r)) : NULL;

	if (!r)
		return -ENOMEM;
	*r = (struct vmc_reservation){.space = space, .how = *how};
	vmc_cleanup(end_of_reserving) struct reserving reserving = {
		cache, stripe, r};
	stripe->now = 0;
	vmc_versions_ask(cache, stripe);
	vmc_cleanup(vmc_key_let_go) struct vmc_key key =
		vmc_cache_key(space, data, key_size);
	vmc_key_hold(thread, &key);
	struct vmc_storing s = {
		cache, thread, stripe, &key, NULL, value_size, how, NULL};
	if (how->flags & VMEMCACHE_EXCLUSIVE) {
		struct vmc_flight *flight;
		int rc = vmc_flight_begin(cache, stripe, &key, false, &flight);
		if (rc == -EINPROGRESS)
			return vmc_fail_const(EINPROGRESS,
				"another reservation or load of the key is "
				"under way");
		if (rc)
			return rc;
		r->flight = flight;
	}
	/* so that there is a timer when the old one's expiry is known */
	int rc =
		how->flags & VMEMCACHE_KEEP_TTL ? vmc_expiry_prepare(cache) : 0;
	if (rc == 0)
		rc = take(&s);
	if (rc)
		return rc;
	reserving.r = NULL;
	r->entry = s.e;
	count_begin(cache, stripe, s.e);
	vmc_item_show(cache, stripe, s.e, item);
	if (item->iov_count < 0) {
		give_up(cache, stripe, r);
		return -ENOMEM;
	}
	item->kind = VMC_ITEM_RESERVED;
	item->entry = r;
	return 0;
}

/* Fewer bytes than were reserved; in one run, also fewer blocks. */
static void
shorten(struct vmemcache *cache, struct vmc_entry *e, size_t value_size)
{
	uint64_t blocks = vmc_cache_blocks_for(cache, value_size);
	vmc_run run = e->runs.word;

	vmc_entry_set_value_size(e, value_size);
	if (run == 0 || run & VMC_RUNS_ARRAY || vmc_run_count(run) <= blocks)
		return;
	vmc_runs rest = vmc_runs_one(vmc_run_make(
		vmc_run_first(run) + blocks, vmc_run_count(run) - blocks));
	/* an empty one counts as one */
	give_blocks_back(
		cache, e, vmc_run_count(run) - (blocks > 0 ? blocks : 1));
	e->runs =
		blocks ? vmc_runs_one(vmc_run_make(vmc_run_first(run), blocks))
		       : VMC_RUNS_NONE;
	if (vmc_entry_is_empty(e))
		vmc_fetch_add_relaxed(&cache->empties, 1);
	vmc_extent_free(cache->extent, &rest);
}

/* A commit of what is no reservation any more; callbacks may not return. */
struct committing {
	struct vmemcache *cache;
	struct vmc_stripe *stripe;
	struct vmc_reservation r;
	struct vmc_entry *unseen; /* NULL, but while room is made for it */
	int result;
};

static void
end_of_commit(struct committing *c)
{
	if (vmc_cache_is_foreign(c->cache))
		return;
	if (c->unseen) {
		vmc_cache_begin_change(c->cache, c->stripe);
		free_entry(c->cache, c->unseen);
		vmc_cache_end_change(c->stripe);
		c->result = VMC_FLIGHT_GONE;
	}
	end_flight(c->cache, c->stripe, &c->r, c->result);
}

/* All but the index has room for the value. Negative errno: it is as it was. */
static int
prepare(struct committing *c, struct vmc_storing *s)
{
	struct vmemcache *cache = c->cache;
	int rc = 0;

	shorten(cache, s->e, s->value_size);
	if (s->key->mark != 0 && vmc_era_of(cache, s->e) != s->key->era) {
		c->unseen = s->e;
		rc = vmc_store_admit(s);
		c->unseen = NULL;
	}
	if (rc == 0 && !vmc_cache_is_stocked(cache))
		rc = vmc_cache_stock(cache);
	if (rc == 0)
		rc = vmc_put_stock_order(cache, c->stripe);
	if (rc == 0 && vmc_ring_is_full(&c->stripe->ring))
		vmc_cache_feed(cache, &c->stripe->ring, true);
	return rc;
}

int
vmc_cache_commit(struct vmemcache *space, struct vmemcache_item *item,
	size_t value_size, uint64_t *version)
{
	struct vmemcache *cache = space->root;
	struct vmc_reservation *r = reservation_of(item);
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!r)
		return vmc_fail_const(EINVAL, "the item is not reserved");
	if (r->space != space)
		return vmc_fail_const(
			EINVAL, "the item is reserved in another space");
	if (value_size > vmc_entry_value_size(r->entry))
		return vmc_fail_const(EINVAL, "commit: more than was reserved");
	if (!stripe) {
		vmc_cache_abort(cache, item);
		return -ENOMEM;
	}
	stripe->now = 0;
	vmc_cleanup(end_of_commit) struct committing own = {
		cache, stripe, *r, NULL, 0};
	vmc_item_end(cache, item);
	vmc_free(&cache->uncounted, r, sizeof(*r));
	struct vmc_entry *e = own.r.entry;
	vmc_cleanup(vmc_key_let_go) struct vmc_key key =
		vmc_cache_key(space, e->key, vmc_entry_key_size(e));
	vmc_key_hold(thread, &key);
	struct vmc_storing s = {
		cache, thread, stripe, &key, NULL, value_size, &own.r.how, e};
	uint64_t stored = vmc_entry_version(e);
	vmc_cache_begin_change(cache, stripe);
	count_end(cache, stripe, e);
	vmc_cache_work_begins(stripe);
	int rc = prepare(&own, &s);
	if (rc == 0)
		rc = vmc_store_place(&s);
	else if (rc != -EBADF)
		vmc_put_give_back(cache, stripe, e);
	if (rc == -EBADF)
		return rc;
	vmc_cache_end_change(stripe);
	if (rc) {
		own.result = VMC_FLIGHT_GONE;
		vmc_cache_count_failure(space, stripe, own.r.how.mode, rc);
	} else if (version) {
		*version = stored;
	}
	return vmc_store_failed(rc);
}

void
vmc_cache_abort(struct vmemcache *cache, struct vmemcache_item *item)
{
	struct vmc_reservation *r = reservation_of(item);
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!r)
		return;
	give_up(cache, stripe, r);
	vmc_item_end(cache, item);
}
