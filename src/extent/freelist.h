/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freelist.h -- a bounded number of free runs, by length and by place
 *
 * No locking: the caller (extent.c) lets one thread in at a time.
 */
#ifndef VMC_EXTENT_FREELIST_H
#define VMC_EXTENT_FREELIST_H

#include "extent.h"

#include <stdbool.h>
#include <stdint.h>

/* Combinations are looked for among this many runs. */
#define VMC_FREELIST_PARTS 16

/* A bin for each length below 256, sixteen for each power of two from there. */
#define VMC_FREELIST_BINS (256 + 16 * (VMC_RUN_COUNT_BITS - 8))

/* A listed run, by its number; 0 is none. */
typedef uint32_t vmc_listed;

struct vmc_freelist_node;

struct vmc_freelist {
	uint32_t count;
	uint32_t room;    /* a power of two */
	uint32_t used;    /* nodes below this number */
	vmc_listed spare; /* nodes that were used before */
	struct vmc_freelist_node *node;
	/* hash tables over the first block of runs, and the one behind them */
	vmc_listed *by_first, *by_end;
	/* bins that are not empty, and the newest run of each */
	uint64_t filled[(VMC_FREELIST_BINS + 63) / 64];
	vmc_listed bin[VMC_FREELIST_BINS];
};

/* Empty, for so many runs, a power of two. -ENOMEM. */
int vmc_freelist_init(struct vmc_freelist *list, uint32_t room,
	const struct vmc_memory *memory);
void vmc_freelist_fini(
	struct vmc_freelist *list, const struct vmc_memory *memory);

/* Of memory, what it has taken. */
size_t vmc_freelist_memory(const struct vmc_freelist *list);

vmc_run vmc_freelist_run(const struct vmc_freelist *list, vmc_listed at);

/* Take the runs that touch the blocks out of the list, and join them. */
void vmc_freelist_join(
	struct vmc_freelist *list, uint64_t *first, uint64_t *count);

/* How many runs end where these blocks begin, or begin where they end. */
unsigned vmc_freelist_touching(
	const struct vmc_freelist *list, uint64_t first, uint64_t end);

/* Add a run that touches none in the list, which has room. */
void vmc_freelist_add(struct vmc_freelist *list, vmc_run run);

/* Take the first `count` blocks of a run, all if it has no more. */
vmc_run vmc_freelist_cut(
	struct vmc_freelist *list, vmc_listed at, uint64_t count);

/*
 * A run of at least `count` blocks, the shortest or, from 256 blocks on, one
 * about that short; of the longest (to a sixteenth); one of the shortest.
 */
vmc_listed vmc_freelist_fit(const struct vmc_freelist *list, uint64_t count);
vmc_listed vmc_freelist_longest(const struct vmc_freelist *list);
vmc_listed vmc_freelist_shortest(const struct vmc_freelist *list);

/* Take a run of exactly `count` blocks: 1. 0: none is found without a search */
unsigned vmc_freelist_one(
	struct vmc_freelist *list, uint64_t count, vmc_run *run);

/*
 * Take whole runs that together have exactly `count` blocks, few rather than
 * many and `most` at most; the number of them. 0: none found, or `count` is too
 * large to try.
 */
unsigned vmc_freelist_exact(struct vmc_freelist *list, uint64_t count,
	unsigned most, vmc_run part[VMC_FREELIST_PARTS]);

/* The next in some order, from 0 on; 0 after the last. */
vmc_listed vmc_freelist_next(const struct vmc_freelist *list, vmc_listed at);

/* Walk everything; the listed blocks. 0, or -EINVAL with a message. */
int vmc_freelist_check(const struct vmc_freelist *list, uint64_t *blocks);

#endif
