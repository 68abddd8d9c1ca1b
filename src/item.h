/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * item.h -- items as the user sees them: pinned (pin.c), in a walk (walk.c), or
 * on their way out (evict.c)
 */
#ifndef VMC_ITEM_H
#define VMC_ITEM_H

#include "cache.h"

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
/* Of no item that is pinned. */
void vmc_item_clear(struct vmemcache_item *item);
/* As vmemcache_walk(), negative errno; -EBADF. */
ssize_t vmc_cache_walk(struct vmemcache *cache, uint64_t *cursor,
	size_t at_most, vmemcache_on_item *on_item, void *arg);
int vmc_cache_clear(struct vmemcache *cache); /* the same */
/* As vmemcache_reserve(), how is complete, and its like; negative errno. */
int vmc_cache_reserve(struct vmemcache *cache, const void *key, size_t key_size,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item);
int vmc_cache_commit(struct vmemcache *cache, struct vmemcache_item *item,
	size_t value_size, uint64_t *version);
void vmc_cache_abort(struct vmemcache *cache, struct vmemcache_item *item);
/* As vmemcache_pin() and _pin_many(), negative errno; -EBADF. */
int vmc_cache_pin(struct vmemcache *cache, const void *key, size_t key_size,
	unsigned flags, struct vmemcache_item *item);
ssize_t vmc_cache_pin_many(struct vmemcache *cache,
	const struct vmemcache_key *keys, size_t count, unsigned flags,
	struct vmemcache_item *items);
/*
 * Pin also what has been over for less than stale_ms; no use of it, and not
 * counted. -ENOENT, -ENOMEM.
 */
int vmc_cache_pin_stale(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, uint64_t stale_ms,
	struct vmemcache_item *item);
/* Of an item that is pinned. Never fails. */
void vmc_cache_unpin(struct vmemcache *cache, struct vmemcache_item *item);

/*
 * Call on_remove for what goes; no lock held. It may not return, and may return
 * in another process.
 */
void vmc_cache_call_on_remove(struct vmemcache *cache,
	struct vmc_stripe *stripe, struct vmc_entry *e,
	enum vmemcache_reason reason);
#endif
