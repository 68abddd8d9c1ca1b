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

#include "address_map.h"
#include "memkind.h"
#include "nodes.h"
#include "space.h"

#include "base/heritage.h"
#include "base/lock.h"

#include <errno.h>

/* What is free in a kind stays with it for this long before it goes back. */
#define VMC_DECAY_MS 5000

/* The most arenas of one kind: more threads than these share some. */
#define VMC_KIND_ARENAS 64

struct vmc_thread_heap;

/* Success leaves errno as it was. */
static inline int
vmc_keep_errno(int code, int saved)
{
	if (code == 0)
		errno = saved;
	return code;
}

/* What makes one kind differ from another; data alone. */
struct vmc_kind_type {
	const char *name;
	enum vmc_nodes nodes;
	enum vmc_placement placement;
	bool closest;       /* of the nodes, only those closest */
	bool small_pages;   /* no transparent huge pages */
	bool no_capacity;   /* memkind_get_capacity() says -1 */
	uint8_t page_shift; /* of pages from a pool, 0: the usual ones */
	int ambiguous;      /* the code for several nodes to prefer */
};

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

	/* read by anybody; changes under vmc_kinds_lock */
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
 * over then (kind.c).
 */
static inline void
vmc_kind_changes(struct memkind *kind)
{
	if (kind->shared)
		vmc_heritage_change(&kind->heritage);
}

/*
 * A space of anonymous memory as the type says, for the kind that has this
 * type. Returns 0 or a code of memkind.h.
 */
int vmc_type_space(const struct vmc_kind_type *type, struct vmc_space *space);

/* Can that be had? 0 or a code of memkind.h. */
int vmc_type_available(const struct vmc_kind_type *type);

/* Does the choice of nodes depend on the processor that asks? */
static inline bool
vmc_type_is_local(const struct vmc_kind_type *type)
{
	return type->closest || type->nodes >= VMC_NODES_LOCAL_CAPACITY;
}

/* The types of the static kinds, by their numbers. */
extern const struct vmc_kind_type vmc_static_types[MEMKIND_NUM_BASE_KIND];

/* How many arenas a kind may come to have, from the environment or not. */
unsigned vmc_kind_arena_limit(void);

/* Under vmc_kinds_lock: which arena a new heap of the calling thread gets. */
unsigned vmc_kind_arena(const struct memkind *kind);

/*
 * Make a kind of this type in a free place of the table, on this space, which
 * it takes over. On failure (-ENOMEM, -EUSERS: the table is full, -EEXIST:
 * some of this user memory is in a kind already) the space is destroyed.
 */
int vmc_kind_create(const struct vmc_kind_type *type, struct vmc_space *space,
	ssize_t decay, struct memkind **kind);

/* Called with the number of a kind that is about to be destroyed. */
extern void (*_Atomic vmc_kind_on_destroy)(unsigned number);

/* Give up everything in it. Nobody uses it any more. */
void vmc_kind_destroy(struct memkind *kind);

/* The arena of this number, NULL: there is none, or it is vacant. */
static inline struct vmc_arena *
vmc_kind_arena_at(const struct memkind *kind, unsigned number)
{
	struct vmc_arena *arena = vmc_load_acquire(&kind->arenas[number]);

	return arena && !vmc_load_acquire(&arena->vacant) ? arena : NULL;
}

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

/*
 * Make the table and everything else ready for use. May be called often; by
 * every call that may be the first one of the process, before constructors.
 */
void vmc_kinds_init(void);

#endif
