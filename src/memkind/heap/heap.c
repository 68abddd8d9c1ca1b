/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap.c -- malloc and free of a kind: magazines in front of its arenas
 *
 * Each thread has, for each kind it uses, a magazine of free objects per size
 * class up to 32 KiB (magazines and depots: Bonwick and Adams, USENIX 2001).
 * Behind the magazines is an explicit tcache: a thread cache of jemalloc that
 * is created by mallctl, which fills and empties in batches. Before a thread
 * turns to it, it looks into its arena's depot, where all threads leave surplus
 * objects of that arena:
 *
 *     malloc, free --> magazine --> explicit tcache --> arena
 *                      2 ns    \    10 ns               100 ns, locks
 *                               \-> depot --> another thread's magazine
 *                                   3 ns
 *
 * To take from a magazine, a thread needs the class of the size: a table. To
 * give back, it needs the class of the object, and jemalloc's way of finding
 * that out costs more than the rest together. So the address map has a byte per
 * page: the class of the objects that begin in the page, or 0 if a larger one
 * does. It is written whenever jemalloc returns an object. An object of another
 * class can begin in the page only after jemalloc has got back all those that
 * did, so the byte is right for every live object. A thread that frees an
 * object learned of it after that write; therefore relaxed accesses suffice.
 *
 * The byte takes three loads, each of which waits for the one before. Until it
 * is known, the processor does not know which magazine the free writes to, and
 * a malloc that follows reads one. So the object that was freed last stays
 * aside. Into a magazine goes the one before, whose class is known (pairs of
 * random sizes: 7.5 ns, not 12).
 *
 * A thread that only frees would gather objects in its tcache. So the tcache is
 * emptied at a tick (ticks.c) if there was no refill since the last flush.
 * Objects that no thread took from the depot for a while are returned at a tick
 * as well.
 *
 * Before an allocation fails, free objects in depots and in all threads'
 * tcaches are recalled (recall.c). A tcache has a latch for that, which
 * its owner takes once per batch. No other thread can look into a magazine,
 * whose fast path has no lock, so magazines are small if the kind is small.
 *
 * Rejected, with ns per object: magazines without the tcache (100 in a batch);
 * the tcache alone (10 each way, mostly for its look-up); no depot (70, not 15,
 * if one thread allocates and another frees: both lock the arena's bins); one
 * depot for the kind (470, not 220, in batches of 4 KiB: two threads that free
 * what they allocated contend for it, and get each other's objects, which then
 * return to two arenas).
 *
 * Under MEMKIND_HEAP_MANAGER=TBB there are no magazines, every fast path
 * fails, and the slow ones turn to the arena's pool.
 */
#include "heap.h"

#include "depot.h"
#include "fast.h"
#include "pools.h"
#include "recall.h"
#include "start.h"
#include "ticks.h"

#include "base/os.h"

#include <errno.h>
#include <string.h>

/* Objects up to this size lie in slabs, which begin with a page. */
#define SLAB_MAX ((size_t)14336)
#define SLAB_ALIGNMENT ((size_t)1 << VMC_PAGE_SHIFT)

#define likely(x) __builtin_expect(!!(x), 1)

static inline _Atomic uint8_t *
page_class(const void *ptr)
{
	return &vmc_map_at(ptr)->classes[vmc_map_page(ptr)];
}

static inline void
note_class(const void *ptr, unsigned class)
{
	vmc_store_relaxed(page_class(ptr), (uint8_t) class);
}

/*
 * Before anything is done with the arenas of a kind with parts, and after that:
 * see vacate() in recall.c. Other kinds' arenas stay.
 */
static void
enter_arenas(const struct memkind *kind, struct vmc_thread_heap *heap)
{
	if (kind->space.part == 0)
		return;
	if (heap == &vmc_heap_empty)
		vmc_lock_acquire(&vmc_kinds_lock);
	else
		vmc_latch_acquire(&heap->latch, VMC_RANK_HEAP);
}

static void
leave_arenas(const struct memkind *kind, struct vmc_thread_heap *heap)
{
	if (kind->space.part == 0)
		return;
	if (heap == &vmc_heap_empty)
		vmc_lock_release(&vmc_kinds_lock);
	else
		vmc_latch_release(&heap->latch, VMC_RANK_HEAP);
}

/*
 * Past all caches. Where arenas are parts of one memory, the others are asked
 * when this one has none left; the first arena has what is in no part. how:
 * zeroed, aligned.
 */
static void *
take_once(const struct memkind *kind, struct vmc_thread_heap *heap,
	const struct vmc_arena *arena, size_t size, int how)
{
	struct vmc_arena *arenas[VMC_KIND_ARENAS];
	unsigned count = 0;
	void *ptr = NULL;

	enter_arenas(kind, heap);
	if (heap != &vmc_heap_empty)
		arena = vmc_load_relaxed(&heap->arena);
	if (!vmc_load_relaxed(&arena->vacant))
		ptr = vmc_arena_malloc(size, vmc_arena_flags(arena) | how);
	if (!ptr && kind->space.part > 0)
		count = vmc_kind_arenas(kind, arenas);
	for (unsigned i = 0; i < count && !ptr; i++)
		ptr = vmc_arena_malloc(size, vmc_arena_flags(arenas[i]) | how);
	leave_arenas(kind, heap);
	return ptr;
}

/* Others may be faster to take what was recalled, but not again and again. */
#define RECALLS 8

/*
 * An object from jemalloc. If there is none: what threads hold may be all that
 * is left, and what is free may be in pieces that merge only when they are
 * given back, or be kept in other arenas.
 */
static void *
take(struct memkind *kind, struct vmc_thread_heap *heap,
	const struct vmc_arena *arena, size_t size, int how)
{
	void *ptr = take_once(kind, heap, arena, size, how);
	bool more = true;

	for (int i = 0; i < RECALLS && !ptr && more; i++) {
		more = vmc_heap_recall(kind, heap);
		ptr = take_once(kind, heap, arena, size, how);
	}
	return ptr;
}

/*
 * Objects through the thread's cache: one for the caller, and up to that many
 * into the slots, the first that jemalloc gives on top: the first to leave, so
 * addresses go up. *got: how many these are.
 */
static void *
take_cached(struct vmc_thread_heap *heap, unsigned class, void **slots,
	unsigned wanted, unsigned *got)
{
	size_t size = vmc_class_sizes[class];
	unsigned at = wanted;
	void *ptr, *more;

	vmc_latch_acquire(&heap->latch, VMC_RANK_HEAP);
	ptr = vmc_arena_malloc(size, heap->flags);
	while (ptr && at > 0 && (more = je_mallocx(size, heap->flags))) {
		note_class(more, class);
		slots[--at] = more;
	}
	heap->cached = true;
	vmc_latch_release(&heap->latch, VMC_RANK_HEAP);
	*got = wanted - at;
	if (at > 0)
		memmove(slots, slots + at, *got * sizeof(void *));
	return ptr;
}

/* The first use of a class: how much its magazine may hold. */
static void
assign(struct vmc_thread_heap *heap, unsigned class)
{
	struct vmc_magazine *m = &heap->magazines[class];
	size_t size = vmc_class_sizes[class];
	size_t n = heap->budget / VMC_MAGAZINE_SHARE / size;

	m->slots = heap->room + vmc_heap_room[class];
	if (n < 2)
		return;
	if (n > vmc_heap_room[class + 1] - vmc_heap_room[class])
		n = vmc_heap_room[class + 1] - vmc_heap_room[class];
	vmc_magazine_set(m, 0, (unsigned)n);
	vmc_magazine_set_credit(m, 1);
	heap->budget -= n * size;
}

static bool
has_magazines(const struct vmc_thread_heap *heap)
{
	return heap != &vmc_heap_empty && !heap->kind->pools;
}

/* So many refills, and one looks at the clock. */
#define TICK_REFILLS 8

/* One object for the caller, and half a magazine, which is empty now. */
static void *
refill(struct vmc_thread_heap *heap, struct vmc_arena *arena, unsigned class)
{
	struct vmc_magazine *m = &heap->magazines[class];
	unsigned count = 0, capacity;
	void *ptr;

	heap->flushed = false;
	if (++heap->refills % TICK_REFILLS == 0)
		vmc_heap_tick(heap);
	if (!m->slots)
		assign(heap, class);
	capacity = vmc_magazine_capacity(m);
	if (capacity > 0)
		count = vmc_depot_get(arena->depot, class, m->slots, capacity);
	if (count > 0) {
		vmc_magazine_set(m, count - 1, capacity);
		return m->slots[count - 1];
	}
	ptr = take_cached(heap, class, m->slots, capacity / 2, &count);
	vmc_magazine_set(m, count, capacity);
	if (!ptr)
		ptr = take(heap->kind, heap, arena, vmc_class_sizes[class], 0);
	if (ptr)
		note_class(ptr, class);
	return ptr;
}

/* Straight from the arena: what has no magazine. how: zeroed, aligned. */
static void *
malloc_directly(struct memkind *kind, size_t size, int how)
{
	struct vmc_thread_heap *heap;
	struct vmc_arena *arena;
	void *ptr;

	if (vmc_heap_find(kind, &heap, &arena) < 0)
		return NULL;
	/* never: nobody's caches are emptied for that */
	if (size > kind->space.capacity)
		return NULL;
	if (arena->pool)
		return vmc_pool_malloc(arena->pool, size, how);
	ptr = take(kind, heap, arena, size, how);
	if (ptr)
		note_class(ptr, vmc_heap_class(je_nallocx(size, how)));
	return ptr;
}

static __attribute__((noinline)) void *
malloc_slow(struct memkind *kind, size_t size, unsigned class)
{
	struct vmc_thread_heap *heap;
	struct vmc_arena *arena;
	void *ptr = NULL;

	if (size == 0)
		return vmc_load_relaxed(&kind->zero_allocs)
			       ? vmc_heap_malloc(kind, 1)
			       : NULL;
	if (class == VMC_BEYOND)
		ptr = malloc_directly(kind, size, 0);
	else if (vmc_heap_find(kind, &heap, &arena) == 0)
		ptr = has_magazines(heap) ? refill(heap, arena, class)
					  : malloc_directly(kind, size, 0);
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

void *
vmc_heap_malloc(struct memkind *kind, size_t size)
{
	unsigned class = vmc_heap_class(size);
	void *ptr;

	if (likely(vmc_heap_pop(kind->number, class, &ptr)))
		return ptr;
	return malloc_slow(kind, size, class);
}

void *
vmc_heap_malloc_uncached(struct memkind *kind, size_t size)
{
	return malloc_directly(kind, size, 0);
}

void
vmc_heap_free_uncached(struct memkind *kind, void *ptr)
{
	struct vmc_thread_heap *heap = vmc_heap_mine(kind);

	vmc_kind_changes(kind);
	enter_arenas(kind, heap);
	je_dallocx(ptr, MALLOCX_TCACHE_NONE);
	leave_arenas(kind, heap);
}

void *
vmc_heap_zeroed(struct memkind *kind, size_t size)
{
	void *ptr;

	if (size > VMC_CACHED_MAX)
		return malloc_directly(kind, size, MALLOCX_ZERO);
	ptr = vmc_heap_malloc(kind, size);
	return ptr ? memset(ptr, 0, size) : NULL;
}

/*
 * The class whose objects are aligned so, of those that lie in slabs, or
 * BEYOND. That of the size rounded up to a multiple of the alignment: from one
 * power of two to the next, classes are a quarter of the first one apart. A
 * smaller alignment divides that, and of a larger one each multiple is a class.
 * Objects of a slab begin at multiples of their size from the beginning of a
 * page.
 */
static inline unsigned
aligned_class(size_t alignment, size_t size)
{
	size_t whole = (size + alignment - 1) & -alignment;

	return likely(size <= SLAB_MAX && alignment <= SLAB_ALIGNMENT &&
		       whole <= SLAB_MAX)
		       ? vmc_heap_class(whole)
		       : VMC_BEYOND;
}

/* A refill, or what a pool has, or a thread without a heap. */
static __attribute__((noinline)) void *
aligned_slow(
	struct memkind *kind, size_t alignment, size_t size, unsigned class)
{
	struct vmc_thread_heap *heap;
	struct vmc_arena *arena;

	if (class != VMC_BEYOND && vmc_heap_find(kind, &heap, &arena) == 0 &&
		has_magazines(heap))
		return refill(heap, arena, class);
	return malloc_directly(
		kind, size, MALLOCX_LG_ALIGN(__builtin_ctzl(alignment)));
}

void *
vmc_heap_aligned(struct memkind *kind, size_t alignment, size_t size)
{
	unsigned class = aligned_class(alignment, size);
	void *ptr;

	if (likely(vmc_heap_pop(kind->number, class, &ptr)))
		return ptr;
	return aligned_slow(kind, alignment, size, class);
}

/*
 * Part with up to half of a full magazine, of what is from one arena: to its
 * depot, or if that is full, to jemalloc.
 */
static void
shed(struct vmc_thread_heap *heap, unsigned class)
{
	struct vmc_magazine *m = &heap->magazines[class];
	const struct vmc_arena *home = vmc_kind_home(heap->kind, m->slots[0]);
	void *out[VMC_MAGAZINE_OBJECTS] = {m->slots[0]};
	unsigned n = 1, kept = 0, capacity = vmc_magazine_capacity(m);

	for (unsigned i = 1; i < vmc_magazine_count(m); i++) {
		void *ptr = m->slots[i];
		if (n < capacity / 2 && vmc_kind_home(heap->kind, ptr) == home)
			out[n++] = ptr;
		else
			m->slots[kept++] = ptr;
	}
	vmc_magazine_set(m, kept, capacity);
	if (vmc_depot_put(home->depot, class, out, n))
		return;
	vmc_heap_put_back(heap, class, out, n);
	heap->flushed = true;
}

/* One look at the clock for each call, or for more and more in vain. */
static unsigned
next_credit(struct vmc_thread_heap *heap, bool due)
{
	if (due)
		heap->credit = 1;
	else if (heap->credit < VMC_CREDIT)
		heap->credit *= 2;
	return heap->credit;
}

/* Keep this one aside for the one before. False: there was none. */
static bool
exchange_last(struct vmc_thread_heap *heap, void **ptr, unsigned *class)
{
	void *before = heap->last;
	unsigned class_before = heap->last_class;

	heap->last = *ptr;
	heap->last_class = *class;
	*ptr = before;
	*class = class_before;
	return before != NULL;
}

static __attribute__((noinline)) void
free_slow(struct memkind *kind, void *ptr, unsigned class)
{
	struct vmc_thread_heap *heap;
	struct vmc_magazine *m;
	unsigned credit;

	/* a child's free must not touch what the parent goes on using */
	if (!vmc_kind_is_ours(kind))
		return;
	vmc_kind_changes(kind);
	if (kind->pools) {
		vmc_pool_free(ptr);
		return;
	}
	/* a thread that never allocated here: it may free often from now on */
	heap = vmc_heap_lodge(kind);
	if (class == VMC_BEYOND || heap == &vmc_heap_empty) {
		enter_arenas(kind, heap);
		je_dallocx(ptr, MALLOCX_TCACHE_NONE);
		leave_arenas(kind, heap);
		vmc_heap_tick(heap);
		return;
	}
	credit = next_credit(heap, vmc_heap_tick(heap));
	if (class <= heap->last_most && !exchange_last(heap, &ptr, &class))
		return;
	m = &heap->magazines[class];
	if (!m->slots)
		assign(heap, class);
	if (vmc_magazine_capacity(m) == 0) {
		vmc_heap_put_back(heap, class, &ptr, 1);
		heap->flushed = true;
		return;
	}
	if (vmc_magazine_room(m) == 0) {
		shed(heap, class);
		if (credit > VMC_CREDIT_OF_SHED)
			credit = VMC_CREDIT_OF_SHED;
	}
	vmc_magazine_set_credit(m, credit + 1);
	vmc_magazine_put(m, ptr);
}

void
vmc_heap_free(struct memkind *kind, void *ptr)
{
	unsigned class = vmc_load_relaxed(page_class(ptr));

	if (!likely(vmc_heap_push(kind->number, class, ptr)))
		free_slow(kind, ptr, class);
}

size_t
vmc_heap_usable_size(const struct memkind *kind, const void *ptr)
{
	unsigned class = vmc_load_relaxed(page_class(ptr));

	if (class != VMC_BEYOND)
		return vmc_class_sizes[class];
	return kind->pools ? vmc_pool_usable_size(ptr) : je_sallocx(ptr, 0);
}

void *
vmc_heap_realloc(struct memkind *kind, void *ptr, size_t size)
{
	size_t old = vmc_heap_usable_size(kind, ptr);
	struct vmc_thread_heap *heap;
	struct vmc_arena *arena;
	void *moved;

	if (size > kind->space.capacity)
		return NULL;
	if (kind->pools || (old > VMC_CACHED_MAX && size > VMC_CACHED_MAX)) {
		/* it may be able to grow or shrink where it is */
		if (vmc_heap_find(kind, &heap, &arena) < 0)
			return NULL;
		vmc_kind_changes(kind);
		if (kind->pools)
			return vmc_pool_realloc(ptr, size);
		enter_arenas(kind, heap);
		if (heap != &vmc_heap_empty)
			arena = vmc_load_relaxed(&heap->arena);
		moved = je_rallocx(ptr, size, vmc_arena_flags(arena));
		leave_arenas(kind, heap);
		if (moved) {
			note_class(moved, VMC_BEYOND);
			return moved;
		}
	}
	if (size <= old && vmc_heap_class(size) == vmc_heap_class(old))
		return ptr;
	moved = vmc_heap_malloc(kind, size);
	if (!moved)
		return NULL;
	memcpy(moved, ptr, old < size ? old : size);
	vmc_heap_free(kind, ptr);
	return moved;
}
