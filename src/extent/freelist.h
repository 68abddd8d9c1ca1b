/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freelist.h -- a few free runs, the longest first
 *
 * No locking: the caller (extent.c) lets one thread in at a time.
 */
#ifndef VMC_EXTENT_FREELIST_H
#define VMC_EXTENT_FREELIST_H

#include "extent.h"

#include <stdbool.h>
#include <stdint.h>

#define VMC_FREELIST_ROOM 128
/* Combinations are looked for among this many runs. */
#define VMC_FREELIST_PARTS 16

/* Zeroed: empty. Lengths fall; no two runs touch. */
struct vmc_freelist {
	uint64_t count;
	vmc_run run[VMC_FREELIST_ROOM];
};

/* Take the runs that touch the blocks out of the list, and join them. */
void vmc_freelist_join(
	struct vmc_freelist *list, uint64_t *first, uint64_t *count);

/* Add a run that touches none in the list, which has room. */
void vmc_freelist_add(struct vmc_freelist *list, vmc_run run);

/* Take the first `count` blocks of a run, all if it has no more. */
vmc_run vmc_freelist_cut(
	struct vmc_freelist *list, uint64_t index, uint64_t count);

/* The shortest run of at least `count` blocks: true, and where it stands. */
bool vmc_freelist_fit(
	const struct vmc_freelist *list, uint64_t count, uint64_t *index);

/*
 * Take whole runs that together have exactly `count` blocks, few rather than
 * many; the number of them. 0: none found, or `count` is too large to try.
 */
unsigned vmc_freelist_exact(struct vmc_freelist *list, uint64_t count,
	vmc_run part[VMC_FREELIST_PARTS]);

#endif
