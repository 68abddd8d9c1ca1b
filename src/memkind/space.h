/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.h -- the address range of a kind, and the arenas in it
 *
 * A space is cut into slices of equal size, one for each arena that the kind
 * may come to have. An arena never sees an address outside its own slice.
 *
 * The caller's memory is one slice, the first arena's: in a slice of it, there
 * would be no room for an object as large as all of it. What other arenas get
 * are parts: objects of the first one, which it never gets back.
 */
#ifndef VMC_MEMKIND_SPACE_H
#define VMC_MEMKIND_SPACE_H

#include "engine.h"

#include "base/atomic.h"

#include <stdint.h>

struct vmc_depot;
struct vmc_space;

/* What is behind the addresses: one table of functions for each medium. */
struct vmc_medium {
	/*
	 * Make [offset, offset + size) usable, give it back and have it read
	 * as zeros next time. Whole pages. 0 or a negative errno; a range
	 * that cannot be given back stays usable. NULL: nothing to be done,
	 * and: never given back.
	 */
	int (*commit)(struct vmc_space *space, size_t offset, size_t size);
	int (*decommit)(struct vmc_space *space, size_t offset, size_t size);
	/* what is there at first is not zeros */
	bool dirty;
};

extern const struct vmc_medium vmc_medium_anonymous;
extern const struct vmc_medium vmc_medium_huge;
extern const struct vmc_medium vmc_medium_file;
extern const struct vmc_medium vmc_medium_user;

struct vmc_space {
	/* immutable after creation */
	const struct vmc_medium *medium;
	char *base;
	size_t slice; /* bytes; whole chunks, but for vmc_medium_user */
	unsigned slices;
	unsigned arenas;     /* at most: with a slice each, or with parts */
	size_t part;         /* bytes of one, or 0; vmc_medium_user */
	unsigned page_shift; /* vmc_medium_huge */
	int fd;              /* vmc_medium_file, else -1 */
	size_t limit;        /* vmc_medium_file: bytes of the file to use */
	size_t unit;         /* vmc_medium_file: what is reserved at once */
	/* one state for each unit, see space_file.c; atomic */
	_Atomic uint8_t *units;
	_Atomic bool hoard;      /* do not give anything back, or cannot */
	_Atomic size_t reserved; /* bytes, counted where slices > 1 */
};

/* What all slices of a space may take of the address space, one at least. */
#define VMC_SPACE_MOST ((size_t)32 << 40)

/* As many slices as wanted, or as there may be. */
static inline unsigned
vmc_space_slices(size_t slice, unsigned wanted)
{
	size_t most = VMC_SPACE_MOST / slice;

	return most > wanted ? wanted : most > 1 ? (unsigned)most : 1;
}

/*
 * The makers fill *space; on failure nothing is left behind. sizes and
 * counts are above zero.
 */
int vmc_space_anonymous(struct vmc_space *space, size_t slice, unsigned slices,
	unsigned page_shift);

/*
 * An unnamed file in the directory. limit 0: as much as the file system has;
 * else whole chunks. Fewer slices than wanted where there is no room for all.
 * -EINVAL: its pages are not the usual ones (hugetlbfs).
 */
int vmc_space_file(struct vmc_space *space, const char *directory, size_t limit,
	unsigned slices);

/*
 * The caller's memory; -EINVAL: too little to hold anything. Fewer arenas than
 * wanted where it is too little for all.
 */
int vmc_space_user(
	struct vmc_space *space, void *addr, size_t size, unsigned arenas);

/* All arenas in it must be gone. */
void vmc_space_destroy(struct vmc_space *space);

static inline size_t
vmc_space_size(const struct vmc_space *space)
{
	return space->slice * space->slices;
}

struct vmc_arena {
	extent_hooks_t hooks; /* first: jemalloc gives us its address back */
	/* immutable after creation */
	struct vmc_space *space;
	char *base;              /* of its slice, or its part */
	size_t size;             /* of that */
	unsigned index;          /* jemalloc's number of it */
	void *pool;              /* of libtbbmalloc, on this arena; or NULL */
	struct vmc_depot *depot; /* the heap's, of its objects; or NULL */
	/* while it is created or destroyed: commit and decommit do nothing */
	bool inert;
	_Atomic size_t granted; /* bytes of it */
	/* under vmc_kinds_lock: of so many threads */
	unsigned heaps;
};

/*
 * The arena of this number, at a lasting address. first: that of number 0, NULL
 * if it is this one. decay: milliseconds for which free memory is kept. pools:
 * with one of libtbbmalloc on it. -ENOMEM.
 */
int vmc_arena_create(struct vmc_arena *arena, struct vmc_space *space,
	unsigned number, const struct vmc_arena *first, ssize_t decay,
	bool pools);

/* With everything in it. Nobody uses it any more. The first goes last. */
void vmc_arena_destroy(struct vmc_arena *arena);

#endif
