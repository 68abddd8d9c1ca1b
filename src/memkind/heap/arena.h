/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.h -- a jemalloc arena on the pieces of a space
 */
#ifndef VMC_MEMKIND_ARENA_H
#define VMC_MEMKIND_ARENA_H

#include "engine.h"

#include "memkind/space/space.h"

struct vmc_depot;

struct vmc_arena {
	extent_hooks_t hooks; /* first: jemalloc gives us its address back */
	/* immutable after creation */
	struct vmc_space *space;
	unsigned number;         /* within its kind */
	unsigned index;          /* jemalloc's number of it */
	void *pool;              /* of libtbbmalloc, on this arena; or NULL */
	struct vmc_depot *depot; /* the heap's, of its objects; or NULL */
	/* vmc_medium_user: its memory, of which so much has been granted */
	bool is_part;
	char *base;
	size_t size;
	_Atomic size_t granted;

	/* while it is created: nobody touches what is granted */
	bool seeding;
	bool sealed; /* granted all that it will ever be */

	/* bytes of the last piece that was not to be had */
	_Atomic size_t refused;
	/* the piece that is granted from now */
	struct vmc_piece *_Atomic piece;
	/*
	 * A part that went back to the first arena: nothing of jemalloc's is
	 * behind this arena until a thread needs it again. Changes under
	 * vmc_kinds_lock, and says so before anything is taken away.
	 */
	_Atomic bool vacant;
	/* under vmc_kinds_lock: of so many threads */
	unsigned heaps;
};

/*
 * The arena of this number, at a lasting address, which is all zero at first.
 * first: that of number 0, NULL if it is this one. decay: milliseconds for
 * which free memory is kept. -ENOMEM.
 */
int vmc_arena_create(struct vmc_arena *arena, struct vmc_space *space,
	unsigned number, const struct vmc_arena *first, ssize_t decay);

/* With everything in it. Nobody uses it any more. The first goes last. */
void vmc_arena_destroy(struct vmc_arena *arena);

/*
 * jemalloc's object of that size from that arena, or with flags from where
 * they say. Unlike je_mallocx() it may make the space grow.
 */
void *vmc_arena_malloc(size_t size, int flags);

/* For jemalloc: from this arena, past all thread caches. */
static inline int
vmc_arena_flags(const struct vmc_arena *arena)
{
	return MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
}

#endif
