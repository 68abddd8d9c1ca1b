/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extent_internal.h -- between extent.c, which gives blocks out, and
 * extent_resize.c, which changes how many there are
 */
#ifndef VMC_EXTENT_INTERNAL_H
#define VMC_EXTENT_INTERNAL_H

#include "extent.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "freelist.h"
#include "freemap.h"

struct vmc_extent {
	/*
	 * What a put in a full pool touches stands first and close together:
	 * between processors, every cache line of it costs.
	 */
	struct vmc_latch latch;
	/* written under the latch */
	_Atomic uint64_t free_blocks;
	_Atomic uint64_t last_length; /* blocks of the last value placed */
	_Atomic uint64_t limit;       /* blocks that are given out */
	/* free, and in neither list nor map yet (extent.c); 0: none */
	_Atomic vmc_run latest;
	/* under the latch */
	struct vmc_freelist list;
	struct vmc_freemap map;
	/*
	 * While some are closed: which of them are not in use, by their number
	 * above the limit; NULL: none are closed.
	 */
	struct vmc_freemap *closed;
	_Atomic uint64_t closed_used;

	/* immutable */
	struct vmc_memory memory;
};

static inline void
vmc_extent_lock(struct vmc_extent *e)
{
	vmc_latch_acquire(&e->latch, VMC_RANK_EXTENT);
}

static inline void
vmc_extent_unlock(struct vmc_extent *e)
{
	vmc_latch_release(&e->latch, VMC_RANK_EXTENT);
}

/* Blocks that are given out. */
static inline uint64_t
vmc_extent_limit(const struct vmc_extent *e)
{
	return vmc_load_relaxed(&e->limit);
}

/* How many of the blocks are below the limit: the first of them. */
static inline uint64_t
vmc_extent_open_of(const struct vmc_extent *e, uint64_t first, uint64_t count)
{
	uint64_t limit = vmc_extent_limit(e);
	uint64_t below = first < limit ? limit - first : 0;

	return count < below ? count : below;
}

/* Under the latch: blocks below the limit become free, but are not counted. */
void vmc_extent_release_run(
	struct vmc_extent *e, uint64_t first, uint64_t count);
/* Blocks that are closed: nobody gets them. */
void vmc_extent_release_closed(
	struct vmc_extent *e, uint64_t first, uint64_t count);
/* The latest run into the list or the map, before these are looked at. */
void vmc_extent_settle(struct vmc_extent *e);
/* How many runs are listed, of so many blocks. */
uint32_t vmc_extent_list_room(uint64_t blocks);

#endif
