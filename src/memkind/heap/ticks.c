/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ticks.c -- returning free memory in time
 *
 * jemalloc checks for memory to return every thousand calls or so, but behind
 * the magazines it sees few calls: a thread that slows down would keep its free
 * memory, and a thread that has ended would leave it in its arena. So the slow
 * paths read a clock. At each tick a thread serves its own arena, one other
 * arena of the kind in turn, and one other kind in turn. So an arena is served
 * equally often however many there are, and whichever kind the calls use.
 *
 * A thread whose calls all end at its magazines never takes a slow path. So its
 * frees have a credit, in the same word as the magazine's count, so that
 * counting it costs only an addition whose carry is tested. When the credit is
 * used up, a free reads the clock. If a tick was due, the next free reads it
 * again; otherwise one twice as many calls later. So even rare calls suffice.
 *
 * All of it runs under vmc_kinds_lock, if that is free: otherwise a later call
 * does it.
 *
 * Rejected: a thread of the library (a library that starts one unasked cannot
 * be used in programs that fork; memkind_set_bg_threads() starts them on
 * request); a counter outside the magazines (another store in each call).
 */
#include "ticks.h"

#include "depot.h"

#include "base/os.h"

/* Nanoseconds between two looks at what is due to be given back. */
#define TICK ((uint64_t)50000000)

/* So many places of the table of kinds are looked through for another one. */
#define PLACES 64

static bool
empty_shelf(struct vmc_depot *depot, unsigned class)
{
	void *objects[VMC_MAGAZINE_OBJECTS];
	bool any = false;
	unsigned n;

	while ((n = vmc_depot_get(
			depot, class, objects, VMC_MAGAZINE_OBJECTS)) > 0) {
		for (unsigned i = 0; i < n; i++)
			je_sdallocx(objects[i], vmc_class_sizes[class],
				MALLOCX_TCACHE_NONE);
		any = true;
	}
	return any;
}

bool
vmc_heap_empty_depots(struct vmc_arena *const *arenas, unsigned count)
{
	bool any = false;

	for (unsigned i = 0; i < count; i++)
		for (unsigned class = 1; class < VMC_CLASSES; class ++)
			any |= empty_shelf(arenas[i]->depot, class);
	return any;
}

static void
empty_idle_shelves(struct vmc_depot *depot)
{
	for (unsigned class = 1; class < VMC_CLASSES; class ++)
		if (vmc_depot_idle(depot, class))
			empty_shelf(depot, class);
}

static void
look_after(const struct vmc_arena *arena)
{
	empty_idle_shelves(arena->depot);
	vmc_engine_arena_tick(arena->index);
}

/*
 * Depots stay as they are, as emptying them is a change for who may take the
 * kind over. What is due is given back by the space, which knows whether it
 * may.
 */
static void
look_after_another_kind(const struct memkind *own)
{
	static unsigned place; /* under vmc_kinds_lock */
	struct vmc_arena *arenas[VMC_KIND_ARENAS];
	unsigned count = 0;

	for (unsigned i = 0; i < PLACES && count == 0; i++) {
		const struct memkind *kind = &vmc_kinds[place];
		place = (place + 1) % MEMKIND_MAX_KIND;
		if (kind != own &&
			vmc_load_relaxed(&kind->state) == VMC_KIND_READY)
			count = vmc_kind_arenas(kind, arenas);
	}
	while (count > 0)
		vmc_engine_arena_tick(arenas[--count]->index);
}

bool
vmc_heap_tick(struct vmc_thread_heap *heap)
{
	struct vmc_arena *arenas[VMC_KIND_ARENAS];
	uint64_t now = vmc_os_clock_ns();

	if (heap == &vmc_heap_empty || now < heap->next_tick)
		return false;
	if (!vmc_lock_try(&vmc_kinds_lock))
		return true;
	heap->next_tick = now + TICK;
	unsigned count = vmc_kind_arenas(heap->kind, arenas);
	const struct vmc_arena *own = vmc_load_relaxed(&heap->arena);
	const struct vmc_arena *other = arenas[heap->ticks++ % count];
	if (heap->flushed)
		vmc_heap_flush(heap);
	heap->flushed = false;
	look_after(own);
	if (other != own)
		look_after(other);
	look_after_another_kind(heap->kind);
	vmc_lock_release(&vmc_kinds_lock);
	return true;
}
