/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freelist.h -- a few free runs, the longest first
 *
 * No locking: the caller (extent.c) lets one thread in at a time.
 */
#ifndef VMC_EXTENT_FREELIST_H
#define VMC_EXTENT_FREELIST_H

#include <stdbool.h>
#include <stdint.h>

#define VMC_FREELIST_ROOM 128
/* Combinations are looked for among this many runs. */
#define VMC_FREELIST_PARTS 16

struct vmc_span {
	uint64_t first;
	uint64_t count;
};

/* Zeroed: empty. Lengths fall; no two runs touch. */
struct vmc_freelist {
	unsigned count;
	struct vmc_span run[VMC_FREELIST_ROOM];
};

/* Take the runs that touch *span out of the list and join them to it. */
void vmc_freelist_join(struct vmc_freelist *list, struct vmc_span *span);

/* Add a run that touches none in the list, which has room. */
void vmc_freelist_add(struct vmc_freelist *list, struct vmc_span span);

/* Take the first `count` blocks of a run, at most all of them. */
struct vmc_span vmc_freelist_cut(
	struct vmc_freelist *list, unsigned index, uint64_t count);

/* The shortest run of at least `count` blocks: true, and where it stands. */
bool vmc_freelist_fit(
	const struct vmc_freelist *list, uint64_t count, unsigned *index);

/*
 * Take whole runs that together have exactly `count` blocks, few rather than
 * many; the number of them. 0: none found, or `count` is too large to try.
 */
unsigned vmc_freelist_exact(struct vmc_freelist *list, uint64_t count,
	struct vmc_span part[VMC_FREELIST_PARTS]);

#endif
