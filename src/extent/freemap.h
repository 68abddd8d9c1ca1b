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
	struct vmc_memory memory;
	void *space;
	size_t size;
	uint64_t room;   /* blocks that there is memory for */
	uint64_t blocks; /* of which there are so many */
	unsigned root;   /* the level of the one node over everything */

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
/* All used, which costs O(blocks). */
int vmc_freemap_init_used(struct vmc_freemap *map, uint64_t blocks,
	const struct vmc_memory *memory);
void vmc_freemap_fini(struct vmc_freemap *map);

/* The same blocks, in a map that was made with all used, and has more room. */
void vmc_freemap_copy(struct vmc_freemap *to, const struct vmc_freemap *from);

/*
 * From now on there are so many blocks, as many as there is room for at most.
 * Those that come, or go, are used.
 */
void vmc_freemap_set_blocks(struct vmc_freemap *map, uint64_t blocks);

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

/* The first free run from that block on, within the blocks, or false. */
bool vmc_freemap_next(const struct vmc_freemap *map, uint64_t from,
	uint64_t *first, uint64_t *count);

/* One more than the last block that is used; 0: none is. */
uint64_t vmc_freemap_used_end(const struct vmc_freemap *map);

/*
 * Compare every summary and the number of runs with the bitmap. 0 and the
 * number of free blocks, or -EINVAL with a message.
 */
int vmc_freemap_check(const struct vmc_freemap *map, uint64_t *free_blocks);

#endif
