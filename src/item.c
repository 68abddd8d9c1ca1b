/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * item.c -- an item that is held: its pieces, its crowd, and its unpin
 *
 * What pin.c shares with walks, reservations and callbacks. Any thread may
 * unpin an item, one thread at a time; crowds (pin counts above 1022, see
 * pin.c) are under their latch.
 */
#include "item.h"

#include "base/error.h"

#include <errno.h>

static_assert(sizeof(struct vmemcache_item) == 160, "the ABI");

/* --- crowds --- */

static struct vmc_crowd **
find_crowd(struct vmemcache *cache, const struct vmc_entry *e)
{
	struct vmc_crowd **at = &cache->crowds;

	while (*at && (*at)->entry != e)
		at = &(*at)->next;
	return at;
}

int
vmc_item_join(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmc_crowd **spare, enum vmc_item_kind *kind)
{
	struct vmc_crowd *crowd = *find_crowd(cache, e);
	uint16_t state = vmc_load_acquire(&e->state);

	*kind = VMC_ITEM_CROWDED;
	if (crowd) { /* it has a pin, so there is no need to look */
		crowd->pins++;
		return 0;
	}
	do {
		if (vmc_entry_is_moving(state))
			state = vmc_entry_settled(e);
		if ((state & VMC_ENTRY_STATES) == VMC_ENTRY_DEAD)
			return -EAGAIN;
	} while (!vmc_cas_acq_rel(
		&e->state, &state, (uint16_t)(state + VMC_ENTRY_PIN)));
	if (vmc_entry_pins(state) < VMC_WORD_PINS) {
		if (vmc_entry_pins(state) == 0)
			vmc_item_count_first(cache, stripe, e);
		*kind = VMC_ITEM_PINNED;
		return 0;
	}
	**spare = (struct vmc_crowd){cache->crowds, e, 1};
	cache->crowds = *spare;
	*spare = NULL;
	return 0;
}

/* True: the pin of the word that the crowd had is the caller's to drop. */
static bool
leave_crowd(struct vmemcache *cache, const struct vmc_entry *e)
{
	vmc_latch_acquire(&cache->crowds_latch, VMC_RANK_PINS);
	struct vmc_crowd **at = find_crowd(cache, e);
	struct vmc_crowd *crowd = *at;
	bool last = --crowd->pins == 0;
	if (last)
		*at = crowd->next;
	vmc_latch_release(&cache->crowds_latch, VMC_RANK_PINS);
	if (last)
		vmc_free(&cache->uncounted, crowd, sizeof(*crowd));
	return last;
}

/* --- what an item tells --- */

/* The pieces of a value in several runs, or in none. -ENOMEM. */
int
vmc_item_list_pieces(struct vmemcache *cache, const struct vmc_entry *e,
	struct vmemcache_item *item)
{
	size_t left = vmc_entry_value_size(e);
	struct iovec *piece = item->piece;
	uint64_t count;
	const vmc_run *run = vmc_runs_view(&e->runs, &count);
	int i = 0;

	if (count > sizeof(item->piece) / sizeof(item->piece[0])) {
		piece = vmc_alloc(&cache->uncounted, count * sizeof(*piece));
		item->more = piece;
		item->piece[0].iov_len = count; /* which has no other use */
		if (!piece)
			return -ENOMEM;
	}
	/* a value that was shortened may have runs that it does not need */
	for (; (uint64_t)i < count && left > 0; i++) {
		size_t n = vmc_run_count(run[i]) * cache->block_size;
		if (n > left)
			n = left;
		piece[i].iov_base =
			vmc_block_address(cache, vmc_run_first(run[i]));
		piece[i].iov_len = n;
		left -= n;
	}
	item->iov = piece;
	item->iov_count = i;
	return 0;
}

int
vmc_item_pin(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmemcache_item *item)
{
	uint16_t state = vmc_load_acquire(&e->state);
	enum vmc_item_kind kind = VMC_ITEM_PINNED;
	struct vmc_crowd *spare;
	int rc = 0;

	while ((state & VMC_ENTRY_STATES) != VMC_ENTRY_DEAD &&
		vmc_entry_pins(state) < VMC_WORD_PINS) {
		if (vmc_entry_is_moving(state)) {
			state = vmc_entry_settled(e);
			continue;
		}
		if (!vmc_cas_acq_rel(&e->state, &state,
			    (uint16_t)(state + VMC_ENTRY_PIN)))
			continue;
		if (vmc_entry_pins(state) == 0)
			vmc_item_count_first(cache, stripe, e);
		goto pinned;
	}
	spare = vmc_alloc(&cache->uncounted, sizeof(*spare));
	if (!spare)
		return -ENOMEM;
	vmc_latch_acquire(&cache->crowds_latch, VMC_RANK_PINS);
	rc = vmc_item_join(cache, stripe, e, &spare, &kind);
	vmc_latch_release(&cache->crowds_latch, VMC_RANK_PINS);
	if (spare)
		vmc_free(&cache->uncounted, spare, sizeof(*spare));
pinned:
	vmc_item_clear(item);
	item->entry = e;
	item->kind = kind;
	item->more = NULL;
	return rc;
}

int
vmc_item_fill(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmemcache_item *item)
{
	return vmc_item_tell(
		cache, item->entry, item->kind, item, &stripe->now);
}

void
vmc_item_end(struct vmemcache *cache, struct vmemcache_item *item)
{
	if (__builtin_expect(item->more != NULL, 0))
		vmc_free(&cache->uncounted, item->more,
			item->piece[0].iov_len * sizeof(*item->iov));
	item->more = NULL;
	vmc_item_clear(item);
}

void
vmc_item_show(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmemcache_item *item)
{
	vmc_item_clear(item);
	(void)vmc_item_tell(cache, e, VMC_ITEM_PINNED, item, &stripe->now);
	item->entry = NULL;
}

/* --- unpin --- */

/* A node that was parked is in the policy's way again; it is still pinned. */
static __attribute__((noinline)) void
unpark(struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	vmc_fetch_sub_acq_rel(&cache->parked, 1);
	if (!stripe) {
		vmc_lock_acquire(&cache->policy_lock);
		if (vmc_load_relaxed(&e->node.at) == 0)
			vmc_cache_have_node(cache, e);
		vmc_cache_release_policy(cache);
		return;
	}
	vmc_cache_push(cache, stripe, e);
}

/* DEAD, and the last pin has gone. */
static __attribute__((noinline)) void
bury(struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	if (!stripe) {
		vmc_lock_acquire(&cache->policy_lock);
		vmc_entry_chain(e, vmc_load_relaxed(&cache->orphans));
		vmc_store_release(&cache->orphans, e);
		vmc_cache_release_policy(cache);
		return;
	}
	vmc_cache_begin_change(cache, stripe);
	vmc_runs runs = vmc_cache_let_go(cache, stripe, e);
	vmc_extent_free(cache->extent, &runs);
	vmc_cache_reclaim(cache, stripe);
	vmc_cache_end_change(stripe);
}

void
vmc_cache_adopt_orphans(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	vmc_lock_acquire(&cache->policy_lock);
	struct vmc_entry *e = vmc_load_relaxed(&cache->orphans);
	vmc_store_relaxed(&cache->orphans, NULL);
	vmc_cache_release_policy(cache);
	while (e) {
		struct vmc_entry *next = vmc_entry_unchain(e);
		vmc_runs runs = vmc_cache_let_go(cache, stripe, e);
		vmc_extent_free(cache->extent, &runs);
		e = next;
	}
}

static void
count_unpinned(
	struct vmemcache *cache, struct vmc_stripe *stripe, size_t value_size)
{
	vmc_count_gone(&cache->stripes, stripe, VMC_COUNT_PINNED_GONE, 1);
	vmc_count_gone(&cache->stripes, stripe, VMC_COUNT_PINNED_BYTES_GONE,
		value_size);
}

/* One pin of the word. */
static __attribute__((noinline)) void
drop(struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	size_t value_size = vmc_entry_value_size(e);
	struct vmc_era *era = NULL;
	uint16_t state = vmc_load_acquire(&e->state);

	if (vmc_entry_is_marked(e)) {
		era = vmc_era_of(cache, e);
		vmc_fetch_add_relaxed(&era->refs, 1);
	}
	for (;;) {
		if (state & VMC_ENTRY_PARKED &&
			(state & VMC_ENTRY_STATES) == VMC_ENTRY_LIVE &&
			vmc_entry_pins(state) == 1) {
			if (vmc_cas_acq_rel(&e->state, &state,
				    (uint16_t)(state & ~VMC_ENTRY_PARKED))) {
				unpark(cache, stripe, e);
				state = vmc_load_acquire(&e->state);
			}
		} else if (vmc_cas_acq_rel(&e->state, &state,
				   (uint16_t)(state - VMC_ENTRY_PIN))) {
			break;
		}
	}
	bool last = vmc_entry_pins(state) == 1;
	if (era)
		vmc_space_unpinned(era, last, value_size);
	if (!last)
		return;
	count_unpinned(cache, stripe, value_size);
	if ((state & VMC_ENTRY_STATES) == VMC_ENTRY_DEAD)
		bury(cache, stripe, e);
}

/* An item that is one of a crowd, or has a list of pieces. */
static __attribute__((noinline)) void
unpin_large(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmemcache_item *item)
{
	struct vmc_entry *e = item->entry;
	bool crowded = item->kind == VMC_ITEM_CROWDED;

	vmc_item_end(cache, item);
	if (!crowded || leave_crowd(cache, e))
		drop(cache, stripe, e);
}

/* What is rare is left to drop(), so that the rest needs no stack. */
void
vmc_cache_unpin(struct vmemcache *cache, struct vmemcache_item *item)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_entry *e = item->entry;

	if (__builtin_expect(item->kind == VMC_ITEM_CROWDED || item->more, 0)) {
		unpin_large(cache, stripe, item);
		return;
	}
	vmc_item_clear(item);
	size_t value_size = vmc_entry_value_size(e);
	uint16_t state = vmc_load_relaxed(&e->state);
	do {
		if (__builtin_expect(
			    state & (VMC_ENTRY_PARKED | VMC_ENTRY_STATES) ||
				    !stripe || vmc_entry_is_marked(e),
			    0)) {
			drop(cache, stripe, e);
			return;
		}
	} while (!vmc_cas_acq_rel(
		&e->state, &state, (uint16_t)(state - VMC_ENTRY_PIN)));
	if (vmc_entry_pins(state) == 1) {
		vmc_count(stripe, VMC_COUNT_PINNED_GONE, 1);
		vmc_count(stripe, VMC_COUNT_PINNED_BYTES_GONE, value_size);
	}
}
