/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.c -- a jemalloc arena on a slice of a space, or on a part of one
 *
 * jemalloc (5.3, with retain, its default) keeps two books on address space:
 * it never merges free extents across the borders of what the alloc hook
 * granted in one call, and it trusts that what the dalloc hook took back never
 * turns up in another arena. A hook that takes parts of a grant back and lets
 * the addresses pass to another arena makes it merge extents across arenas,
 * and the heap is corrupt. So here
 *
 *  - a slice belongs to one arena for good, dalloc always refuses, and memory
 *    comes and goes through commit and decommit, in whole pages;
 *  - an arena is granted its slice when it is created, in as few pieces as
 *    jemalloc's size classes allow (one where the size is a class): objects
 *    of the largest such size are allocated and freed, while commit and
 *    decommit do nothing. All free space of the slice can merge from then on,
 *    and the alloc hook has nothing left to grant but a few pages at the end,
 *    which were too little for another seed.
 *
 *     slice  |=========== 1st seed ===========|==== 2nd ====|= 3rd =|
 *            all uncommitted, in jemalloc's list of retained extents
 *
 * What jemalloc notes down about an arena comes from these hooks as well, or
 * it would stay mapped for good when the arena is destroyed, which with retain
 * it does not return. Those requests are told from others by being the only
 * ones for memory that is zeroed, committed and aligned to 2 MiB: heap.c never
 * asks for zeroed objects with an alignment.
 *
 * A part is a large object of the first arena's. jemalloc has notes on the
 * first and the last page of such an object and none between, where the other
 * arena's can be. These two pages are left out, so to either arena the other's
 * memory begins with a page that is in use, and it merges nothing across.
 *
 *     part   |page|======= 1st seed =======|== 2nd ==|page|
 *
 * commit and decommit of disjoint ranges run at once, called under whatever
 * locks jemalloc holds. They take no lock of ours: a fork would have to order
 * it with jemalloc's. They leave errno as it was: a reservation that failed
 * may have been a first try.
 *
 * Rejected: granting as jemalloc asks (2 MiB at first, growing): every grant
 * is a border for ever, and a capped space ends in page-sized grants.
 * retain:false, which merges across grants, makes the default arenas unmap
 * and map for each extent, and leaves arenas racing at common borders.
 */
#include "space.h"

#include "pools.h"

#include "base/os.h"
#include "base/os_space.h"

#include <errno.h>
#include <limits.h>

/* The smallest object that has an extent of its own. */
#define SMALLEST_SEED ((size_t)16384)

/* Private memory, zeroed and aligned, whatever the medium is. */
static void *
map_metadata(size_t size)
{
	int saved = errno;
	void *addr;

	if (vmc_os_space_anonymous(size, &addr) < 0)
		addr = NULL;
	errno = saved;
	return addr;
}

static void *
hook_alloc(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment,
	bool *zero, bool *commit, unsigned index)
{
	struct vmc_arena *arena = (struct vmc_arena *)hooks;
	const struct vmc_space *space = arena->space;
	size_t granted = vmc_load_relaxed(&arena->granted);
	char *at;

	(void)index;
	if (*zero && *commit && alignment == VMC_OS_CHUNK)
		return map_metadata(size);
	do {
		at = arena->base + granted;
		if (size > arena->size - granted ||
			((uintptr_t)at & (alignment - 1)) ||
			(new_addr && new_addr != at))
			return NULL;
	} while (!vmc_cas_acq_rel(&arena->granted, &granted, granted + size));
	*zero = !space->medium->dirty;
	*commit = space->medium->dirty;
	return at;
}

static bool
hook_dalloc(extent_hooks_t *hooks, void *addr, size_t size, bool committed,
	unsigned index)
{
	const struct vmc_arena *arena = (struct vmc_arena *)hooks;
	const struct vmc_space *space = arena->space;

	(void)committed;
	(void)index;
	if ((uintptr_t)addr - (uintptr_t)space->base < vmc_space_size(space))
		return true;
	vmc_os_unmap(addr, size);
	return false;
}

/* Have the medium change a part of the extent; true: it did not. */
static bool
change(struct vmc_arena *arena,
	int (*how)(struct vmc_space *space, size_t offset, size_t size),
	const char *addr, size_t size)
{
	int saved = errno;
	bool failed = !arena->inert &&
		      how(arena->space, (size_t)(addr - arena->space->base),
			      size) != 0;

	errno = saved;
	return failed;
}

static bool
hook_commit(extent_hooks_t *hooks, void *addr, size_t size, size_t offset,
	size_t length, unsigned index)
{
	struct vmc_arena *arena = (struct vmc_arena *)hooks;

	(void)size, (void)index;
	return arena->space->medium->commit &&
	       change(arena, arena->space->medium->commit,
		       (char *)addr + offset, length);
}

static int
decommit(struct vmc_space *space, size_t offset, size_t size)
{
	return vmc_load_relaxed(&space->hoard)
		       ? -ENOTSUP
		       : space->medium->decommit(space, offset, size);
}

static bool
hook_decommit(extent_hooks_t *hooks, void *addr, size_t size, size_t offset,
	size_t length, unsigned index)
{
	struct vmc_arena *arena = (struct vmc_arena *)hooks;

	(void)size, (void)index;
	return !arena->space->medium->decommit ||
	       change(arena, decommit, (char *)addr + offset, length);
}

static bool
hook_split(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a,
	size_t size_b, bool committed, unsigned index)
{
	(void)hooks;
	(void)addr;
	(void)size;
	(void)size_a;
	(void)size_b;
	(void)committed;
	(void)index;
	return false;
}

/*
 * Free memory that is still committed does not merge beyond this size. What
 * goes back is whole extents: all of a single large one would go, and be
 * reserved again a moment later, whenever a page of it is due.
 * What stays in any case may merge, or nothing larger could be had again.
 */
#define MOST_COMMITTED ((size_t)2 << 20)

static bool
hook_merge(extent_hooks_t *hooks, void *addr_a, size_t size_a, void *addr_b,
	size_t size_b, bool committed, unsigned index)
{
	struct vmc_arena *arena = (struct vmc_arena *)hooks;

	(void)addr_a;
	(void)addr_b;
	(void)index;
	return committed && arena->space->medium->decommit && !arena->inert &&
	       !vmc_load_relaxed(&arena->space->hoard) &&
	       size_a + size_b > MOST_COMMITTED;
}

static const extent_hooks_t hooks = {
	.alloc = hook_alloc,
	.dalloc = hook_dalloc,
	.commit = hook_commit,
	.decommit = hook_decommit,
	.split = hook_split,
	.merge = hook_merge,
};

/*
 * All seeds are held until the last one is there: a smaller one would come
 * out of a larger one otherwise.
 */
static int
seed(struct vmc_arena *arena)
{
	int flags = (int)MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
	const size_t pad = vmc_engine_large_pad();
	void *seeds[sizeof(long) * CHAR_BIT];
	size_t left = arena->size;
	unsigned count = 0;
	int err = 0;

	for (; left >= SMALLEST_SEED + pad && !err; count += !err) {
		seeds[count] =
			je_mallocx(vmc_engine_class_below(left - pad), flags);
		err = seeds[count] ? 0 : -ENOMEM;
		left = arena->size - vmc_load_relaxed(&arena->granted);
	}
	while (count > 0)
		je_dallocx(seeds[--count], flags);
	vmc_engine_arena_purge(arena->index);
	return err;
}

/* jemalloc's part of it. On failure there is none. */
static int
start(struct vmc_arena *arena, ssize_t decay, bool pools)
{
	int err = vmc_engine_arena_create(&arena->hooks, &arena->index);

	if (err)
		return err;
	err = vmc_engine_arena_decay(arena->index, 0);
	if (!err)
		err = seed(arena);
	if (!err)
		err = vmc_engine_arena_decay(arena->index, decay);
	arena->inert = false;
	if (!err && pools) {
		arena->pool = vmc_pool_create(arena);
		err = arena->pool ? 0 : -ENOMEM;
	}
	if (err)
		vmc_arena_destroy(arena);
	return err;
}

int
vmc_arena_create(struct vmc_arena *arena, struct vmc_space *space,
	unsigned number, const struct vmc_arena *first, ssize_t decay,
	bool pools)
{
	const size_t page = vmc_os_page_size();
	int flags = MALLOCX_ALIGN(page) | MALLOCX_TCACHE_NONE, err;
	char *part = NULL;

	*arena = (struct vmc_arena){.hooks = hooks,
		.space = space,
		.size = space->slice,
		.inert = true};
	if (number < space->slices) {
		arena->base = space->base + space->slice * number;
	} else {
		/* aligned, or it might begin within a page */
		flags |= MALLOCX_ARENA(first->index);
		part = je_mallocx(space->part, flags);
		if (!part)
			return -ENOMEM;
		arena->base = part + page;
		arena->size = space->part - 2 * page;
	}
	err = start(arena, decay, pools);
	if (err && part)
		je_dallocx(part, MALLOCX_TCACHE_NONE);
	return err;
}

void
vmc_arena_destroy(struct vmc_arena *arena)
{
	/* the space goes as a whole: no use in giving back each piece */
	arena->inert = true;
	if (arena->pool)
		vmc_pool_destroy(arena->pool);
	vmc_engine_arena_destroy(arena->index);
}
