/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * magazines.h -- a thread's heap in a kind, and its caches
 */
#ifndef VMC_MEMKIND_MAGAZINES_H
#define VMC_MEMKIND_MAGAZINES_H

#include "kind.h"

/* Classes up to this size have magazines; the tcache ends there as well. */
#define VMC_CACHED_MAX ((size_t)32768)
#define VMC_CLASSES 42u
#define VMC_BEYOND 0u /* of larger objects: its magazine never holds any */

/* A magazine holds at most so many objects, or bytes, and at least two. */
#define VMC_MAGAZINE_OBJECTS 32u
#define VMC_MAGAZINE_BYTES ((size_t)16384)

/*
 * What is in magazines is out of reach for other threads, so those of a thread
 * hold at most this part of what the kind can hold: each a quarter of what the
 * ones before it left.
 */
#define VMC_MAGAZINES_PART 1024u
#define VMC_MAGAZINE_SHARE 4u

/*
 * So many puts into a magazine at most, and one looks at the clock. After half
 * of it was parted with, when what was just freed may be due soon: no more than
 * it takes to fill it again.
 */
#define VMC_CREDIT 128u
#define VMC_CREDIT_OF_SHED (VMC_MAGAZINE_OBJECTS / 2)

struct vmc_magazine {
	/*
	 * From the lowest bit: 32 of how many objects are in it, 16 of how many
	 * there is room for beside them, both 0 if it has not been used yet or
	 * too little was left for it, and 16 that are carried over by a put
	 * when the credit is used up.
	 */
	uint64_t state;
	void **slots; /* NULL: not used yet */
};

#define VMC_ONE_OBJECT ((uint64_t)1)
#define VMC_ONE_ROOM ((uint64_t)1 << 32)
#define VMC_ONE_CREDIT ((uint64_t)1 << 48)

static inline uint32_t
vmc_magazine_count(const struct vmc_magazine *m)
{
	return (uint32_t)m->state;
}

static inline unsigned
vmc_magazine_room(const struct vmc_magazine *m)
{
	return (uint16_t)(m->state / VMC_ONE_ROOM);
}

static inline unsigned
vmc_magazine_capacity(const struct vmc_magazine *m)
{
	return vmc_magazine_count(m) + vmc_magazine_room(m);
}

static inline void
vmc_magazine_set(struct vmc_magazine *m, unsigned count, unsigned capacity)
{
	m->state = (m->state & ~(VMC_ONE_CREDIT - 1)) |
		   (capacity - count) * VMC_ONE_ROOM | count;
}

static inline void
vmc_magazine_set_credit(struct vmc_magazine *m, unsigned credit)
{
	m->state = (m->state & (VMC_ONE_CREDIT - 1)) - credit * VMC_ONE_CREDIT;
}

/* False: it is empty. */
static inline bool
vmc_magazine_take(struct vmc_magazine *m, void **object)
{
	uint64_t state = m->state;

	if (__builtin_expect((uint32_t)state == 0, 0))
		return false;
	m->state = state + VMC_ONE_ROOM - VMC_ONE_OBJECT;
	*object = (m->slots + (uint32_t)state)[-1];
	return true;
}

/* False: it is full, or the credit is used up. */
static inline bool
vmc_magazine_put(struct vmc_magazine *m, void *object)
{
	uint64_t state = m->state, after;

	if (__builtin_expect((state & (VMC_ONE_CREDIT - VMC_ONE_ROOM)) == 0 ||
				     __builtin_add_overflow(state,
					     VMC_ONE_CREDIT - VMC_ONE_ROOM +
						     VMC_ONE_OBJECT,
					     &after),
		    0))
		return false;
	m->state = after;
	m->slots[(uint32_t)state] = object;
	return true;
}

struct vmc_thread_heap {
	/* the owner's alone */
	struct vmc_magazine magazines[VMC_CLASSES];
	/*
	 * What was freed last, if its class is at most last_most, is not in its
	 * magazine yet: see heap.c. NULL, BEYOND: nothing.
	 */
	void *last;
	unsigned last_class;
	unsigned last_most;
	size_t budget; /* bytes that further magazines may hold */
	bool flushed;  /* objects to jemalloc, since the last refill */
	uint64_t next_tick;
	unsigned ticks;   /* wrapping around */
	unsigned refills; /* likewise */
	unsigned credit;  /* of a magazine that has used it up */
	/* immutable */
	struct memkind *kind;
	bool has_tcache;
	unsigned tcache;
	/*
	 * The latch is the owner's for what it does with its tcache, and in
	 * kinds with parts with arenas. Others take it under vmc_kinds_lock, to
	 * empty the tcache, and to take the arena away.
	 */
	struct vmc_latch latch;
	bool cached; /* something may be in the tcache */
	int flags;   /* for jemalloc: the arena and the tcache */
	/* written under both; the owner reads it without */
	struct vmc_arena *_Atomic arena;
	_Atomic bool lodges; /* it has allocated nothing yet: any will do */
	/* under vmc_kinds_lock */
	struct vmc_thread_heap *_Atomic *entry; /* where the owner looks */
	struct vmc_thread_heap *next, **previous;
	/* the owner's: what the magazines' slots point into */
	void *room[];
};

/* The one of a thread that has none: every fast path fails on it. */
extern struct vmc_thread_heap vmc_heap_empty;
/* The table of a thread that has none of its own: the empty one everywhere. */
extern struct vmc_thread_heap *_Atomic vmc_heap_none[MEMKIND_MAX_KIND];

/*
 * The calling thread's heaps by kind number. Others write there as well: who
 * destroys the kind, when nobody uses it any more, and who forks, see
 * vmc_heap_before_fork(). A thread in the middle of a call goes on with the
 * heap that it has found.
 */
extern _Thread_local struct vmc_thread_heap *_Atomic *vmc_heap_self;

static inline struct vmc_thread_heap *
vmc_heap_mine(const struct memkind *kind)
{
	return vmc_load_relaxed(&vmc_heap_self[kind->number]);
}

extern size_t vmc_class_sizes[VMC_CLASSES];

/* Sizes up to this find their class in a table. */
#define VMC_TABLE_MAX ((size_t)4096)
#define VMC_TABLE_CLASSES 30u

extern uint8_t vmc_class_table[VMC_TABLE_MAX / 8 + 1];

/* Where a class begins in a heap's room; at the next one it ends. */
extern unsigned vmc_heap_room[VMC_CLASSES + 1];

/* Fill the tables of classes; once. */
void vmc_heap_init_classes(void);

/* Through its tcache: count objects of this class. */
void vmc_heap_put_back(struct vmc_thread_heap *heap, unsigned class,
	void **objects, unsigned count);
/* Return what its magazines and its tcache hold to jemalloc. */
void vmc_heap_drain(struct vmc_thread_heap *heap);
/* Empties its tcache alone, on any thread; returns whether it held objects. */
bool vmc_heap_flush(struct vmc_thread_heap *heap);

#endif
