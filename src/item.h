/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * item.h -- items as the user sees them: pinned (pin.c), in a walk (walk.c), or
 * on their way out (evict.c)
 */
#ifndef VMC_ITEM_H
#define VMC_ITEM_H

#include "cache.h"
#include "expire.h"
#include "space.h"

/* What an item is; of vmemcache_item the member kind. */
enum vmc_item_kind { VMC_ITEM_PINNED, VMC_ITEM_CROWDED, VMC_ITEM_RESERVED };

/*
 * Pin an entry that is in the index, whose stripe is latched, or that something
 * else keeps. -EAGAIN: it is DEAD; -ENOMEM. Then, with no lock held, list its
 * pieces: -ENOMEM, and it stays pinned.
 */
int vmc_item_pin(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmemcache_item *item);
int vmc_item_fill(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmemcache_item *item);
/*
 * An item of what the caller owns, without a pin; there may be no memory for
 * the list of its pieces (iov_count -1). Its end, in any case.
 */
void vmc_item_show(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmemcache_item *item);
void vmc_item_end(struct vmemcache *cache, struct vmemcache_item *item);

/* Pins that the state word counts; pin.c. */
#define VMC_WORD_PINS (VMC_ENTRY_PINS_MAX - 1)

static inline unsigned
vmc_entry_pins(uint16_t state)
{
	return state / VMC_ENTRY_PIN;
}

/* The entry had no pin before. */
static inline void
vmc_item_count_first(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_entry *e)
{
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_space_pinned(vmc_era_of(cache, e), e);
	vmc_count(stripe, VMC_COUNT_PINNED, 1);
	vmc_count(stripe, VMC_COUNT_PINNED_BYTES, vmc_entry_value_size(e));
}

/* Pins of one entry that the state word has no room for. */
struct vmc_crowd {
	struct vmc_crowd *next;
	struct vmc_entry *entry;
	uint64_t pins; /* at least 1 */
};

/*
 * Pin an entry whose word may have no room for that, under the latch of crowds,
 * and in an epoch, or as vmc_item_pin(): 0, -EAGAIN if the entry is DEAD.
 * *spare is room for a crowd, and NULL if that was needed.
 */
int vmc_item_join(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct vmc_crowd **spare,
	enum vmc_item_kind *kind);

/* The pieces of a value in several runs, or in none. -ENOMEM. */
int vmc_item_list_pieces(struct vmemcache *cache, const struct vmc_entry *e,
	struct vmemcache_item *item);

/* What the caller is told of an entry that is pinned for it. -ENOMEM. */
static inline __attribute__((always_inline)) int
vmc_item_tell(struct vmemcache *cache, const struct vmc_entry *e,
	enum vmc_item_kind kind, struct vmemcache_item *item, uint64_t *now)
{
	vmc_run run = e->runs.word;

	item->entry = (void *)(uintptr_t)e;
	item->kind = kind;
	item->more = NULL;
	item->info.struct_size = sizeof(item->info);
	vmc_entry_tell(e, &item->info, now);
	if (__builtin_expect(run == 0 || run & VMC_RUNS_ARRAY, 0))
		return vmc_item_list_pieces(cache, e, item);
	/* one run is as long as the value needs */
	item->piece[0].iov_base = vmc_block_address(cache, vmc_run_first(run));
	item->piece[0].iov_len = item->info.value_size;
	item->iov = item->piece;
	item->iov_count = 1;
	return 0;
}

/* Of no item that is pinned. */
static inline void
vmc_item_clear(struct vmemcache_item *item)
{
	item->iov = NULL;
	item->iov_count = -1;
	item->entry = NULL;
}

/* As vmemcache_walk(), negative errno; -EBADF. */
ssize_t vmc_cache_walk(struct vmemcache *space, uint64_t *cursor,
	size_t at_most, vmemcache_on_item *on_item, void *arg);
int vmc_cache_clear(struct vmemcache *space); /* the same */
/* As vmemcache_walk_prefix() and its like, negative errno; -EBADF (prefix.c) */
ssize_t vmc_cache_walk_prefix(struct vmemcache *space,
	struct vmc_order_key prefix, const struct vmc_order_key *after,
	size_t at_most, vmemcache_on_item *on_item, void *arg);
ssize_t vmc_cache_remove_prefix(
	struct vmemcache *space, struct vmc_order_key prefix);
/*
 * Call on_item for an item that is pinned, evict that if it says so, and unpin
 * it. -EBADF: it has returned in a child; it may not return.
 */
int vmc_item_offer(struct vmemcache *space, struct vmc_stripe *stripe,
	struct vmemcache_item *item, vmemcache_on_item *on_item, void *arg,
	enum vmemcache_step *step);
/*
 * The entry, of which the caller keeps a pin, goes if it is still there. Where
 * somebody else is evicting it, it only leaves the index, if it is to go at
 * once, and is evicted by that one. Did the caller evict it? -EBADF.
 */
int vmc_item_remove(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, enum vmemcache_reason reason, bool at_once);
/* As vmemcache_reserve(), how is complete, and its like; negative errno. */
int vmc_cache_reserve(struct vmemcache *space, const void *key, size_t key_size,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item);
int vmc_cache_commit(struct vmemcache *space, struct vmemcache_item *item,
	size_t value_size, uint64_t *version);
/* Of the cache, whatever the space. */
void vmc_cache_abort(struct vmemcache *cache, struct vmemcache_item *item);
/* As vmemcache_pin() and _pin_many(), negative errno; -EBADF. */
int vmc_cache_pin(struct vmemcache *space, const void *key, size_t key_size,
	unsigned flags, struct vmemcache_item *item);
ssize_t vmc_cache_pin_many(struct vmemcache *space,
	const struct vmemcache_key *keys, size_t count, unsigned flags,
	struct vmemcache_item *items);
/*
 * Pin also what has been over for less than stale_ms; no use of it, and not
 * counted. -ENOENT, -ENOMEM.
 */
int vmc_cache_pin_stale(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, uint64_t stale_ms,
	struct vmemcache_item *item);
/* Pin what is there; no use of it, and not counted. -ENOENT, -ENOMEM. */
int vmc_cache_pin_unused(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, struct vmemcache_item *item);
/* Of an item that is pinned, of the cache. Never fails. */
void vmc_cache_unpin(struct vmemcache *cache, struct vmemcache_item *item);

/*
 * Call the space's on_remove for what goes; no lock held. It may not return,
 * and may return in another process.
 */
void vmc_cache_call_on_remove(struct vmemcache *cache, struct vmemcache *space,
	struct vmc_stripe *stripe, struct vmc_entry *e,
	enum vmemcache_reason reason);
#endif
