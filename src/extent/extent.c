/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extent.c -- runs of blocks of the pool
 *
 * One lock over one block map (freemap.c); this file decides where a value
 * goes. Coalescing needs no work: adjacent free bits are one run.
 *
 * Placement: the first run that is long enough at or after the end of the last
 * one taken, else the lowest one (next fit). If none is long enough, the
 * longest ones until the rest fits into one.
 *
 * Concurrency: any thread may call anything. The two counters are written
 * under the lock and read without it. Three things happen without the lock:
 * handing one run of just the right length over, saying -ENOSPC to a caller
 * that gives nothing, and the memory for the arrays of the common case.
 */
#include "extent.h"

#include "base/atomic.h"
#include "base/error.h"
#include "base/lock.h"
#include "freemap.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

_Static_assert(VMC_RUN_COUNT_MAX == VMC_FREEMAP_RUN_MAX,
	"a run of the map must fit a vmc_run");

struct vmc_extent {
	/* immutable */
	struct vmc_memory memory;

	/* written under the lock */
	_Atomic uint64_t free_blocks;
	_Atomic uint64_t free_runs;

	struct vmc_lock lock;
	/* under the lock */
	struct vmc_freemap map;
	uint64_t cursor; /* end of the last run taken */
};

/* Runs collected for one value; `few` serves nearly all of them. */
struct pieces {
	vmc_run *run;
	uint64_t count;
	uint64_t room;
	vmc_run few[32];
};

int
vmc_extent_new(struct vmc_extent **extent, uint64_t blocks,
	const struct vmc_memory *memory)
{
	if (blocks == 0 || blocks > VMC_EXTENT_BLOCKS_MAX)
		return vmc_fail_const(EINVAL, "invalid number of blocks");

	struct vmc_extent *e = vmc_alloc(memory, sizeof(*e));
	if (e == NULL)
		return vmc_fail_const(ENOMEM, "no memory for the extents");
	memset(e, 0, sizeof(*e));
	e->memory = *memory;
	int result = vmc_freemap_init(&e->map, blocks, memory);
	if (result != 0) {
		vmc_free(memory, e, sizeof(*e));
		return result;
	}
	vmc_lock_init(&e->lock, VMC_RANK_EXTENT);
	vmc_store_relaxed(&e->free_blocks, blocks);
	vmc_store_relaxed(&e->free_runs, 1);
	*extent = e;
	return 0;
}

void
vmc_extent_delete(struct vmc_extent *extent)
{
	struct vmc_memory memory = extent->memory;

	vmc_lock_destroy(&extent->lock);
	vmc_freemap_fini(&extent->map);
	vmc_free(&memory, extent, sizeof(*extent));
}

static void
release_run(struct vmc_extent *e, vmc_run run)
{
	int runs = vmc_freemap_release(
		&e->map, vmc_run_first(run), vmc_run_count(run));

	vmc_owner_add(&e->free_blocks, vmc_run_count(run));
	vmc_owner_add(&e->free_runs, (uint64_t)(int64_t)runs);
}

static void
release_runs(struct vmc_extent *e, const vmc_run *run, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		release_run(e, run[i]);
}

static vmc_run
claim_run(struct vmc_extent *e, uint64_t first, uint64_t count)
{
	int runs = vmc_freemap_claim(&e->map, first, count);

	vmc_owner_add(&e->free_blocks, -count);
	vmc_owner_add(&e->free_runs, (uint64_t)(int64_t)runs);
	e->cursor = first + count;
	return vmc_run_make(first, count);
}

static size_t
array_size(uint64_t count)
{
	return sizeof(struct vmc_run_array) + count * sizeof(vmc_run);
}

/* The runs are in the map again: give their array up. */
static void
retire_runs(struct vmc_extent *e, vmc_runs *give)
{
	if (give->word & VMC_RUNS_ARRAY) {
		struct vmc_run_array *a =
			(void *)(uintptr_t)(give->word & ~VMC_RUNS_ARRAY);
		vmc_retire(&e->memory, a, array_size(a->count));
	}
	*give = VMC_RUNS_NONE;
}

static void
drop_pieces(struct vmc_extent *e, struct pieces *p)
{
	if (p->run != p->few)
		vmc_free(&e->memory, p->run, p->room * sizeof(vmc_run));
}

static int
add_piece(struct vmc_extent *e, struct pieces *p, vmc_run run)
{
	if (p->count == p->room) {
		vmc_run *more =
			vmc_alloc(&e->memory, 2 * p->room * sizeof(vmc_run));
		if (more == NULL)
			return -ENOMEM;
		memcpy(more, p->run, p->count * sizeof(vmc_run));
		drop_pieces(e, p);
		p->run = more;
		p->room *= 2;
	}
	p->run[p->count++] = run;
	return 0;
}

/* Take blocks that are known to be free. -ENOMEM: some may be in p. */
static int
claim_blocks(struct vmc_extent *e, uint64_t blocks, struct pieces *p)
{
	while (blocks > 0) {
		uint64_t longest = vmc_freemap_longest(&e->map), first;
		uint64_t count = blocks < longest ? blocks : longest;
		bool found =
			vmc_freemap_find(&e->map, e->cursor, count, &first) ||
			vmc_freemap_find(&e->map, 0, count, &first);
		assert(found);
		(void)found;
		vmc_run run = claim_run(e, first, count);
		if (add_piece(e, p, run) != 0) {
			release_run(e, run);
			return -ENOMEM;
		}
		blocks -= count;
	}
	return 0;
}

/* The collected runs in the form a value keeps them. */
static int
pack_pieces(struct vmc_extent *e, const struct pieces *p, vmc_runs *take)
{
	if (p->count == 1) {
		*take = vmc_runs_one(p->run[0]);
		return 0;
	}
	struct vmc_run_array *a = vmc_alloc(&e->memory, array_size(p->count));
	if (a == NULL)
		return -ENOMEM;
	a->count = p->count;
	memcpy(a->run, p->run, p->count * sizeof(vmc_run));
	take->word = (uintptr_t)a | VMC_RUNS_ARRAY;
	return 0;
}

int
vmc_extent_exchange(struct vmc_extent *extent, vmc_runs *give, uint64_t blocks,
	vmc_runs *take, uint64_t *missing)
{
	uint64_t gives, have = vmc_load_relaxed(&extent->free_blocks);
	const vmc_run *given = vmc_runs_view(give, &gives);
	struct pieces p = {.run = p.few, .room = 32};
	int result = 0;

	*take = VMC_RUNS_NONE;
	if (gives == 1 && vmc_run_count(given[0]) == blocks) {
		*take = vmc_runs_one(given[0]);
		retire_runs(extent, give);
		return 0;
	}
	if (gives == 0 && have < blocks) {
		*missing = blocks - have;
		return -ENOSPC;
	}

	vmc_lock_acquire(&extent->lock);
	release_runs(extent, given, gives);
	have = vmc_load_relaxed(&extent->free_blocks);
	if (have < blocks) {
		*missing = blocks - have;
		result = -ENOSPC;
	} else {
		result = claim_blocks(extent, blocks, &p);
		if (result != 0)
			release_runs(extent, p.run, p.count);
	}
	vmc_lock_release(&extent->lock);

	retire_runs(extent, give);
	if (result == 0 && p.count > 0) {
		result = pack_pieces(extent, &p, take);
		if (result != 0) {
			vmc_lock_acquire(&extent->lock);
			release_runs(extent, p.run, p.count);
			vmc_lock_release(&extent->lock);
		}
	}
	drop_pieces(extent, &p);
	if (result == -ENOMEM)
		vmc_fail_const(ENOMEM, "no memory for the runs of a value");
	return result;
}

void
vmc_extent_free(struct vmc_extent *extent, vmc_runs *give)
{
	uint64_t gives;
	const vmc_run *given = vmc_runs_view(give, &gives);

	if (gives == 0)
		return;
	vmc_lock_acquire(&extent->lock);
	release_runs(extent, given, gives);
	vmc_lock_release(&extent->lock);
	retire_runs(extent, give);
}

uint64_t
vmc_extent_free_blocks(const struct vmc_extent *extent)
{
	return vmc_load_relaxed(&extent->free_blocks);
}

uint64_t
vmc_extent_free_runs(const struct vmc_extent *extent)
{
	return vmc_load_relaxed(&extent->free_runs);
}

int
vmc_extent_check(struct vmc_extent *extent)
{
	uint64_t blocks, runs;

	vmc_lock_acquire(&extent->lock);
	int result = vmc_freemap_check(&extent->map, &blocks, &runs);
	if (result == 0 && blocks != vmc_extent_free_blocks(extent))
		result = vmc_fail_const(EINVAL, "free blocks miscounted");
	if (result == 0 && runs != vmc_extent_free_runs(extent))
		result = vmc_fail_const(EINVAL, "free runs miscounted");
	vmc_lock_release(&extent->lock);
	return result;
}
