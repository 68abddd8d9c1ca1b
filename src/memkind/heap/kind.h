/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kind.h -- a kind, and the table of all of them
 *
 * Static kinds have the numbers of memkind_base_partition, created ones those
 * above. The table is an array, so a number is an address, and a handle that
 * was destroyed still points to something.
 */
#ifndef VMC_MEMKIND_KIND_H
#define VMC_MEMKIND_KIND_H

#include "arena.h"

#include "memkind.h"
#include "memkind/space/address_map.h"
#include "memkind/space/types.h"

#include "base/heritage.h"
#include "base/lock.h"

#include <errno.h>

/* What is free in a kind stays with it for this long before it goes back. */
#define VMC_DECAY_MS 5000

struct vmc_thread_heap;

/* Success leaves errno as it was. */
static inline int
vmc_keep_errno(int code, int saved)
{
	if (code == 0)
		errno = saved;
	return code;
}

enum vmc_kind_state {
	VMC_KIND_FREE = 0, /* no kind, or a static one not used yet */
	VMC_KIND_READY,
	VMC_KIND_FAILED, /* a static kind that this machine does not have */
	/* in a forked child, not its own: the heap is the parent's */
	VMC_KIND_FENCED,
};

struct memkind {
	/* immutable while READY */
	unsigned number;
	const struct vmc_kind_type *type;
	struct vmc_space space;
	ssize_t decay; /* milliseconds */
	bool pools;    /* its arenas have pools of libtbbmalloc on them */
	/* its memory is what children of a fork see, not copies of it */
	bool shared;

	/* read by any thread; changes under vmc_kinds_lock */
	_Atomic int state;
	int error; /* of a FAILED one */

	/*
	 * Each is written once, with release, under vmc_kinds_lock, when it is
	 * needed, and unchanged until the kind is destroyed. May be read
	 * without the lock (acquire): an object exists only after its arena.
	 */
	struct vmc_arena *_Atomic arenas[VMC_KIND_ARENAS]; /* when needed */
	/* under vmc_kinds_lock */
	struct vmc_thread_heap *heaps;
	bool forked; /* other processes may have it mapped */

	/* of a shared one: claimed under vmc_kinds_lock */
	struct vmc_heritage heritage;

	_Atomic bool zero_allocs;
};

extern struct memkind vmc_kinds[MEMKIND_MAX_KIND];
extern struct vmc_lock vmc_kinds_lock;

/*
 * Under vmc_kinds_lock: 0 if the kind can be allocated from, else a code of
 * memkind.h. A static kind is opened if it was not used before.
 */
int vmc_kind_prepare(struct memkind *kind);

/* Is the kind this process's, or can it become so? No lock held. */
bool vmc_kind_is_ours(struct memkind *kind);

/*
 * Before what is allocated in the kind changes: no child that there is takes it
 * over then (start.c).
 */
static inline void
vmc_kind_changes(struct memkind *kind)
{
	if (kind->shared)
		vmc_heritage_change(&kind->heritage);
}

/* Under vmc_kinds_lock: which arena a new heap of the calling thread gets. */
unsigned vmc_kind_arena(const struct memkind *kind);

/* The arena of this number, NULL: there is none, or it is vacant. */
static inline struct vmc_arena *
vmc_kind_arena_at(const struct memkind *kind, unsigned number)
{
	struct vmc_arena *arena = vmc_load_acquire(&kind->arenas[number]);

	return arena && !vmc_load_acquire(&arena->vacant) ? arena : NULL;
}

/*
 * The arenas there are, into room for VMC_KIND_ARENAS; how many. In kinds with
 * parts they stay only under vmc_kinds_lock, or the latch of any heap.
 */
unsigned vmc_kind_arenas(const struct memkind *kind, struct vmc_arena **arenas);

/* The arena that an object of the kind is from. */
static inline struct vmc_arena *
vmc_kind_home(const struct memkind *kind, const void *ptr)
{
	struct vmc_arena *arena = vmc_load_relaxed(&vmc_map_at(ptr)->arena);

	return arena ? arena : vmc_load_acquire(&kind->arenas[0]);
}

/* The kind of an address, NULL: nobody's. */
struct memkind *vmc_kind_of(const void *ptr);

/*
 * Take the space of a kind over, under vmc_kinds_lock. On failure (-ENOMEM) it
 * is destroyed.
 */
int vmc_kind_open(struct memkind *kind, const struct vmc_space *space);

/* Under vmc_kinds_lock: the caller's memory that it was opened on is free. */
void vmc_kind_close(struct memkind *kind);

/*
 * Under vmc_kinds_lock: is some of this user memory in a kind already? jemalloc
 * has one book for all addresses, so no kind can lie in the memory of another.
 */
bool vmc_kind_overlaps(const struct vmc_space *space);

#endif
