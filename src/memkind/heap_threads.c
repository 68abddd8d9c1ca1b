/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap_threads.c -- which thread has a heap in which kind
 *
 * A thread that has no heap in a kind has the empty one there, on which every
 * fast path fails without being asked to. A thread that first allocates gets
 * the arena that the fewest have, of one for each processor. Fewer would do
 * behind two levels of caches, and leave fewer pages half used, but not for
 * what is too large for these: two threads that allocate and free 64 KiB take
 * 0.5 us for both calls with an arena each, and 3.9 us where they share one
 * (processors 240 ns apart).
 *
 * Who frees a heap: its thread at exit, or who destroys the kind. Both hold
 * vmc_kinds_lock. So does whoever has found no memory, and empties the tcaches
 * of all threads: of another thread's heap that is all that is touched.
 */
#include "heap.h"

#include "depot.h"
#include "engine.h"
#include "heap_internal.h"

#include "base/cancel.h"

#include <errno.h>
#include <pthread.h>

struct vmc_thread_heap vmc_heap_empty;
static struct vmc_thread_heap *_Atomic no_heaps[MEMKIND_MAX_KIND] = {
	[0 ... MEMKIND_MAX_KIND - 1] = &vmc_heap_empty};

/* The thread's own memory but at first. */
_Thread_local struct vmc_thread_heap *_Atomic *vmc_heap_self = no_heaps;
static _Thread_local bool exiting;
static pthread_key_t exit_key;
static bool exit_key_made;

unsigned vmc_heap_room[VMC_CLASSES + 1];

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
				arenas, vmc_heap_arenas(heap->kind, arenas));
		vmc_heap_drain(heap);
		free_heap(heap);
	}
	vmc_heap_self = no_heaps;
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
 * The calling thread's own table in the place of the common one. Without locks,
 * and the table goes first: pthread_setspecific(3) may call malloc(), which may
 * be made of a kind, and so lead here once more.
 */
static bool
own_table(void)
{
	struct vmc_thread_heap *_Atomic *table;

	if (vmc_heap_self != no_heaps)
		return true;
	if (exiting || !exit_key_made)
		return false;
	table = je_malloc(sizeof(no_heaps));
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
	if (vmc_arena_create(arena, &kind->space, number,
		    vmc_load_relaxed(&kind->arenas[0]), kind->decay,
		    kind->pools) < 0) {
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

/* From now on it has this arena, for itself or as one that lodges there. */
static void
move_to(struct vmc_thread_heap *heap, struct vmc_arena *arena, bool lodges)
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

/* In the thread's table, if there is none yet, or none in sight. */
static void
make_heap(struct memkind *kind, struct vmc_arena *arena, bool lodges)
{
	struct vmc_thread_heap *_Atomic *entry = &vmc_heap_self[kind->number];
	struct vmc_thread_heap *heap = heap_for(kind, entry);

	if (heap) {
		vmc_store_relaxed(entry, heap);
		if (vmc_load_relaxed(&heap->lodges) && !lodges)
			move_to(heap, arena, false);
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

/* The arena that a heap which is not there yet, or only lodges, gets. */
static struct vmc_arena *
choose_arena(struct memkind *kind, bool to_free)
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

static int
find(struct memkind *kind, bool to_free, struct vmc_thread_heap **heap,
	struct vmc_arena **arena)
{
	int saved = errno;

	*arena = NULL;
	VMC_NO_CANCEL;
	vmc_kinds_init();
	bool has_table = own_table();
	vmc_lock_acquire(&vmc_kinds_lock);
	if (vmc_kind_prepare(kind) == 0) {
		vmc_kind_changes(kind);
		*arena = choose_arena(kind, to_free);
	}
	if (*arena && has_table)
		make_heap(kind, *arena, to_free);
	*heap = vmc_heap_mine(kind);
	vmc_lock_release(&vmc_kinds_lock);
	errno = saved; /* for the caller it went well, whatever failed here */
	return *arena ? 0 : -ENOMEM;
}

int
vmc_heap_find(struct memkind *kind, struct vmc_thread_heap **heap,
	struct vmc_arena **arena)
{
	*heap = vmc_heap_mine(kind);
	*arena = vmc_load_relaxed(&(*heap)->arena);
	if (*heap != &vmc_heap_empty && !vmc_load_relaxed(&(*heap)->lodges))
		return 0;
	return find(kind, false, heap, arena);
}

struct vmc_thread_heap *
vmc_heap_lodge(struct memkind *kind)
{
	struct vmc_thread_heap *heap = vmc_heap_mine(kind);
	struct vmc_arena *arena;

	if (heap == &vmc_heap_empty)
		find(kind, true, &heap, &arena);
	return heap;
}

unsigned
vmc_heap_arenas(const struct memkind *kind, struct vmc_arena **arenas)
{
	unsigned count = 0;

	for (unsigned i = 0; i < kind->space.arenas; i++) {
		arenas[count] = vmc_kind_arena_at(kind, i);
		count += arenas[count] != NULL;
	}
	return count;
}

int
vmc_heap_arena(struct memkind *kind, unsigned *index)
{
	struct vmc_thread_heap *heap;
	struct vmc_arena *arena;
	int err = vmc_heap_find(kind, &heap, &arena);

	if (!err)
		*index = arena->index;
	return err;
}

void
vmc_heap_return_caches(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		struct vmc_thread_heap *heap = vmc_heap_mine(&vmc_kinds[i]);
		if (heap != &vmc_heap_empty)
			vmc_heap_return_all(heap, false);
	}
}

void
vmc_heap_give_back(const struct memkind *kind)
{
	struct vmc_thread_heap *heap = vmc_heap_self[kind->number];

	if (heap != &vmc_heap_empty)
		vmc_heap_return_all(heap, true);
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
			move_to(heap, first, true);
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
	unsigned count = vmc_heap_arenas(kind, arenas);
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
	unsigned count = vmc_heap_arenas(kind, arenas);
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
vmc_heap_init(void)
{
	vmc_heap_init_classes();
	for (unsigned class = 1; class < VMC_CLASSES; class ++) {
		size_t n = VMC_MAGAZINE_BYTES / vmc_class_sizes[class];
		n = n > VMC_MAGAZINE_OBJECTS ? VMC_MAGAZINE_OBJECTS
		    : n < 2                  ? 2
					     : n;
		vmc_heap_room[class + 1] = vmc_heap_room[class] + (unsigned)n;
	}
	exit_key_made = pthread_key_create(&exit_key, thread_exit) == 0;
	/*
	 * jemalloc starts here, where one thread is. Several that make it
	 * start at once find its thread-specific data before that is ready.
	 * So does its control: when it starts it reads every arena there is,
	 * which another thread could be making.
	 */
	je_free(je_malloc(1));
	vmc_engine_default_arenas();
}
