/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * depot.c -- free objects on their way between threads
 *
 * An arena has one, with a shelf for each size class: a stack of pointers, to
 * which half a magazine is added and from which a whole one is taken at once.
 * So objects that one thread allocates and another frees are reused without
 * jemalloc, whose arena both threads would lock, and moving cache lines from
 * processor to processor is shared by many objects.
 *
 *     magazine of A --half--> [ shelf: count, pointers ] --whole--> of B
 *
 * Each shelf has a spin lock, which is held while those pointers are copied. A
 * thread that does not get it soon (its holder may have been preempted) goes to
 * jemalloc instead, so no thread waits for another. A child of a fork drops the
 * contents of shelves whose locks are held, since their holders may have been
 * in the middle of a change.
 *
 * Rejected: lists through the objects themselves (a CPU cache miss for each
 * object, on a medium that may be slow); passing on whole magazines instead of
 * their contents (memory to be managed, and no faster: the pointers have to get
 * to the other processor in any case).
 */
#include "depot.h"

#include "engine.h"

#include "base/atomic.h"

#include <string.h>

/* A shelf holds so many bytes or objects, and at least a few. */
#define MOST_BYTES ((size_t)65536)
#define MOST_OBJECTS 1024u
#define FEWEST_OBJECTS 4u

/* About a microsecond. */
#define TRIES 64

struct shelf {
	_Alignas(64) _Atomic bool busy;
	/* the holder's */
	bool used; /* since vmc_depot_idle() */
	unsigned count;
	/* immutable */
	unsigned capacity;
	void **objects;
};

struct vmc_depot {
	unsigned classes;
	struct shelf shelves[];
};

static unsigned
capacity(size_t size)
{
	size_t n = MOST_BYTES / size;

	return n > MOST_OBJECTS     ? MOST_OBJECTS
	       : n < FEWEST_OBJECTS ? FEWEST_OBJECTS
				    : (unsigned)n;
}

struct vmc_depot *
vmc_depot_create(const size_t *sizes, unsigned classes)
{
	size_t head = sizeof(struct vmc_depot) + classes * sizeof(struct shelf);
	struct vmc_depot *depot;
	size_t slots = 0;
	void **room;

	for (unsigned class = 1; class < classes; class ++)
		slots += capacity(sizes[class]);
	depot = je_mallocx(head + slots * sizeof(void *), MALLOCX_ALIGN(64));
	if (!depot)
		return NULL;
	memset(depot, 0, head);
	depot->classes = classes;
	room = (void **)((char *)depot + head);
	for (unsigned class = 1; class < classes; class ++) {
		struct shelf *shelf = &depot->shelves[class];
		shelf->capacity = capacity(sizes[class]);
		shelf->objects = room;
		room += shelf->capacity;
	}
	return depot;
}

void
vmc_depot_destroy(struct vmc_depot *depot)
{
	je_free(depot);
}

static struct shelf *
enter(struct vmc_depot *depot, unsigned class)
{
	struct shelf *shelf;

	if (!depot)
		return NULL;
	shelf = &depot->shelves[class];
	for (int i = 0; i < TRIES; i++) {
		if (!vmc_load_relaxed(&shelf->busy) &&
			!vmc_exchange_acq_rel(&shelf->busy, true))
			return shelf;
		vmc_pause();
	}
	return NULL;
}

/* pairs with the exchange of the next to enter */
static void
leave(struct shelf *shelf)
{
	vmc_store_release(&shelf->busy, false);
}

bool
vmc_depot_put(struct vmc_depot *depot, unsigned class, void *const *objects,
	unsigned count)
{
	struct shelf *shelf = enter(depot, class);
	bool room;

	if (!shelf)
		return false;
	room = shelf->capacity - shelf->count >= count;
	if (room) {
		memcpy(shelf->objects + shelf->count, objects,
			count * sizeof(*objects));
		shelf->count += count;
	}
	shelf->used = true;
	leave(shelf);
	return room;
}

unsigned
vmc_depot_get(
	struct vmc_depot *depot, unsigned class, void **objects, unsigned most)
{
	struct shelf *shelf = enter(depot, class);
	unsigned count;

	if (!shelf)
		return 0;
	count = shelf->count < most ? shelf->count : most;
	shelf->count -= count;
	memcpy(objects, shelf->objects + shelf->count,
		count * sizeof(*objects));
	shelf->used = true;
	leave(shelf);
	return count;
}

bool
vmc_depot_idle(struct vmc_depot *depot, unsigned class)
{
	struct shelf *shelf = enter(depot, class);
	bool used;

	if (!shelf)
		return false;
	used = shelf->used;
	shelf->used = false;
	leave(shelf);
	return !used;
}

void
vmc_depot_after_fork(struct vmc_depot *depot)
{
	for (unsigned class = 1; depot && class < depot->classes; class ++) {
		struct shelf *shelf = &depot->shelves[class];
		if (!vmc_load_acquire(&shelf->busy))
			continue;
		shelf->count = 0;
		leave(shelf);
	}
}
