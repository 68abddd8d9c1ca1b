/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pin.c -- values where they are: pinning and unpinning
 *
 * A pin is counted in the state word of its entry (entry.h). While there is
 * one, the entry and its blocks stay as they are, whatever happens to the key.
 *
 *   pin     within an epoch, by which the entry is not freed: finds it in the
 *           index; state + 1 pin, unless it is DEAD (compare and swap)
 *   unpin   state - 1 pin (compare and swap)
 *   DEAD    set by the evictor, once the entry is out of the index
 *
 * Who gives up the blocks? All changes of the word are read-modify-write
 * operations, so they have one order. A pin is added to no entry that is DEAD.
 * So once it is, the pins only become fewer, and one operation brings the word
 * to DEAD without pins: the evictor's if there were none, else an unpin. Its
 * thread, and no other, gives up the blocks and retires the entry.
 *
 * No block is reused under a pin: what a thread read between its pin and its
 * unpin comes before that unpin (release), and this before the operation that
 * ends the pins, which acquires: it is the same one or reads from a sequence of
 * such operations that the unpin is in. The blocks are free after it. The proof
 * in get.c stands: DEAD is set before the blocks are free, here as there.
 *
 * A pin is no use of the key that a claim for room would have to see: victims
 * are LIVE and not pinned when they are chosen, and what is pinned afterwards,
 * while it still answers gets, is evicted nevertheless, and its blocks go with
 * the last pin.
 *
 * PARKED. An evictor that comes across a pinned entry leaves it out of the
 * policy, and says so in the state word (evict.c). The unpin that finds it to
 * be the last pin takes PARKED away, pushes the node into the thread's ring as
 * a put does, and only then drops the pin. Who parks has the policy's lock, so
 * what is in the ring is drained after that; and as the push comes before the
 * pin has gone, it comes before the entry is retired: the rings are drained
 * after that (evict.c, "Why 5 is enough").
 *
 * Crowds. The word counts 1022 pins. More are counted in a crowd, a record of
 * the entry in a list, which takes one more pin of the word, the 1023rd, while
 * it counts any. The list is under a latch, which nobody waits for in an epoch.
 *
 * A thread that unpins may have no memory for a stripe. It feeds the policy
 * under its lock, and leaves what there is to free to the next operation: the
 * entry is DEAD and can be chained (entry.h).
 *
 * Rejected: a count by thread, as a pin must outlive its thread; a table of
 * pins beside the entries, another cache miss for every pin and every victim.
 */
#include "item.h"

#include "base/error.h"
#include "expire.h"
#include "version.h"

#include <errno.h>

/* Pins of one entry that the state word has no room for. */
struct vmc_crowd {
	struct vmc_crowd *next;
	struct vmc_entry *entry;
	uint64_t pins; /* at least 1 */
};

#define WORD_PINS (VMC_ENTRY_PINS_MAX - 1)

static_assert(sizeof(struct vmemcache_item) == 160, "the ABI");

static inline unsigned
pins_of(uint16_t state)
{
	return state / VMC_ENTRY_PIN;
}

/* --- crowds --- */

static struct vmc_crowd **
find_crowd(struct vmemcache *cache, const struct vmc_entry *e)
{
	struct vmc_crowd **at = &cache->crowds;

	while (*at && (*at)->entry != e)
		at = &(*at)->next;
	return at;
}

static inline void
count_first_pin(struct vmc_stripe *stripe, const struct vmc_entry *e)
{
	vmc_count(stripe, VMC_COUNT_PINNED, 1);
	vmc_count(stripe, VMC_COUNT_PINNED_BYTES, vmc_entry_value_size(e));
}

/* Under the latch: 0, -EAGAIN if the entry is DEAD; *spare is NULL if used. */
static int
join(struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e,
	struct vmc_crowd **spare, enum vmc_item_kind *kind)
{
	struct vmc_crowd *crowd = *find_crowd(cache, e);
	uint16_t state = vmc_load_acquire(&e->state);

	*kind = VMC_ITEM_CROWDED;
	if (crowd) { /* it has a pin, so there is no need to look */
		crowd->pins++;
		return 0;
	}
	do
		if ((state & VMC_ENTRY_STATES) == VMC_ENTRY_DEAD)
			return -EAGAIN;
	while (!vmc_cas_acq_rel(
		&e->state, &state, (uint16_t)(state + VMC_ENTRY_PIN)));
	if (pins_of(state) < WORD_PINS) {
		if (pins_of(state) == 0)
			count_first_pin(stripe, e);
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

/* The slow way of find_and_pin(): there may be more pins than the word has. */
static __attribute__((noinline)) int
pin_in_crowd(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	struct vmc_entry **entry, enum vmc_item_kind *kind)
{
	struct vmc_crowd *spare = vmc_alloc(&cache->uncounted, sizeof(*spare));
	int rc = -EAGAIN;

	if (!spare)
		return -ENOMEM;
	while (rc == -EAGAIN) {
		vmc_epoch_enter(thread);
		*entry = vmc_index_find(
			cache->index, key->hash, vmc_entry_match, key);
		if (!*entry || vmc_entry_is_over(*entry, &stripe->now)) {
			rc = -ENOENT;
		} else if (vmc_latch_try(&cache->crowds_latch, VMC_RANK_PINS)) {
			rc = join(cache, stripe, *entry, &spare, kind);
			vmc_latch_release(&cache->crowds_latch, VMC_RANK_PINS);
		}
		vmc_epoch_exit(thread);
		if (rc == -EAGAIN)
			vmc_pause();
	}
	if (spare)
		vmc_free(&cache->uncounted, spare, sizeof(*spare));
	return rc;
}

/* --- pin --- */

/*
 * -ENOENT; -EAGAIN: look again; -ENOMEM. *pending: as of vmc_cache_touch(), 1
 * where nothing is to be done.
 */
static inline int
find_and_pin(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, unsigned flags,
	struct vmc_entry **entry, enum vmc_item_kind *kind, uint32_t *pending)
{
	vmc_epoch_enter(thread);
	struct vmc_entry *e =
		vmc_index_find(cache->index, key->hash, vmc_entry_match, key);
	if (!e || vmc_entry_is_over(e, &stripe->now)) {
		vmc_epoch_exit(thread);
		return -ENOENT;
	}
	uint16_t state = vmc_load_acquire(&e->state);
	do {
		if (__builtin_expect(
			    (state & VMC_ENTRY_STATES) == VMC_ENTRY_DEAD ||
				    pins_of(state) >= WORD_PINS,
			    0)) {
			vmc_epoch_exit(thread);
			return pins_of(state) < WORD_PINS
				       ? -EAGAIN
				       : pin_in_crowd(cache, thread, stripe,
						 key, entry, kind);
		}
	} while (!vmc_cas_acq_rel(
		&e->state, &state, (uint16_t)(state + VMC_ENTRY_PIN)));
	if (__builtin_expect((state & VMC_ENTRY_STATES) == VMC_ENTRY_LIVE &&
				     cache->wants_touches &&
				     !(flags & VMEMCACHE_PEEK),
		    1))
		*pending = vmc_cache_touch(cache, stripe, e);
	vmc_epoch_exit(thread);
	*entry = e;
	*kind = VMC_ITEM_PINNED;
	if (pins_of(state) == 0)
		count_first_pin(stripe, e);
	return 0;
}

/* Where the pieces of the value are, and how many. */
static int
list_pieces(
	struct vmemcache *cache, const struct vmc_entry *e, struct iovec *piece)
{
	size_t left = vmc_entry_value_size(e);
	uint64_t count;
	const vmc_run *run = vmc_runs_view(&e->runs, &count);
	int i = 0;

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
	return i;
}

/* What the caller is told of an entry that is pinned for it. -ENOMEM. */
static inline int
fill(struct vmemcache *cache, struct vmc_entry *e, enum vmc_item_kind kind,
	struct vmemcache_item *item, uint64_t *now)
{
	struct iovec *piece = item->piece;
	uint64_t count;

	vmc_runs_view(&e->runs, &count);
	item->entry = e;
	item->kind = kind;
	item->more = NULL;
	item->info.struct_size = sizeof(item->info);
	vmc_entry_tell(e, &item->info, now);
	if (__builtin_expect(
		    count > sizeof(item->piece) / sizeof(item->piece[0]), 0)) {
		piece = vmc_alloc(&cache->uncounted, count * sizeof(*piece));
		item->more = piece;
		item->piece[0].iov_len = count; /* which has no other use */
		if (!piece)
			return -ENOMEM;
	}
	item->iov = piece;
	item->iov_count = list_pieces(cache, e, piece);
	return 0;
}

void
vmc_item_clear(struct vmemcache_item *item)
{
	item->iov = NULL;
	item->iov_count = -1;
	item->entry = NULL;
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
		pins_of(state) < WORD_PINS) {
		if (!vmc_cas_acq_rel(&e->state, &state,
			    (uint16_t)(state + VMC_ENTRY_PIN)))
			continue;
		if (pins_of(state) == 0)
			count_first_pin(stripe, e);
		goto pinned;
	}
	spare = vmc_alloc(&cache->uncounted, sizeof(*spare));
	if (!spare)
		return -ENOMEM;
	vmc_latch_acquire(&cache->crowds_latch, VMC_RANK_PINS);
	rc = join(cache, stripe, e, &spare, &kind);
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
	return fill(cache, item->entry, item->kind, item, &stripe->now);
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
	(void)fill(cache, e, VMC_ITEM_PINNED, item, &stripe->now);
	item->entry = NULL;
}

static inline int
pin_there(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, unsigned flags,
	struct vmemcache_item *item)
{
	struct vmc_entry *e;
	enum vmc_item_kind kind;
	uint32_t pending = 1;
	int rc;

	do
		rc = find_and_pin(
			cache, thread, stripe, key, flags, &e, &kind, &pending);
	while (__builtin_expect(rc == -EAGAIN, 0));
	if (rc)
		return rc;
	/* one comparison for "many" and "full", which is 0 */
	if (__builtin_expect(pending - 1 >= VMC_DRAIN_AT - 1, 0))
		vmc_cache_look_around(cache, stripe, pending);
	rc = fill(cache, e, kind, item, &stripe->now);
	if (rc)
		vmc_cache_unpin(cache, item);
	return rc;
}

/* The way of a get: on a miss on_miss is asked, and the key looked up again. */
static int
pin_key(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, unsigned flags,
	struct vmemcache_item *item)
{
	bool counts = !(flags & VMEMCACHE_PEEK);
	int rc = pin_there(cache, thread, stripe, key, flags, item);

	if (rc != -ENOENT) {
		if (rc == 0 && counts)
			vmc_count(stripe, VMC_COUNT_HIT, 1);
		return rc;
	}
	if (counts)
		vmc_count(stripe, VMC_COUNT_MISS, 1);
	if (!cache->on_miss || flags & VMEMCACHE_NO_CALLBACK)
		return rc;
	ssize_t put = vmc_cache_ask_on_miss(
		cache, thread, stripe, &(struct vmc_handover){.key = *key});
	return put == -EBADF
		       ? -EBADF
		       : pin_there(cache, thread, stripe, key, flags, item);
}

int
vmc_cache_pin(struct vmemcache *cache, const void *data, size_t key_size,
	unsigned flags, struct vmemcache_item *item)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!stripe)
		return -ENOMEM;
	stripe->now = 0;
	vmc_versions_ask(cache, stripe);
	struct vmc_key key = vmc_cache_key(cache, data, key_size);
	int rc = pin_key(cache, thread, stripe, &key, flags, item);
	if (rc == -ENOENT)
		vmc_fail_const(ENOENT, "no such key");
	return rc;
}

/* Hash the first of these keys, and fetch what pinning them will need. */
static void
fetch_batch(struct vmemcache *cache, struct vmc_thread *thread,
	const struct vmemcache_key *keys, size_t count, struct vmc_key *batch)
{
	if (count > VMC_MANY_AT_ONCE)
		count = VMC_MANY_AT_ONCE;
	for (size_t i = 0; i < count; i++)
		batch[i] = vmc_cache_key(cache, keys[i].key, keys[i].key_size);
	vmc_cache_fetch_ahead(cache, thread, batch, NULL, count);
}

ssize_t
vmc_cache_pin_many(struct vmemcache *cache, const struct vmemcache_key *keys,
	size_t count, unsigned flags, struct vmemcache_item *items)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_key batch[VMC_MANY_AT_ONCE];
	ssize_t pinned = 0;
	int rc = stripe ? 0 : -ENOMEM;

	if (stripe) {
		stripe->now = 0;
		vmc_versions_ask(cache, stripe);
	}
	for (size_t i = 0; i < count && rc != -EBADF && rc != -ENOMEM; i++) {
		if (rc == -ENOENT && flags & VMEMCACHE_LEADING)
			break;
		if (i % VMC_MANY_AT_ONCE == 0)
			fetch_batch(cache, thread, keys + i, count - i, batch);
		rc = pin_key(cache, thread, stripe,
			&batch[i % VMC_MANY_AT_ONCE], flags, &items[i]);
		pinned += rc == 0;
	}
	if (rc != -EBADF && rc != -ENOMEM)
		return pinned;
	for (size_t i = 0; i < count; i++)
		if (items[i].entry)
			vmc_cache_unpin(cache, &items[i]);
	return rc;
}

/* By a clock that is behind. */
int
vmc_cache_pin_stale(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, uint64_t stale_ms,
	struct vmemcache_item *item)
{
	uint64_t now = vmc_os_boot_ms();

	stripe->now = now > stale_ms ? now - stale_ms : 1;
	int rc = pin_there(
		cache, vmc_thread_self(), stripe, key, VMEMCACHE_PEEK, item);
	stripe->now = now;
	if (rc == 0)
		item->info.ttl_ms = vmc_entry_ttl(item->entry, &stripe->now);
	return rc;
}

/* --- unpin --- */

/* A node that was parked is in the policy's way again; it is still pinned. */
static __attribute__((noinline)) void
unpark(struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	struct vmc_policy_node *node = &e->node;

	vmc_fetch_sub_acq_rel(&cache->parked, 1);
	if (!stripe) {
		vmc_lock_acquire(&cache->policy_lock);
		if (vmc_load_relaxed(&node->at) == 0)
			cache->policy->ops->touch(
				cache->policy, &node, &(uint32_t){0}, NULL, 1);
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
	if (stripe) {
		vmc_count(stripe, VMC_COUNT_PINNED_GONE, 1);
		vmc_count(stripe, VMC_COUNT_PINNED_BYTES_GONE, value_size);
	} else {
		vmc_fetch_add_relaxed(&cache->unpinned_items, 1);
		vmc_fetch_add_relaxed(&cache->unpinned_bytes, value_size);
	}
}

void
vmc_cache_unpin(struct vmemcache *cache, struct vmemcache_item *item)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_entry *e = item->entry;

	bool crowded = item->kind == VMC_ITEM_CROWDED;
	vmc_item_end(cache, item);
	if (__builtin_expect(crowded, 0) && !leave_crowd(cache, e))
		return;
	size_t value_size = vmc_entry_value_size(e);
	uint16_t state = vmc_load_acquire(&e->state);
	for (;;) {
		if (__builtin_expect(state & VMC_ENTRY_PARKED &&
					     (state & VMC_ENTRY_STATES) ==
						     VMC_ENTRY_LIVE &&
					     pins_of(state) == 1,
			    0)) {
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
	if (pins_of(state) > 1)
		return;
	count_unpinned(cache, stripe, value_size);
	if ((state & VMC_ENTRY_STATES) == VMC_ENTRY_DEAD)
		bury(cache, stripe, e);
}
