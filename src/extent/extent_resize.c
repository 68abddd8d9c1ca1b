/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extent_resize.c -- more or fewer blocks, while others are taken and freed
 *
 * Growing. The map is a table by block number, so more blocks need a larger
 * one. It is allocated first, then filled from the old one under the latch, and
 * replaces it; so is the list, if it has to hold more. Puts wait for the copy:
 * some 60 us for each GiB that the pool had, in blocks of 256 bytes. Memory for
 * the largest size so far is kept, so growing back needs none. Then the new
 * blocks are marked free in the map, piece by piece.
 *
 * Shrinking. Blocks from a limit on are closed: free ones leave map and list at
 * once, used ones when they are freed. A second map, by the number above the
 * limit, records which closed blocks are no longer in use, and so which is the
 * last one in use. In the first map they count as used, as blocks beyond the
 * end do: so removing them is storing a lower number of blocks.
 *
 * One thread at a time resizes; other threads may call the functions of
 * extent.c.
 */
#include "extent_internal.h"

#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Blocks that are given to the map in one go: some 100 us under the latch. */
#define PIECE VMC_RUN_COUNT_MAX

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A larger map in its place. -ENOMEM. */
static int
replace_map(struct vmc_extent *e, uint64_t blocks)
{
	struct vmc_freemap old, larger;
	int result = vmc_freemap_init_used(&larger, blocks, &e->memory);

	if (result != 0)
		return result;
	vmc_extent_lock(e);
	old = e->map;
	vmc_freemap_copy(&larger, &old);
	e->map = larger;
	vmc_extent_unlock(e);
	vmc_freemap_fini(&old);
	return 0;
}

/* And a list with more room. -ENOMEM. */
static int
replace_list(struct vmc_extent *e, uint32_t room)
{
	struct vmc_freelist old, larger;

	if (vmc_freelist_init(&larger, room, &e->memory) != 0)
		return vmc_fail_const(ENOMEM, "no memory for the extents");
	vmc_extent_lock(e);
	old = e->list;
	for (vmc_listed at = 0; (at = vmc_freelist_next(&old, at)) != 0;)
		vmc_freelist_add(&larger, vmc_freelist_run(&old, at));
	e->list = larger;
	vmc_extent_unlock(e);
	vmc_freelist_fini(&old, &e->memory);
	return 0;
}

int
vmc_extent_prepare(struct vmc_extent *extent, uint64_t blocks)
{
	uint32_t room = vmc_extent_list_room(blocks);
	int result = 0;

	if (blocks > VMC_EXTENT_BLOCKS_MAX)
		return vmc_fail_const(EINVAL, "invalid number of blocks");
	if (room > extent->list.room)
		result = replace_list(extent, room);
	if (result == 0 && blocks > extent->map.room)
		result = replace_map(extent, blocks);
	return result;
}

void
vmc_extent_grow(struct vmc_extent *extent, uint64_t blocks)
{
	uint64_t at = vmc_extent_limit(extent);

	assert(!extent->closed);
	while (at < blocks) {
		uint64_t first = at, count = least(blocks - at, PIECE);
		uint64_t more = count;

		vmc_extent_lock(extent);
		at += count;
		vmc_freemap_set_blocks(&extent->map, at);
		vmc_store_relaxed(&extent->limit, at);
		vmc_freelist_join(&extent->list, &first, &count);
		vmc_freemap_release(&extent->map, first, count);
		vmc_owner_add(&extent->free_blocks, more);
		vmc_extent_unlock(extent);
	}
}

/* What is free from the limit on goes from the list to the map of the closed */
static uint64_t
close_listed(struct vmc_extent *e)
{
	uint64_t limit = vmc_extent_limit(e), closed = 0;

	for (vmc_listed at = vmc_freelist_next(&e->list, 0), next; at;
		at = next) {
		vmc_run run = vmc_freelist_run(&e->list, at);
		uint64_t first = vmc_run_first(run);
		uint64_t count = vmc_run_count(run);
		uint64_t open = vmc_extent_open_of(e, first, count);
		next = vmc_freelist_next(&e->list, at);
		if (open == count)
			continue;
		vmc_freelist_cut(&e->list, at, VMC_RUN_COUNT_MAX);
		if (open > 0) /* met again, perhaps, and left alone */
			vmc_freelist_add(&e->list, vmc_run_make(first, open));
		vmc_freemap_release(
			e->closed, first + open - limit, count - open);
		closed += count - open;
	}
	return closed;
}

static uint64_t
close_mapped(struct vmc_extent *e)
{
	uint64_t limit = vmc_extent_limit(e), closed = 0, first, count;

	for (uint64_t at = limit; vmc_freemap_next(&e->map, at, &first, &count);
		at = first + count) {
		vmc_freemap_claim(&e->map, first, count);
		vmc_freemap_release(e->closed, first - limit, count);
		closed += count;
	}
	return closed;
}

int
vmc_extent_close(struct vmc_extent *extent, uint64_t limit)
{
	uint64_t blocks = vmc_extent_limit(extent), unused;
	struct vmc_freemap *closed =
		vmc_alloc(&extent->memory, sizeof(*closed));

	assert(!extent->closed && limit > 0 && limit < blocks);
	if (!closed)
		return vmc_fail_const(ENOMEM, "no memory for the extents");
	if (vmc_freemap_init_used(closed, blocks - limit, &extent->memory)) {
		vmc_free(&extent->memory, closed, sizeof(*closed));
		return -ENOMEM;
	}
	vmc_extent_lock(extent);
	vmc_extent_settle(extent);
	extent->closed = closed;
	vmc_store_relaxed(&extent->limit, limit);
	unused = close_listed(extent) + close_mapped(extent);
	vmc_store_relaxed(&extent->closed_used, blocks - limit - unused);
	vmc_owner_add(&extent->free_blocks, -unused);
	vmc_extent_unlock(extent);
	return 0;
}

bool
vmc_extent_is_closed(const struct vmc_extent *extent)
{
	return extent->closed != NULL;
}

uint64_t
vmc_extent_closed_used(const struct vmc_extent *extent)
{
	return vmc_load_relaxed(&extent->closed_used);
}

uint64_t
vmc_extent_closed_end(struct vmc_extent *extent)
{
	vmc_extent_lock(extent);
	uint64_t end =
		vmc_extent_limit(extent) + vmc_freemap_used_end(extent->closed);
	vmc_extent_unlock(extent);
	return end;
}

void
vmc_extent_open(struct vmc_extent *extent, uint64_t end)
{
	struct vmc_freemap *closed = extent->closed;
	uint64_t limit = vmc_extent_limit(extent), first, count, more = 0;

	vmc_extent_lock(extent);
	assert(limit + vmc_freemap_used_end(closed) <= end);
	extent->closed = NULL;
	vmc_store_relaxed(&extent->closed_used, 0);
	vmc_store_relaxed(&extent->limit, end);
	vmc_freemap_set_blocks(&extent->map, end);
	for (uint64_t at = 0; vmc_freemap_next(closed, at, &first, &count) &&
			      first < end - limit;
		at = first + count) {
		uint64_t open =
			vmc_extent_open_of(extent, limit + first, count);
		vmc_extent_release_run(extent, limit + first, open);
		more += open;
	}
	vmc_owner_add(&extent->free_blocks, more);
	vmc_extent_unlock(extent);
	vmc_freemap_fini(closed);
	vmc_free(&extent->memory, closed, sizeof(*closed));
}

uint64_t
vmc_extent_count_closed(const struct vmc_extent *extent, const vmc_runs *runs)
{
	uint64_t count, closed = 0;
	const vmc_run *run = vmc_runs_view(runs, &count);

	for (uint64_t i = 0; i < count; i++)
		closed += vmc_run_count(run[i]) -
			  vmc_extent_open_of(extent, vmc_run_first(run[i]),
				  vmc_run_count(run[i]));
	return closed;
}

/* The next blocks of a list of runs, `done` of which are behind. */
struct cursor {
	const vmc_run *run;
	uint64_t done;
};

static vmc_run
take_next(struct cursor *c, uint64_t most)
{
	uint64_t left = vmc_run_count(*c->run) - c->done;
	vmc_run next = vmc_run_make(
		vmc_run_first(*c->run) + c->done, least(left, most));

	c->done += vmc_run_count(next);
	if (vmc_run_count(next) == left) {
		c->run++;
		c->done = 0;
	}
	return next;
}

uint64_t
vmc_extent_relocate(const struct vmc_extent *extent, const vmc_runs *from,
	const vmc_runs *by, vmc_run *to)
{
	uint64_t count, ignored, made = 0;
	const vmc_run *run = vmc_runs_view(from, &count);
	struct cursor cursor = {vmc_runs_view(by, &ignored), 0};

	for (uint64_t i = 0; i < count; i++) {
		uint64_t all = vmc_run_count(run[i]);
		uint64_t open =
			vmc_extent_open_of(extent, vmc_run_first(run[i]), all);
		if (open > 0)
			to[made++] = vmc_run_make(vmc_run_first(run[i]), open);
		for (uint64_t left = all - open; left > 0;) {
			to[made] = take_next(&cursor, left);
			left -= vmc_run_count(to[made++]);
		}
	}
	return made;
}

void
vmc_extent_free_closed(struct vmc_extent *extent, vmc_runs *runs)
{
	uint64_t count;
	const vmc_run *run = vmc_runs_view(runs, &count);

	vmc_extent_lock(extent);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t first = vmc_run_first(run[i]);
		uint64_t all = vmc_run_count(run[i]);
		uint64_t open = vmc_extent_open_of(extent, first, all);
		if (open < all)
			vmc_extent_release_closed(
				extent, first + open, all - open);
	}
	vmc_extent_unlock(extent);
	vmc_extent_drop(extent, runs);
}

size_t
vmc_extent_memory(struct vmc_extent *extent)
{
	return sizeof(*extent) + extent->map.size +
	       vmc_freelist_memory(&extent->list);
}
