/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extent.h -- runs of blocks of the pool
 *
 * The pool is an array of equal blocks, numbered from 0. A value occupies one
 * or more runs of adjacent blocks. All of the bookkeeping lives in ordinary
 * memory: nothing but value bytes is ever in the pool.
 *
 * Every function may be called from any thread.
 */
#ifndef VMC_EXTENT_H
#define VMC_EXTENT_H

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

/* One run in one word: first block (low 40 bits), count (next 21 bits). */
typedef uint64_t vmc_run;

#define VMC_RUN_FIRST_BITS 40
#define VMC_RUN_COUNT_BITS 21
#define VMC_RUN_COUNT_MAX ((UINT64_C(1) << VMC_RUN_COUNT_BITS) - 1)
#define VMC_EXTENT_BLOCKS_MAX (UINT64_C(1) << VMC_RUN_FIRST_BITS)

static inline vmc_run
vmc_run_make(uint64_t first, uint64_t count)
{
	return first | count << VMC_RUN_FIRST_BITS;
}

static inline uint64_t
vmc_run_first(vmc_run run)
{
	return run & (VMC_EXTENT_BLOCKS_MAX - 1);
}

static inline uint64_t
vmc_run_count(vmc_run run)
{
	return run >> VMC_RUN_FIRST_BITS & VMC_RUN_COUNT_MAX;
}

/*
 * The runs of one value, in the order of its bytes, in eight bytes: a single
 * run inline, more in an array (bit 63 set, the rest its address). 0: none.
 */
typedef struct {
	uint64_t word;
} vmc_runs;

#define VMC_RUNS_NONE ((vmc_runs){0})
#define VMC_RUNS_ARRAY (UINT64_C(1) << 63)

struct vmc_run_array {
	uint64_t count;
	vmc_run run[];
};

static inline vmc_runs
vmc_runs_one(vmc_run run)
{
	return (vmc_runs){run};
}

/* A view of the runs: *count of them at the result. Valid while r is. */
static inline const vmc_run *
vmc_runs_view(const vmc_runs *r, uint64_t *count)
{
	if (r->word & VMC_RUNS_ARRAY) {
		const struct vmc_run_array *a =
			(const void *)(uintptr_t)(r->word & ~VMC_RUNS_ARRAY);
		*count = a->count;
		return a->run;
	}
	*count = r->word != 0;
	return &r->word;
}

/* The blocks of all runs. */
static inline uint64_t
vmc_runs_blocks(const vmc_runs *r)
{
	uint64_t blocks = 0;
	uint64_t count;

	if (!(r->word & VMC_RUNS_ARRAY))
		return vmc_run_count(r->word);
	const vmc_run *run = vmc_runs_view(r, &count);
	for (uint64_t i = 0; i < count; i++)
		blocks += vmc_run_count(run[i]);
	return blocks;
}

/*
 * The part of a pool, a 256th, that should stay free where values of several
 * sizes come and go, and twice that where many of them are cut: see extent.c.
 */
#define VMC_EXTENT_KEPT 256

/* The free runs listed even of a small pool. */
#define VMC_EXTENT_LISTED_MIN 128

struct vmc_extent;

/* All blocks free. -ENOMEM; -EINVAL for 0 or over VMC_EXTENT_BLOCKS_MAX. */
int vmc_extent_new(struct vmc_extent **extent, uint64_t blocks,
	const struct vmc_memory *memory);
/* Run arrays that are still out are the caller's to drop first. */
void vmc_extent_delete(struct vmc_extent *extent);

/*
 * Give back the blocks of *give (VMC_RUNS_NONE for none; the array, if there
 * is one, is retired: lock-free readers may still be following it; *give
 * becomes VMC_RUNS_NONE in every case), then take `blocks` blocks into *take,
 * in one step that no other thread comes between. One contiguous run while
 * the pool has room for it; in a full pool a few, chosen so that the runs per
 * value stay few. Succeeds whenever enough blocks are free, wherever they
 * are. blocks == 0 takes nothing.
 *
 * -ENOSPC: fewer are free; *missing is how many more must be given back.
 * -ENOMEM: no memory for the array. In both cases nothing was taken.
 */
int vmc_extent_exchange(struct vmc_extent *extent, vmc_runs *give,
	uint64_t blocks, vmc_runs *take, uint64_t *missing);

/* Give back only. Never fails. */
void vmc_extent_free(struct vmc_extent *extent, vmc_runs *give);

/* Before vmc_extent_delete(): the runs' array goes, the blocks stay taken. */
void vmc_extent_drop(struct vmc_extent *extent, vmc_runs *runs);

/*
 * Growing. First the memory for so many blocks, more than there are: -ENOMEM.
 * Then, which cannot fail, they are there, and free. In between others may go
 * on, but nobody else grows or closes.
 */
int vmc_extent_prepare(struct vmc_extent *extent, uint64_t blocks);
void vmc_extent_grow(struct vmc_extent *extent, uint64_t blocks);

/*
 * Shrinking. From when it is closed on, no block from `limit` on is given out:
 * what is given back there is not free, nor counted as such. -ENOMEM.
 *
 * A block may have been on its way to somebody when it was closed: one that
 * gave it back in the same call, and was told by nobody of the limit yet. So
 * who closes waits for the calls under way.
 */
int vmc_extent_close(struct vmc_extent *extent, uint64_t limit);
bool vmc_extent_is_closed(const struct vmc_extent *extent);
/* Blocks of the closed ones that are in use, and one more than the last. */
uint64_t vmc_extent_closed_used(const struct vmc_extent *extent);
uint64_t vmc_extent_closed_end(struct vmc_extent *extent);
/*
 * The end of it: the blocks from `end` on, of which none is in use, are there
 * no more; those before it are given out again.
 */
void vmc_extent_open(struct vmc_extent *extent, uint64_t end);

/* Of the runs, how many blocks are closed. */
uint64_t vmc_extent_count_closed(
	const struct vmc_extent *extent, const vmc_runs *runs);
/*
 * *to gets the runs of a value whose closed blocks, in the order of its bytes,
 * are to be those of `by`; room for as many runs as both have, and one more.
 * Returns how many they are.
 */
uint64_t vmc_extent_relocate(const struct vmc_extent *extent,
	const vmc_runs *from, const vmc_runs *by, vmc_run *to);
/* Those runs in the form that a value keeps them. -ENOMEM. */
int vmc_extent_pack(struct vmc_extent *extent, const vmc_run *run,
	uint64_t count, vmc_runs *runs);
/* Give back the closed ones of these, no others. The array is retired. */
void vmc_extent_free_closed(struct vmc_extent *extent, vmc_runs *runs);

/* How many blocks there are, and, of all, how many are in use. */
uint64_t vmc_extent_blocks(const struct vmc_extent *extent);
uint64_t vmc_extent_used_blocks(struct vmc_extent *extent);
/* Of memory for what is there of itself, whatever is in use. */
size_t vmc_extent_memory(struct vmc_extent *extent);

/* Exact when no call is under way. */
uint64_t vmc_extent_free_blocks(const struct vmc_extent *extent);
/* The number of maximal runs of free blocks; 1 when all are free. */
uint64_t vmc_extent_free_runs(struct vmc_extent *extent);

/* In a child, as vmc_index_renew_latches(). */
void vmc_extent_renew_latch(struct vmc_extent *extent);

/*
 * Walk everything and compare it with the invariants stated in extent.c and
 * freemap.c.
 * 0, or -EINVAL with a message. For tests; takes the latch.
 */
int vmc_extent_check(struct vmc_extent *extent);

#endif
