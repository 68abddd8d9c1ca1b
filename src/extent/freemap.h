/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freemap.h -- which blocks are free: a bitmap under a tree of summaries
 *
 * No locking: the caller (extent.c) lets one thread in at a time.
 */
#ifndef VMC_EXTENT_FREEMAP_H
#define VMC_EXTENT_FREEMAP_H

#include "extent.h"

#include <stdbool.h>
#include <stdint.h>

/* 2^40 blocks in chunks of 2^10 make 2^30 of them: 10 levels of 8 above. */
#define VMC_FREEMAP_LEVELS 11

struct vmc_freemap {
	/* immutable */
	struct vmc_memory memory;
	void *space;
	size_t size;
	uint64_t blocks;
	unsigned root; /* the level of the one node over everything */

	/*
	 * word[i] bit b: block 64 i + b is free. node[l][i] sums up the blocks
	 * from i << SHIFT(l) to (i + 1) << SHIFT(l). Layouts and invariants:
	 * freemap.c.
	 */
	uint64_t *word;
	uint64_t *node[VMC_FREEMAP_LEVELS];
	uint64_t runs; /* maximal runs of free blocks */
};

/* All blocks free; 0 < blocks <= 2^40. -ENOMEM. Costs O(levels). */
int vmc_freemap_init(struct vmc_freemap *map, uint64_t blocks,
	const struct vmc_memory *memory);
void vmc_freemap_fini(struct vmc_freemap *map);

/* Mark adjacent blocks, all of them free (claim) or used (release). */
void vmc_freemap_claim(struct vmc_freemap *map, uint64_t first, uint64_t count);
void vmc_freemap_release(
	struct vmc_freemap *map, uint64_t first, uint64_t count);

/* Any number may be asked for: blocks that do not exist are not free. */
bool vmc_freemap_is_free(const struct vmc_freemap *map, uint64_t block);

/* The longest free run, VMC_RUN_COUNT_MAX if it is longer than that. */
uint64_t vmc_freemap_longest(const struct vmc_freemap *map);

/*
 * The lowest run of `want` free blocks (0 < want <= VMC_RUN_COUNT_MAX): its
 * first block to *first, or false.
 */
bool vmc_freemap_find(
	const struct vmc_freemap *map, uint64_t want, uint64_t *first);

/*
 * Compare every summary and the number of runs with the bitmap. 0 and the
 * number of free blocks, or -EINVAL with a message.
 */
int vmc_freemap_check(const struct vmc_freemap *map, uint64_t *free_blocks);

#endif
