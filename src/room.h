/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * room.h -- what a put may take, and what it does where that is too little:
 * blocks of the pool (room.c), and metadata (limit.c)
 *
 * The entry e of these calls is the put's, and nobody else knows it. It is
 * freed where a callback does not return. They return 0; -ENOSPC: not enough
 * can be evicted; -ENOMEM; -EBADF: a callback forked, and this is the child.
 */
#ifndef VMC_ROOM_H
#define VMC_ROOM_H

#include "cache.h"

/*
 * For how many more blocks, or empty values, there is room. Below 0: puts that
 * came at the same time took more than there was.
 */
static inline int64_t
vmc_room(const struct vmemcache *cache)
{
	return (int64_t)vmc_extent_free_blocks(cache->extent) -
	       vmc_load_relaxed(&cache->empties);
}

static inline bool
vmc_has_room(const struct vmemcache *cache, uint64_t blocks)
{
	return vmc_room(cache) >= (int64_t)blocks;
}

/* As vmc_room_exchange(), where there are empty values. */
int vmc_room_exchange_beside(struct vmemcache *cache, vmc_runs *freed,
	uint64_t blocks, uint64_t counts_as, struct vmc_entry *e,
	uint64_t *missing);

/*
 * Blocks for the entry's value, in exchange for what was freed. -ENOSPC: others
 * have taken the room, callbacks perhaps; so much is missing. -ENOMEM.
 */
static inline int
vmc_room_exchange(struct vmemcache *cache, vmc_runs *freed, uint64_t blocks,
	uint64_t counts_as, struct vmc_entry *e, uint64_t *missing)
{
	if (__builtin_expect(vmc_load_relaxed(&cache->empties) > 0, 0))
		return vmc_room_exchange_beside(
			cache, freed, blocks, counts_as, e, missing);
	return vmc_extent_exchange(
		cache->extent, freed, blocks, &e->runs, missing);
}

/* A put's entry, while callbacks may run that do not return. */
struct vmc_unseen {
	struct vmemcache *cache;
	struct vmc_entry *entry; /* NULL: there is nothing to do */
};

static inline void
vmc_unseen_free(struct vmc_unseen *unseen)
{
	if (unseen->entry && !vmc_cache_is_foreign(unseen->cache))
		vmc_free(&unseen->cache->memory, unseen->entry,
			vmc_entry_size(unseen->entry));
}

/* As vmc_cache_make_room(). */
static inline int
vmc_room_make(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t blocks, uint64_t bytes, vmc_runs *freed)
{
	vmc_cleanup(vmc_unseen_free) struct vmc_unseen unseen = {cache, e};
	int rc = vmc_cache_make_room(
		cache, stripe, blocks, bytes, VMEMCACHE_REASON_CAPACITY, freed);

	unseen.entry = NULL;
	return rc;
}

/* What is over goes, until there is so much room, or nothing is over. */
int vmc_room_of_expired(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t wanted);

/*
 * Blocks for the entry's value where so many were missing: what is evicted may
 * go to others, and what others have in hand is waited for. counts_as: the
 * blocks, or 1 of an empty value.
 */
int vmc_room_take_missing(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, uint64_t counts_as, struct vmc_entry *e,
	uint64_t missing);

/* For an empty value, which is counted then. */
int vmc_room_for_empty(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

/* The policy's part of the memory for the entry. */
int vmc_room_for_node(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

/* A limit on metadata (limit.c); 0: none. At any time. */
void vmc_limit_set(struct vmemcache *cache, uint64_t limit);
/* A stripe tells what it has in metadata, for the sum. */
void vmc_limit_tell(struct vmemcache *cache, struct vmc_stripe *stripe);

/* Where metadata has a limit: evict while there is more than that. */
int vmc_limit_make_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

#endif
