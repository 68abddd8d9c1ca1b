/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extent.c -- runs of blocks of the pool
 *
 * A free block is in one of three places. The map (freemap.c) holds any number,
 * a bit each: a pool with room. The list (freelist.c) holds runs that were
 * freed recently: in a full cache, where every put takes the blocks that were
 * evicted for it, nearly all free runs. And the run given back last may be
 * `latest`. Invariants:
 *
 *	the blocks of a listed run, and of the latest, are `used` in the map
 *	no listed run touches another, nor a free block of the map
 *
 * Where a value goes:
 *
 *	1. into the lowest run of the map that is long enough;
 *	2. if none is: into whole listed runs of exactly its blocks together,
 *	   few of them where one run is long enough;
 *	3. if there are none: into the shortest listed run that is long enough;
 *	4. if none is: into the longest run there is, and so on with the rest.
 *
 * Two things keep values together over a long life: rule 2, and some free
 * blocks. In a pool without free blocks, a run that is freed has no free
 * neighbour to join, so a split value stays split. The caller therefore keeps
 * one block in VMC_EXTENT_KEPT free where it can, and twice as many while many
 * values are split.
 *
 * Mean runs per value after 20 and 200 turnovers (one turnover: the size of the
 * pool in bytes put), if any value may be the next victim. Sizes up to 256
 * blocks, log-uniform on the left, uniform on the right. -: not measured.
 * (benchmarks/micro_extent.c; the first two rows with at most 128 runs listed)
 *
 *	                          log-uniform         uniform
 *	turnovers                  20    200          20    200
 *	map alone, next fit      11.9      -        14.2      -
 *	list without rule 2       8.1      -        11.0      -
 *	all rules                 5.9   15.4          6.3   13.6
 *	all, 1/256 kept free      2.2    2.1          2.8    2.2
 *	all, 1/128 kept free      1.8    1.7          2.2    1.8
 *	1/128, a shorter list     2.5    2.7          2.2    1.8
 *
 * (A shorter list: a quarter as many runs listed.) If the oldest value is
 * always the next victim, values are in 1.0 runs. Rule 2 is limited to
 * PARTS_FOR_ONE parts: without a limit, values are in 2.4 runs, not 1.4, after
 * two turnovers of vmemcache-bench churn.
 *
 * A freed run for which the list has no room goes into the map. So the list
 * grows with the pool: with 32 GiB, after six turnovers, values are in 1.0
 * runs, and in 1.8 if the list has at most 65536.
 *
 * Values that replace others of their size take blocks before they give as many
 * back, so none go from hand to hand. For them there is the latest run. It was
 * given back alone, is as long as the last value placed, and waits outside of
 * map and list for the next value of that length, which takes it before rule 1.
 * It goes where it would have gone (vmc_extent_settle()) before anything else
 * is taken, and before another run becomes the latest. So it makes no
 * difference where lengths differ. A replacement takes 460 instructions less.
 *
 * Any thread may call any function. One latch covers map and list; the counters
 * are written under it and read without. (With a mutex a replacement took 6 %
 * more instructions and 10 to 15 % more time.) A victim's run of exactly the
 * wanted length is reused without the latch, but only if the value before had
 * that length, too: with mixed sizes this would leave the free blocks beside
 * the run as a gap.
 *
 * One list serves all threads. With a list each, a third of the puts of two
 * threads, and two thirds of sixteen, would find their own too short and have
 * to search the others (sizes mixed; simulated), and runs that touch across
 *lists would not join.
 */
#include "extent_internal.h"

#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* The most runs for a value for which a single free run would be long enough.
 */
#define PARTS_FOR_ONE 3

static inline uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Runs collected for one value; `few` serves nearly all of them. */
struct pieces {
	vmc_run *run;
	uint64_t count;
	uint64_t room;
	vmc_run few[2 * VMC_FREELIST_PARTS];
};

/* Room for what a full cache keeps free (VMC_EXTENT_KEPT), in small pieces. */
uint32_t
vmc_extent_list_room(uint64_t blocks)
{
	uint32_t room = VMC_EXTENT_LISTED_MIN;

	while (room < blocks / VMC_EXTENT_KEPT && room < 1u << 20)
		room *= 2;
	return room;
}

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
	if (result == 0) {
		result = vmc_freelist_init(
			&e->list, vmc_extent_list_room(blocks), memory);
		if (result != 0) {
			vmc_freemap_fini(&e->map);
			vmc_fail_const(ENOMEM, "no memory for the extents");
		}
	}
	if (result != 0) {
		vmc_free(memory, e, sizeof(*e));
		return result;
	}
	vmc_store_relaxed(&e->free_blocks, blocks);
	vmc_store_relaxed(&e->limit, blocks);
	*extent = e;
	return 0;
}

void
vmc_extent_delete(struct vmc_extent *extent)
{
	struct vmc_memory memory = extent->memory;

	if (extent->closed) {
		vmc_freemap_fini(extent->closed);
		vmc_free(&memory, extent->closed, sizeof(*extent->closed));
	}
	vmc_freelist_fini(&extent->list, &memory);
	vmc_freemap_fini(&extent->map);
	vmc_free(&memory, extent, sizeof(*extent));
}

void
vmc_extent_release_run(struct vmc_extent *e, uint64_t first, uint64_t count)
{
	vmc_freelist_join(&e->list, &first, &count);
	if (count > VMC_RUN_COUNT_MAX ||
		vmc_freemap_is_free(&e->map, first - 1) ||
		vmc_freemap_is_free(&e->map, first + count)) {
		vmc_freemap_release(&e->map, first, count);
		return;
	}
	if (e->list.count == e->list.room) {
		vmc_run shortest = vmc_freelist_cut(&e->list,
			vmc_freelist_shortest(&e->list), VMC_RUN_COUNT_MAX);
		vmc_freemap_release(&e->map, vmc_run_first(shortest),
			vmc_run_count(shortest));
	}
	vmc_freelist_add(&e->list, vmc_run_make(first, count));
}

void
vmc_extent_release_closed(struct vmc_extent *e, uint64_t first, uint64_t count)
{
	vmc_freemap_release(e->closed, first - vmc_extent_limit(e), count);
	vmc_owner_add(&e->closed_used, -count);
}

/* Give back the runs. */
static void
release_runs(struct vmc_extent *e, const vmc_run *run, uint64_t count)
{
	uint64_t blocks = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t first = vmc_run_first(run[i]);
		uint64_t all = vmc_run_count(run[i]);
		uint64_t open = vmc_extent_open_of(e, first, all);
		if (__builtin_expect(open < all, 0))
			vmc_extent_release_closed(e, first + open, all - open);
		if (open > 0)
			vmc_extent_release_run(e, first, open);
		blocks += open;
	}
	vmc_owner_add(&e->free_blocks, blocks);
}

void
vmc_extent_settle(struct vmc_extent *e)
{
	vmc_run run = vmc_load_relaxed(&e->latest);

	if (run == 0)
		return;
	vmc_store_relaxed(&e->latest, 0);
	vmc_extent_release_run(e, vmc_run_first(run), vmc_run_count(run));
}

/* That run becomes the latest, if it is one for the next such value. */
static inline bool
keep_as_latest(struct vmc_extent *e, const vmc_run *run, uint64_t count)
{
	uint64_t blocks = vmc_run_count(*run);

	if (count != 1 || vmc_load_relaxed(&e->last_length) != blocks ||
		vmc_run_first(*run) + blocks > vmc_extent_limit(e))
		return false;
	vmc_extent_settle(e);
	vmc_store_relaxed(&e->latest, *run);
	vmc_owner_add(&e->free_blocks, blocks);
	return true;
}

/* Is the latest run one for such a value? Without the latch: perhaps. */
static inline bool
latest_fits(const struct vmc_extent *e, uint64_t blocks)
{
	return vmc_run_count(vmc_load_relaxed(&e->latest)) == blocks &&
	       vmc_load_relaxed(&e->last_length) == blocks;
}

/* False: another thread was faster. */
static bool
take_latest(struct vmc_extent *e, uint64_t blocks, vmc_runs *take)
{
	vmc_extent_lock(e);
	bool fits = latest_fits(e, blocks);
	if (fits) {
		*take = vmc_runs_one(vmc_load_relaxed(&e->latest));
		vmc_store_relaxed(&e->latest, 0);
		vmc_owner_add(&e->free_blocks, -blocks);
	}
	vmc_extent_unlock(e);
	return fits;
}

/* One run from the map, which has one. */
static vmc_run
claim_from_map(struct vmc_extent *e, uint64_t count)
{
	uint64_t first = 0;
	bool found = vmc_freemap_find(&e->map, count, &first);

	assert(found);
	(void)found;
	vmc_freemap_claim(&e->map, first, count);
	return vmc_run_make(first, count);
}

/* A single run: of so many blocks, or else the longest there is. */
static vmc_run
claim_run(struct vmc_extent *e, uint64_t blocks)
{
	uint64_t mapped = vmc_freemap_longest(&e->map);

	if (mapped >= blocks)
		return claim_from_map(e, blocks);
	vmc_listed at = vmc_freelist_fit(&e->list, blocks);
	if (!at)
		at = vmc_freelist_longest(&e->list);
	if (at && vmc_run_count(vmc_freelist_run(&e->list, at)) >= mapped)
		return vmc_freelist_cut(&e->list, at, blocks);
	return claim_from_map(e, mapped);
}

static void
drop_pieces(struct vmc_extent *e, struct pieces *p)
{
	if (p->run != p->few)
		vmc_free(&e->memory, p->run, p->room * sizeof(vmc_run));
}

static int
grow_pieces(struct vmc_extent *e, struct pieces *p)
{
	vmc_run *more = vmc_alloc(&e->memory, 2 * p->room * sizeof(vmc_run));

	if (more == NULL)
		return -ENOMEM;
	memcpy(more, p->run, p->count * sizeof(vmc_run));
	drop_pieces(e, p);
	p->run = more;
	p->room *= 2;
	return 0;
}

/* How many listed runs may make up so many blocks exactly (rule 2). */
static unsigned
most_parts(const struct vmc_freelist *list, uint64_t blocks)
{
	return vmc_freelist_fit(list, blocks) ? PARTS_FOR_ONE
					      : VMC_FREELIST_PARTS;
}

/* Take blocks that are known to be free. -ENOMEM: some may be in p. */
static int
claim_blocks(struct vmc_extent *e, uint64_t blocks, struct pieces *p)
{
	uint64_t left = blocks;
	int result = 0;

	while (left > 0) {
		unsigned parts = 0;
		if (p->room - p->count < VMC_FREELIST_PARTS) {
			result = grow_pieces(e, p);
			if (result != 0)
				break;
		}
		vmc_run *part = p->run + p->count;
		if (vmc_freemap_longest(&e->map) < left) {
			parts = vmc_freelist_one(&e->list, left, part);
			if (parts == 0)
				parts = vmc_freelist_exact(&e->list, left,
					most_parts(&e->list, left), part);
		}
		if (parts == 0)
			part[parts++] =
				claim_run(e, least(left, VMC_RUN_COUNT_MAX));
		p->count += parts;
		while (parts > 0)
			left -= vmc_run_count(part[--parts]);
	}
	vmc_owner_add(&e->free_blocks, left - blocks);
	return result;
}

static size_t
array_size(uint64_t count)
{
	return sizeof(struct vmc_run_array) + count * sizeof(vmc_run);
}

int
vmc_extent_pack(struct vmc_extent *e, const vmc_run *run, uint64_t count,
	vmc_runs *runs)
{
	if (count == 1) {
		*runs = vmc_runs_one(run[0]);
		return 0;
	}
	struct vmc_run_array *a = vmc_alloc(&e->memory, array_size(count));
	if (a == NULL)
		return -ENOMEM;
	a->count = count;
	memcpy(a->run, run, count * sizeof(vmc_run));
	runs->word = (uintptr_t)a | VMC_RUNS_ARRAY;
	return 0;
}

/* The runs have gone where they should: give their array up. */
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

/* Take blocks > 0 after the runs have been given; the latch is not held. */
static int
exchange(struct vmc_extent *e, const vmc_run *given, uint64_t gives,
	uint64_t blocks, vmc_runs *take, uint64_t *missing)
{
	struct pieces p = {
		.run = p.few, .room = sizeof(p.few) / sizeof(*p.few)};
	int result;

	vmc_extent_lock(e);
	vmc_extent_settle(e);
	release_runs(e, given, gives);
	uint64_t have = vmc_load_relaxed(&e->free_blocks);
	if (have < blocks) {
		*missing = blocks - have;
		vmc_extent_unlock(e);
		return -ENOSPC;
	}
	if (vmc_load_relaxed(&e->last_length) != blocks)
		vmc_store_relaxed(&e->last_length, blocks);
	result = claim_blocks(e, blocks, &p);
	vmc_extent_unlock(e);

	if (result == 0)
		result = vmc_extent_pack(e, p.run, p.count, take);
	if (result != 0) {
		vmc_extent_lock(e);
		release_runs(e, p.run, p.count);
		vmc_extent_unlock(e);
		vmc_fail_const(ENOMEM, "no memory for the runs of a value");
	}
	drop_pieces(e, &p);
	return result;
}

int
vmc_extent_exchange(struct vmc_extent *extent, vmc_runs *give, uint64_t blocks,
	vmc_runs *take, uint64_t *missing)
{
	uint64_t gives, have = vmc_load_relaxed(&extent->free_blocks);
	const vmc_run *given = vmc_runs_view(give, &gives);
	int result = 0;

	*take = VMC_RUNS_NONE;
	if (gives == 0) {
		if (have < blocks) {
			*missing = blocks - have;
			return -ENOSPC;
		}
		if (blocks > 0 && latest_fits(extent, blocks) &&
			take_latest(extent, blocks, take))
			return 0;
	}
	if (gives == 1 && vmc_run_count(given[0]) == blocks &&
		vmc_load_relaxed(&extent->last_length) == blocks &&
		vmc_run_first(given[0]) + blocks <= vmc_extent_limit(extent))
		*take = vmc_runs_one(given[0]);
	else if (blocks == 0)
		vmc_extent_free(extent, give);
	else
		result = exchange(extent, given, gives, blocks, take, missing);
	retire_runs(extent, give);
	return result;
}

void
vmc_extent_free(struct vmc_extent *extent, vmc_runs *give)
{
	uint64_t gives;
	const vmc_run *given = vmc_runs_view(give, &gives);

	if (gives == 0)
		return;
	vmc_extent_lock(extent);
	if (!keep_as_latest(extent, given, gives))
		release_runs(extent, given, gives);
	vmc_extent_unlock(extent);
	retire_runs(extent, give);
}

void
vmc_extent_drop(struct vmc_extent *extent, vmc_runs *runs)
{
	retire_runs(extent, runs);
}

uint64_t
vmc_extent_blocks(const struct vmc_extent *extent)
{
	return vmc_extent_limit(extent);
}

uint64_t
vmc_extent_used_blocks(struct vmc_extent *extent)
{
	vmc_extent_lock(extent);
	uint64_t used = vmc_extent_limit(extent) -
			vmc_extent_free_blocks(extent) +
			vmc_extent_closed_used(extent);
	vmc_extent_unlock(extent);
	return used;
}

uint64_t
vmc_extent_free_blocks(const struct vmc_extent *extent)
{
	return vmc_load_relaxed(&extent->free_blocks);
}

void
vmc_extent_renew_latch(struct vmc_extent *extent)
{
	vmc_latch_renew(&extent->latch);
}

/* Under the latch. */
static uint64_t
count_runs(struct vmc_extent *e)
{
	vmc_run run = vmc_load_relaxed(&e->latest);
	uint64_t first = vmc_run_first(run), end = first + vmc_run_count(run);
	uint64_t runs = e->map.runs + e->list.count;

	if (run == 0)
		return runs;
	/* one more, unless it joins what it touches */
	return runs + 1 - vmc_freelist_touching(&e->list, first, end) -
	       vmc_freemap_is_free(&e->map, first - 1) -
	       vmc_freemap_is_free(&e->map, end);
}

uint64_t
vmc_extent_free_runs(struct vmc_extent *extent)
{
	vmc_extent_lock(extent);
	uint64_t runs = count_runs(extent);
	vmc_extent_unlock(extent);
	return runs;
}

/* The latest run has blocks that are in no other place. */
static int
check_latest(struct vmc_extent *e)
{
	vmc_run run = vmc_load_relaxed(&e->latest);
	uint64_t first = vmc_run_first(run), end = first + vmc_run_count(run);

	if (run != 0 && (end == first || end > vmc_extent_limit(e)))
		return vmc_fail_const(EINVAL, "latest run: no run");
	for (uint64_t b = first; b != end; b++)
		if (vmc_freemap_is_free(&e->map, b))
			return vmc_fail_const(EINVAL, "latest run: in the map");
	for (vmc_listed at = 0; (at = vmc_freelist_next(&e->list, at)) != 0;) {
		vmc_run other = vmc_freelist_run(&e->list, at);
		if (vmc_run_first(other) < end &&
			first < vmc_run_first(other) + vmc_run_count(other))
			return vmc_fail_const(EINVAL, "latest run: listed");
	}
	return 0;
}

/* No listed run touches another or the map; what they have in *blocks. */
static int
check_list(struct vmc_extent *e, uint64_t *blocks)
{
	int result = vmc_freelist_check(&e->list, blocks);

	for (vmc_listed at = 0;
		result == 0 && (at = vmc_freelist_next(&e->list, at)) != 0;) {
		vmc_run run = vmc_freelist_run(&e->list, at);
		uint64_t first = vmc_run_first(run);
		uint64_t end = first + vmc_run_count(run);
		if (end > vmc_extent_limit(e))
			return vmc_fail_const(EINVAL, "listed run: no run");
		for (uint64_t b = first - 1; b != end + 1; b++)
			if (vmc_freemap_is_free(&e->map, b))
				return vmc_fail_const(EINVAL,
					"listed run touches free blocks");
	}
	return result;
}

int
vmc_extent_check(struct vmc_extent *extent)
{
	uint64_t blocks, listed = 0;

	vmc_extent_lock(extent);
	int result = vmc_freemap_check(&extent->map, &blocks);
	if (result == 0)
		result = check_list(extent, &listed);
	if (result == 0)
		result = check_latest(extent);
	listed += vmc_run_count(vmc_load_relaxed(&extent->latest));
	if (result == 0 && blocks + listed != vmc_extent_free_blocks(extent))
		result = vmc_fail_const(EINVAL, "free blocks miscounted");
	if (result == 0 && extent->closed) {
		result = vmc_freemap_check(extent->closed, &blocks);
		if (result == 0 && extent->closed->blocks - blocks !=
					   vmc_extent_closed_used(extent))
			result = vmc_fail_const(
				EINVAL, "closed blocks miscounted");
	} else if (result == 0 &&
		   extent->map.blocks != vmc_extent_limit(extent)) {
		result = vmc_fail_const(EINVAL, "closed, and nothing is");
	}
	vmc_extent_unlock(extent);
	return result;
}
