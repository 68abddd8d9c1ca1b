/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recall.c -- returning free memory from caches, and from parts of fixed memory
 *
 * On request, or because an allocation found no memory. All of it runs under
 * vmc_kinds_lock. In another thread's heap it only empties the tcache, under
 * its latch, and changes the arena.
 */
#include "recall.h"

#include "ticks.h"
#include "threads.h"

static void
return_all(struct vmc_thread_heap *heap, bool purge)
{
	struct vmc_arena *arenas[VMC_KIND_ARENAS];

	vmc_lock_acquire(&vmc_kinds_lock);
	unsigned count = vmc_kind_arenas(heap->kind, arenas);
	vmc_heap_empty_depots(arenas, count);
	vmc_heap_drain(heap);
	for (unsigned i = 0; purge && i < count; i++)
		vmc_engine_arena_purge(arenas[i]->index);
	vmc_lock_release(&vmc_kinds_lock);
}

void
vmc_heap_return_caches(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		struct vmc_thread_heap *heap = vmc_heap_mine(&vmc_kinds[i]);
		if (heap != &vmc_heap_empty)
			return_all(heap, false);
	}
}

void
vmc_heap_give_back(const struct memkind *kind)
{
	struct vmc_thread_heap *heap = vmc_heap_self[kind->number];

	if (heap != &vmc_heap_empty)
		return_all(heap, true);
}

/*
 * An arena whose part has nothing in it any more gives it back to the first
 * one. jemalloc's arena goes with that, so nobody may be at work in it, or
 * begin to. In kinds with parts all of that is done under the latch of the own
 * heap, or vmc_kinds_lock, which is held here:
 *
 *  - Who takes its latch after it was taken here sees that the arena is vacant,
 *    and that its heap has another one. (release of the latch there, acquire
 *    here, and the other way round.)
 *  - Who had it before has left the arena. So nothing more is allocated in it.
 *  - What is allocated in it then may be freed, and so somebody be at work, but
 *    then it is counted. If nothing is, nobody has anything of it to free.
 *
 * The first look at what is allocated is for not doing this in vain.
 */
static void
vacate(struct memkind *kind, struct vmc_arena *arena)
{
	struct vmc_arena *first = vmc_load_relaxed(&kind->arenas[0]);

	vmc_store_release(&arena->vacant, true);
	for (struct vmc_thread_heap *heap = kind->heaps; heap;
		heap = heap->next) {
		if (vmc_load_relaxed(&heap->arena) == arena) {
			vmc_heap_move_to(heap, first, true);
			continue;
		}
		vmc_latch_acquire(&heap->latch, VMC_RANK_HEAP);
		vmc_latch_release(&heap->latch, VMC_RANK_HEAP);
	}
	if (vmc_engine_arena_is_empty(arena->index))
		vmc_arena_destroy(arena);
	else
		vmc_store_release(&arena->vacant, false);
}

/* Parts that are free are the first arena's again; were there any? */
static bool
take_parts_back(struct memkind *kind)
{
	struct vmc_arena *arenas[VMC_KIND_ARENAS];
	unsigned count = vmc_kind_arenas(kind, arenas);
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		if (!arenas[i]->is_part ||
			!vmc_engine_arena_is_empty(arenas[i]->index))
			continue;
		vacate(kind, arenas[i]);
		any |= vmc_load_relaxed(&arenas[i]->vacant);
	}
	if (any) /* the part is no object any more */
		vmc_engine_refresh_stats();
	return any;
}

/*
 * Whoever waits for a latch here holds vmc_kinds_lock, which a thread that has
 * its own latch never asks for. What a tcache got before its latch was free is
 * seen here, what it gets after that was not to be had before.
 */
bool
vmc_heap_recall(struct memkind *kind, struct vmc_thread_heap *heap)
{
	struct vmc_arena *arenas[VMC_KIND_ARENAS];
	bool any;

	vmc_lock_acquire(&vmc_kinds_lock);
	unsigned count = vmc_kind_arenas(kind, arenas);
	any = vmc_heap_empty_depots(arenas, count);
	if (heap != &vmc_heap_empty && !kind->pools)
		vmc_heap_drain(heap);
	for (struct vmc_thread_heap *other = kind->heaps; other;
		other = other->next)
		any |= vmc_heap_flush(other);
	for (unsigned i = 0; i < count; i++)
		vmc_engine_arena_purge(arenas[i]->index);
	any |= take_parts_back(kind);
	vmc_lock_release(&vmc_kinds_lock);
	return any;
}
