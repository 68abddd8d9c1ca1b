/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.c -- a jemalloc arena on the pieces of a space, or on a part of the
 * caller's memory
 *
 * jemalloc 5.3 with retain, its default, makes two assumptions about its extent
 * hooks: (1) free extents from different calls of the alloc hook are never
 * merged; (2) addresses that the dalloc hook has accepted never appear in
 * another arena. If a hook takes a part of a grant back and grants it to
 * another arena, jemalloc merges extents across arenas, and the heap is
 * corrupt. Therefore
 *
 *  - a piece belongs to one arena until the kind is destroyed, dalloc always
 *    refuses, and memory is taken and returned by commit and decommit, in whole
 *    pages;
 *  - each grant is a piece of its own. jemalloc asks for grants that grow by a
 *    fifth each time, from 2 MiB on, so borders are few, and addresses are in
 *    proportion to what is allocated. What it keeps of them is uncommitted.
 *
 *     pieces |2 MiB|2.5  |3 MiB |3.5   |  ...   |   one for a large object  |
 *
 *  - if there is no piece as large as that, because the process has a limit
 *    on addresses, jemalloc asks once more for just what it needs. Such grants
 *    are cut one after the other from one piece, as large as there is.
 *
 * When the medium is full, more addresses would not help: a thread that was
 * refused a commit is granted nothing until its next allocation.
 *
 * jemalloc's metadata of an arena also comes from these hooks; otherwise it
 * would stay mapped after the arena is destroyed, since with retain jemalloc
 * does not return it. Requests for metadata are recognised as the only ones for
 * memory that is zeroed, committed and aligned to 2 MiB: heap.c never asks for
 * zeroed objects with an alignment.
 *
 * The caller's memory is granted to the first arena when that is created, in
 * as few grants as jemalloc's size classes allow: objects of the largest such
 * size, called seeds, are allocated and freed. All of it can merge from then
 * on.
 *
 *     memory |=========== 1st seed ===========|==== 2nd ====|= 3rd =|
 *
 * A part of it is a large object of the first arena. jemalloc's extent map has
 * entries for the first and the last page of such an object and none between,
 * so the entries of the other arena can be there. These two pages are left out:
 * to either arena the other's memory begins with a page that is in use, so it
 * merges nothing across the border.
 *
 *     part   |page|======= 1st seed =======|== 2nd ==|page|
 *
 * commit and decommit of disjoint ranges run at once, called under whatever
 * locks jemalloc holds. They leave errno as it was: a reservation that failed
 * may have been a first try.
 *
 * Rejected: granting all that an arena may ever need when it is created. Even
 * where that is possible, limits on address space count it, and a hundred
 * arenas, each as large as the memory of a large machine, do not fit into the
 * address space. retain:false, which merges across grants, makes the default
 * arenas unmap and map for each extent, and leaves arenas racing at common
 * borders.
 */
#include "arena.h"

#include "memkind/space/size_class.h"

#include "base/os.h"
#include "base/os_space.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* The smallest object that has an extent of its own. */
#define SMALLEST_SEED ((size_t)16384)

/* Was the last commit of this thread refused? See above. */
static _Thread_local bool refused;

/* Private memory, zeroed and aligned, whatever the medium is. */
static void *
map_metadata(size_t size)
{
	void *addr;

	if (vmc_os_space_map(size, VMC_OS_CHUNK, &addr) < 0)
		return NULL;
	if (vmc_os_space_open(addr, size, true) == 0)
		return addr;
	vmc_os_unmap(addr, size);
	return NULL;
}

/* So many bytes from what is left of [base, base + size); NULL: too little. */
static char *
grant(char *base, size_t size, _Atomic size_t *granted, size_t wanted,
	size_t alignment)
{
	size_t before = vmc_load_relaxed(granted), after;
	char *at;

	do {
		at = base + before;
		at += -(uintptr_t)at & (alignment - 1);
		after = (size_t)(at - base) + wanted;
		if (after > size)
			return NULL;
	} while (!vmc_cas_acq_rel(granted, &before, after));
	return at;
}

/*
 * exact: jemalloc asks for what it needs, after a larger grant was not to be
 * had. Then a piece is for more than this grant, half as large as what was
 * refused last.
 */
static char *
grant_from_pieces(
	struct vmc_arena *arena, size_t size, size_t alignment, bool exact)
{
	/* pairs with the release below */
	struct vmc_piece *piece = vmc_load_acquire(&arena->piece);
	size_t refused_size = exact ? vmc_load_relaxed(&arena->refused) : 0;
	size_t wanted = size > refused_size / 2 ? size : refused_size / 2;
	char *at = NULL;

	if (piece)
		at = grant(piece->base, piece->size, &piece->granted, size,
			alignment);
	if (at)
		return at;
	while (vmc_space_grow(arena->space, arena, arena->number, wanted,
		       alignment, &piece) < 0) {
		vmc_store_relaxed(&arena->refused, wanted);
		if (wanted / 2 < size)
			return NULL;
		wanted /= 2;
	}
	vmc_store_relaxed(&piece->granted, size);
	vmc_store_release(&arena->piece, piece);
	return piece->base;
}

/* The caller's memory is there, but not zeroed. */
static char *
grant_memory(struct vmc_arena *arena, size_t size, size_t alignment, bool zero)
{
	char *at = grant(
		arena->base, arena->size, &arena->granted, size, alignment);

	return at && zero ? memset(at, 0, size) : at;
}

static void *
hook_alloc(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment,
	bool *zero, bool *commit, unsigned index)
{
	struct vmc_arena *arena = (struct vmc_arena *)hooks;
	struct vmc_space *space = arena->space;
	int saved = errno;
	char *at = NULL;

	(void)index;
	if (*zero && *commit && alignment == VMC_OS_CHUNK) {
		at = map_metadata(size);
	} else if (space->medium == &vmc_medium_user && !new_addr) {
		at = grant_memory(arena, size, alignment, *zero);
		*commit = true;
	} else if (!new_addr && !refused && !arena->sealed) {
		at = grant_from_pieces(arena, size, alignment, *commit);
		refused =
			at && *commit && vmc_space_commit(space, at, size) < 0;
		if (refused) /* these addresses are lost: once, see above */
			at = NULL;
		*zero = !arena->seeding;
		*commit = *commit || arena->seeding;
	}
	errno = saved;
	return at;
}

static bool
hook_dalloc(extent_hooks_t *hooks, void *addr, size_t size, bool committed,
	unsigned index)
{
	(void)hooks;
	(void)committed;
	(void)index;
	if (vmc_map_owner(addr) != VMC_OWNER_NONE)
		return true;
	vmc_os_unmap(addr, size); /* what jemalloc noted about the arena */
	return false;
}

static bool
hook_commit(extent_hooks_t *hooks, void *addr, size_t size, size_t offset,
	size_t length, unsigned index)
{
	struct vmc_space *space = ((struct vmc_arena *)hooks)->space;
	int saved = errno;

	(void)size, (void)index;
	if (space->medium == &vmc_medium_user)
		return false;
	refused = vmc_space_commit(space, (char *)addr + offset, length) < 0;
	errno = saved;
	return refused;
}

static bool
hook_decommit(extent_hooks_t *hooks, void *addr, size_t size, size_t offset,
	size_t length, unsigned index)
{
	const struct vmc_arena *arena = (struct vmc_arena *)hooks;
	struct vmc_space *space = arena->space;
	int saved = errno, err;

	(void)size, (void)index;
	if (space->medium == &vmc_medium_user)
		return true;
	if (arena->seeding)
		return false;
	err = vmc_space_decommit(space, (char *)addr + offset, length);
	errno = saved;
	return err != 0;
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
	const struct vmc_space *space = ((struct vmc_arena *)hooks)->space;

	(void)addr_a;
	(void)addr_b;
	(void)index;
	return committed && space->medium != &vmc_medium_user &&
	       !vmc_load_relaxed(&space->hoard) &&
	       !vmc_load_relaxed(&space->inert) &&
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
 * Grant the caller's memory. All seeds are held until the last one is there:
 * a smaller one would come out of a larger one otherwise.
 */
static int
seed_memory(struct vmc_arena *arena)
{
	int flags = (int)MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
	const size_t pad = vmc_engine_large_pad();
	void *seeds[sizeof(long) * CHAR_BIT];
	size_t left = arena->size;
	unsigned count = 0;
	int err = 0;

	for (; left >= SMALLEST_SEED + pad && !err; count += !err) {
		seeds[count] = je_mallocx(vmc_class_below(left - pad), flags);
		err = seeds[count] ? 0 : -ENOMEM;
		left = arena->size - vmc_load_relaxed(&arena->granted);
	}
	while (count > 0)
		je_dallocx(seeds[--count], flags);
	return err;
}

/*
 * A medium that gives nothing back: what small objects had is there for a
 * large one only if it merges, so all that the limit allows is one grant, if
 * there are addresses for it.
 */
static void
seed_file(struct vmc_arena *arena)
{
	int flags = (int)MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
	void *all;

	if (vmc_engine_large_pad() > 0) /* more would be granted than this */
		return;
	arena->seeding = true;
	all = vmc_arena_malloc(arena->space->limit, flags);
	if (all)
		je_dallocx(all, flags);
	vmc_engine_arena_purge(arena->index);
	arena->seeding = false;
	arena->sealed = all != NULL;
}

/* jemalloc's part of it. On failure there is none. */
static int
start(struct vmc_arena *arena, ssize_t decay)
{
	const struct vmc_space *space = arena->space;
	int err = vmc_engine_arena_create(&arena->hooks, &arena->index);

	if (err)
		return err;
	err = vmc_engine_arena_decay(arena->index, 0);
	if (!err && space->medium == &vmc_medium_user)
		err = seed_memory(arena);
	else if (!err && vmc_load_relaxed(&space->hoard) &&
		 space->limit <= VMC_SPACE_BUDGET && space->limit > 0)
		seed_file(arena);
	if (!err)
		err = vmc_engine_arena_decay(arena->index, decay);
	if (err)
		vmc_engine_arena_destroy(arena->index);
	return err;
}

/* A part of what the first arena has, without the pages at its ends. */
static char *
take_part(struct vmc_arena *arena, const struct vmc_arena *first)
{
	const struct vmc_space *space = arena->space;
	const size_t page = vmc_os_page_size();
	char *part = je_mallocx(space->part,
		(int)MALLOCX_ARENA(first->index) | MALLOCX_ALIGN(VMC_OS_CHUNK) |
			MALLOCX_TCACHE_NONE);

	if (part) {
		arena->base = part + page;
		arena->size = space->part - 2 * page;
		vmc_space_note_arena(part, space->part, arena);
	}
	return part;
}

static void
return_part(struct vmc_arena *arena)
{
	char *part = arena->base - vmc_os_page_size();

	vmc_space_note_arena(part, arena->space->part, NULL);
	je_dallocx(part, MALLOCX_TCACHE_NONE);
}

int
vmc_arena_create(struct vmc_arena *arena, struct vmc_space *space,
	unsigned number, const struct vmc_arena *first, ssize_t decay)
{
	int err;

	/* depot and heaps stay what they were of an arena that was vacant */
	arena->hooks = hooks;
	arena->space = space;
	arena->number = number;
	arena->base = space->base;
	arena->size = space->capacity;
	vmc_store_relaxed(&arena->granted, 0);
	arena->is_part = space->medium == &vmc_medium_user && first;
	if (arena->is_part && !take_part(arena, first))
		return -ENOMEM;
	err = start(arena, decay);
	if (err && arena->is_part)
		return_part(arena);
	return err;
}

void
vmc_arena_destroy(struct vmc_arena *arena)
{
	vmc_engine_arena_destroy(arena->index);
	if (arena->is_part)
		return_part(arena);
}

void *
vmc_arena_malloc(size_t size, int flags)
{
	refused = false;
	return je_mallocx(size, flags);
}
