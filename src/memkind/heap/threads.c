/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads.c -- which thread has a heap in which kind
 *
 * A thread without a heap in a kind has an empty one there, on which every fast
 * path fails without a check of its own. At its first allocation a thread gets
 * the arena with the fewest threads, of one arena per processor. Fewer arenas
 * would suffice behind two levels of caches, and leave fewer pages half used,
 * but not for objects too large for the caches: two threads that allocate and
 * free 64 KiB take 0.5 us for both calls with an arena each, and 3.9 us if they
 * share one (processors 240 ns apart).
 *
 * A heap is freed by its thread at exit, or by the thread that destroys the
 * kind. Both hold vmc_kinds_lock. So does a thread that has found no memory,
 * and empties the tcaches of all threads; it touches nothing else of another
 * thread's heap.
 */
#include "threads.h"

#include "depot.h"
#include "pools.h"
#include "ticks.h"

#include <pthread.h>

static _Thread_local bool exiting;
static pthread_key_t exit_key;
static bool exit_key_made;

static void
free_heap(struct vmc_thread_heap *heap)
{
	if (!vmc_load_relaxed(&heap->lodges))
		vmc_load_relaxed(&heap->arena)->heaps--;
	vmc_store_relaxed(heap->entry, &vmc_heap_empty);
	*heap->previous = heap->next;
	if (heap->next)
		heap->next->previous = heap->previous;
	if (heap->has_tcache)
		vmc_engine_tcache_destroy(heap->tcache);
	je_free(heap);
}

/* The heap that belongs there, be it out of its owner's sight; or NULL. */
static struct vmc_thread_heap *
heap_for(const struct memkind *kind, struct vmc_thread_heap *_Atomic *entry)
{
	struct vmc_thread_heap *heap = vmc_load_relaxed(entry);

	if (heap != &vmc_heap_empty)
		return heap;
	for (heap = kind->heaps; heap && heap->entry != entry;)
		heap = heap->next;
	return heap;
}

/* The thread has no table, and nothing in it, any more. */
static void
drop_table(struct vmc_thread_heap *_Atomic *heaps)
{
	struct vmc_arena *arenas[VMC_KIND_ARENAS];

	vmc_lock_acquire(&vmc_kinds_lock);
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		struct vmc_thread_heap *heap =
			heap_for(&vmc_kinds[i], &heaps[i]);
		if (!heap)
			continue;
		vmc_kind_changes(heap->kind);
		/* the last to go, and nobody would look there again */
		if (heap->kind->heaps == heap && !heap->next)
			vmc_heap_empty_depots(
				arenas, vmc_kind_arenas(heap->kind, arenas));
		vmc_heap_drain(heap);
		free_heap(heap);
	}
	vmc_heap_self = vmc_heap_none;
	vmc_lock_release(&vmc_kinds_lock);
	je_free((void *)heaps);
}

static void
thread_exit(void *table)
{
	exiting = true;
	drop_table(table);
}

/*
 * Without locks, and the table goes first: pthread_setspecific(3) may call
 * malloc(), which may be made of a kind, and so lead here once more.
 */
bool
vmc_heap_own_table(void)
{
	struct vmc_thread_heap *_Atomic *table;

	if (vmc_heap_self != vmc_heap_none)
		return true;
	if (exiting || !exit_key_made)
		return false;
	table = je_malloc(sizeof(vmc_heap_none));
	if (!table)
		return false;
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		vmc_store_relaxed(&table[i], &vmc_heap_empty);
	vmc_heap_self = table;
	if (pthread_setspecific(exit_key, (void *)table) == 0)
		return true;
	drop_table(table);
	return false;
}

/* The arena there is that the fewest threads have; NULL: there is none. */
static struct vmc_arena *
any_arena(const struct memkind *kind)
{
	struct vmc_arena *best = NULL;

	for (unsigned i = 0; i < kind->space.arenas; i++) {
		struct vmc_arena *arena = vmc_kind_arena_at(kind, i);
		if (arena && (!best || arena->heaps < best->heaps))
			best = arena;
	}
	return best;
}

static int
make_arena(struct memkind *kind, struct vmc_arena *arena, unsigned number)
{
	int err = vmc_arena_create(arena, &kind->space, number,
		vmc_load_relaxed(&kind->arenas[0]), kind->decay);

	if (err || !kind->pools)
		return err;
	arena->pool = vmc_pool_create(arena);
	if (arena->pool)
		return 0;
	vmc_arena_destroy(arena);
	return -ENOMEM;
}

/*
 * Where the arena cannot be made, another one of the kind: jemalloc has no
 * more arenas, there is no memory to note it down in, or no room for its part.
 */
static struct vmc_arena *
arena_of(struct memkind *kind, unsigned number)
{
	struct vmc_arena *there = vmc_load_relaxed(&kind->arenas[number]);
	struct vmc_arena *arena = there;

	if (there && !vmc_load_relaxed(&there->vacant))
		return there;
	if (!there)
		arena = je_calloc(1, sizeof(*arena));
	if (!arena)
		return any_arena(kind);
	if (make_arena(kind, arena, number) < 0) {
		if (!there)
			je_free(arena);
		return any_arena(kind);
	}
	if (!arena->pool && !there)
		arena->depot = vmc_depot_create(vmc_class_sizes, VMC_CLASSES);
	vmc_store_release(&arena->vacant, false);
	vmc_store_release(&kind->arenas[number], arena);
	return arena;
}

static void
set_flags(struct vmc_thread_heap *heap)
{
	heap->flags = vmc_arena_flags(vmc_load_relaxed(&heap->arena));
	if (heap->has_tcache)
		heap->flags +=
			MALLOCX_TCACHE((int)heap->tcache) - MALLOCX_TCACHE_NONE;
}

static void
make_tcache(struct vmc_thread_heap *heap)
{
	heap->has_tcache = vmc_engine_tcache_create(&heap->tcache) == 0;
	set_flags(heap);
}

void
vmc_heap_move_to(
	struct vmc_thread_heap *heap, struct vmc_arena *arena, bool lodges)
{
	vmc_latch_acquire(&heap->latch, VMC_RANK_HEAP);
	if (!vmc_load_relaxed(&heap->lodges))
		vmc_load_relaxed(&heap->arena)->heaps--;
	vmc_store_relaxed(&heap->arena, arena);
	vmc_store_relaxed(&heap->lodges, lodges);
	arena->heaps += !lodges;
	set_flags(heap);
	vmc_latch_release(&heap->latch, VMC_RANK_HEAP);
}

/*
 * The object that is kept aside comes first; its class is one that can have a
 * magazine.
 */
static void
set_budget(struct vmc_thread_heap *heap, size_t budget)
{
	size_t most = budget / VMC_MAGAZINE_SHARE / 2;

	while (heap->last_most + 1 < VMC_CLASSES &&
		vmc_class_sizes[heap->last_most + 1] <= most)
		heap->last_most++;
	heap->budget = budget;
	if (heap->last_most > 0)
		heap->budget -= vmc_class_sizes[heap->last_most];
}

void
vmc_heap_make(struct memkind *kind, struct vmc_arena *arena, bool lodges)
{
	struct vmc_thread_heap *_Atomic *entry = &vmc_heap_self[kind->number];
	struct vmc_thread_heap *heap = heap_for(kind, entry);

	if (heap) {
		vmc_store_relaxed(entry, heap);
		if (vmc_load_relaxed(&heap->lodges) && !lodges)
			vmc_heap_move_to(heap, arena, false);
		return;
	}
	heap = je_calloc(
		1, sizeof(*heap) + vmc_heap_room[VMC_CLASSES] * sizeof(void *));
	if (!heap)
		return;
	heap->kind = kind;
	heap->credit = 1;
	vmc_store_relaxed(&heap->arena, arena);
	vmc_store_relaxed(&heap->lodges, lodges);
	arena->heaps += !lodges;
	/* a pool does without magazines, and what belongs to them */
	if (!arena->pool) {
		set_budget(heap, kind->space.capacity / VMC_MAGAZINES_PART);
		make_tcache(heap);
	}
	heap->entry = entry;
	heap->next = kind->heaps;
	heap->previous = &kind->heaps;
	if (heap->next)
		heap->next->previous = &heap->next;
	kind->heaps = heap;
	vmc_store_relaxed(entry, heap);
}

struct vmc_arena *
vmc_heap_choose_arena(struct memkind *kind, bool to_free)
{
	const struct vmc_thread_heap *mine =
		heap_for(kind, &vmc_heap_self[kind->number]);
	struct vmc_arena *arena = NULL;

	if (mine && (to_free || !vmc_load_relaxed(&mine->lodges)))
		return vmc_load_relaxed(&mine->arena);
	if (to_free)
		arena = any_arena(kind);
	return arena ? arena : arena_of(kind, vmc_kind_arena(kind));
}

void
vmc_heap_release(struct memkind *kind)
{
	while (kind->heaps)
		free_heap(kind->heaps);
}

/*
 * What is out of sight stays as it is: its owner may be in the middle of a
 * call, and finds it again in the next one.
 */
void
vmc_heap_before_fork(struct memkind *kind)
{
	struct vmc_thread_heap *mine = vmc_heap_mine(kind);

	if (mine != &vmc_heap_empty && !kind->pools)
		vmc_heap_drain(mine);
	for (struct vmc_thread_heap *heap = kind->heaps; heap;
		heap = heap->next)
		vmc_store_relaxed(heap->entry, &vmc_heap_empty);
}

/*
 * The others' threads are no more. What they held is lost here: they may have
 * been in the middle of a change. So is what jemalloc has in the thread caches
 * that lived through the fork: they are in none of its lists any more, and it
 * would write into memory of the dead to take them off.
 */
void
vmc_heap_after_fork(struct memkind *kind)
{
	struct vmc_thread_heap *mine =
		heap_for(kind, &vmc_heap_self[kind->number]);

	kind->heaps = NULL;
	for (unsigned i = 0; i < VMC_KIND_ARENAS; i++) {
		struct vmc_arena *arena = vmc_load_relaxed(&kind->arenas[i]);
		if (!arena)
			continue;
		arena->heaps = 0;
		vmc_depot_after_fork(arena->depot);
	}
	if (!mine)
		return;
	if (kind->shared) { /* its caches were given back before the fork */
		je_free(mine);
		return;
	}
	if (!vmc_load_relaxed(&mine->lodges))
		vmc_load_relaxed(&mine->arena)->heaps = 1;
	mine->next = NULL;
	mine->previous = &kind->heaps;
	kind->heaps = mine;
	if (!kind->pools)
		make_tcache(mine);
	mine->flushed = false;
}

void
vmc_heap_init_threads(void)
{
	exit_key_made = pthread_key_create(&exit_key, thread_exit) == 0;
}
