/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ticks.c -- what is free goes back when it is due
 *
 * jemalloc looks every thousand calls or so, of which it sees few behind the
 * magazines: a thread that slows down would keep what it has, and one that has
 * ended what it left in its arena. So the slow paths look at a clock. Each
 * thread looks after its own arena, after one of its kind in turn, and after
 * one other kind in turn: an arena is looked at as often however many there
 * are, and whatever kind the calls that are made belong to.
 *
 * A thread whose calls all end at its magazines has no slow path. Its frees
 * have a credit for that, in the same word as the magazine's count, so that
 * counting it costs no more than an addition whose carry is looked at. Is it
 * used up, a free looks. If that was due, the next one does again, else twice
 * as many calls later, so calls that are few and far between are enough.
 *
 * All of it is under vmc_kinds_lock, if that is free: else some other call
 * looks.
 *
 * Rejected: a thread of ours (a library that starts one unasked is not to be
 * had in programs that fork; who wants them has memkind_set_bg_threads()), a
 * counter beside the magazines (another store to each call).
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
