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

#include "expire.h"
#include "space.h"

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
	uint64_t admitted;       /* blocks that its space counts as held */
};

/* Blocks that were admitted for it are not its space's any more. */
static inline void
vmc_room_dismiss(
	struct vmemcache *cache, const struct vmc_entry *e, uint64_t admitted)
{
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_era_give_back(vmc_era_of(cache, e), admitted);
}

static inline void
vmc_unseen_free(struct vmc_unseen *unseen)
{
	struct vmemcache *cache = unseen->cache;

	if (!unseen->entry || vmc_cache_is_foreign(cache))
		return;
	vmc_room_dismiss(cache, unseen->entry, unseen->admitted);
	vmc_cache_forget(cache, unseen->entry);
	vmc_free(&cache->memory, unseen->entry, vmc_entry_size(unseen->entry));
}

/* An entry that the thread's evictions leave alone, until they end; nested. */
struct vmc_sparing {
	struct vmc_stripe *stripe;
	const struct vmc_entry *outer;
	uint64_t outer_blocks;
};

/* NULL: none. blocks: for which its space has room, as they will be free. */
static inline struct vmc_sparing
vmc_spare(const struct vmc_thread *thread, struct vmc_stripe *stripe,
	const struct vmc_entry *e, uint64_t blocks)
{
	vmc_stripe_in_callbacks(stripe, thread);
	struct vmc_sparing sparing = {
		stripe, stripe->spared, stripe->spared_blocks};

	stripe->spared = e;
	stripe->spared_blocks = blocks;
	return sparing;
}

static inline void
vmc_sparing_end(struct vmc_sparing *sparing)
{
	sparing->stripe->spared = sparing->outer;
	sparing->stripe->spared_blocks = sparing->outer_blocks;
}

/*
 * The quota of its space, of which the blocks, or one of an empty value, are
 * admitted from now on; and a bounded part of what was cleared goes.
 */
int vmc_room_admit(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t blocks);

/* As vmc_cache_make_room_for(), after that. */
int vmc_room_make_in_space(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t blocks, uint64_t bytes, vmc_runs *freed);

/* For an entry of no space, which goes if a callback does not return. */
static inline int
vmc_room_make_own(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t blocks, uint64_t bytes, vmc_runs *freed)
{
	vmc_cleanup(vmc_unseen_free) struct vmc_unseen unseen = {cache, e, 0};
	int rc = vmc_cache_make_room(
		cache, stripe, blocks, bytes, VMEMCACHE_REASON_CAPACITY, freed);

	unseen.entry = NULL;
	return rc;
}

static inline int
vmc_room_make(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t blocks, uint64_t bytes, vmc_runs *freed)
{
	return (vmc_entry_is_marked(e) ? vmc_room_make_in_space
				       : vmc_room_make_own)(
		cache, stripe, e, blocks, bytes, freed);
}

/* Is there perhaps something that is there for nobody? */
static inline bool
vmc_room_may_be_useless(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	return vmc_share_may_reclaim(cache) ||
	       vmc_expiry_may_be_due(cache, stripe);
}

/* That goes, cleared or over, until there is so much room, or no more of it. */
int vmc_room_of_useless(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, uint64_t wanted);

/* The same, until this thread has freed so many bytes of metadata; *got. */
int vmc_room_of_useless_metadata(struct vmemcache *cache,
	struct vmc_stripe *stripe, struct vmc_entry *e, uint64_t wanted,
	uint64_t *got);

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

/* Is there, by what was told, about as much metadata as it may be? */
bool vmc_limit_is_near(struct vmemcache *cache, struct vmc_stripe *stripe);
/* Where metadata has a limit: evict while there is more than that. */
int vmc_limit_make_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

#endif
