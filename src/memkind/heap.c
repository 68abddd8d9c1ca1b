/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap.c -- malloc and free of a kind: magazines in front of its arenas
 *
 * Each thread has, for each kind it uses, a magazine of free objects per size
 * class up to 32 KiB, and behind those an explicit thread cache of jemalloc's
 * that fills and empties in batches. Before it turns there, it looks into the
 * kind's depot, where others leave what they have too much of:
 *
 *     malloc, free --> magazine --> explicit tcache --> arena
 *                      2 ns    \    10 ns               100 ns, locks
 *                               \-> depot --> another thread's magazine
 *                                   3 ns
 *
 * Taking from a magazine needs the class of the size, a table; giving back
 * needs the class of the object, and jemalloc's way of finding it out costs
 * more than the rest together. So the kind keeps a byte for each page of its
 * space: the class of the objects that begin in it, 0 where a larger one
 * does. It is written whenever jemalloc hands an object over. An
 * object of another class can only begin in that page after jemalloc has
 * taken back all those that did, so the byte is right for every live object;
 * whoever frees one learned of it after that write. Hence relaxed accesses.
 *
 * A thread that has no heap in a kind has the empty one there, on which every
 * fast path fails without being asked to. Threads get their arena round
 * robin, when they first allocate; few arenas are enough behind two levels
 * of caches, and one leaves fewer pages half used.
 *
 * Who frees a heap: its thread at exit, or who destroys the kind. Both hold
 * vmc_kinds_lock; nobody else touches another thread's heap.
 *
 * A thread that only frees would pile up objects in its tcache. After some
 * megabytes flushed without a refill between, the tcache is emptied. What
 * nobody wanted from the depot for a while is given back at a tick.
 *
 * Rejected: magazines without the tcache (100 ns for each object of a batch),
 * the tcache alone (10 ns each way, mostly for its look-up), no depot (objects
 * that one thread allocates and another frees take 70 ns in place of 15, as
 * both lock the arena's bins).
 */
#include "heap.h"

#include "depot.h"
#include "engine.h"
#include "kind.h"

#include "base/os.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define PAGE_SHIFT 12

/* Classes up to this size have magazines; the tcache ends there as well. */
#define CACHED_MAX ((size_t)32768)
#define CLASSES 42u
#define BEYOND 0u /* of larger objects: a magazine that never holds any */

/* Sizes up to this find their class in a table. */
#define TABLE_MAX ((size_t)4096)
#define TABLE_CLASSES 30u

/* A magazine holds at most so many objects, or bytes, and at least two. */
#define MAGAZINE_OBJECTS 32u
#define MAGAZINE_BYTES ((size_t)16384)

/* So many bytes flushed without a refill between empty the tcache as well. */
#define FLUSHED_IN_A_ROW ((size_t)4 << 20)

/* Nanoseconds between two looks at what is due to be given back. */
#define TICK ((uint64_t)50000000)

#define likely(x) __builtin_expect(!!(x), 1)

struct magazine {
	unsigned count;
	unsigned capacity;
	void **slots;
};

struct vmc_thread_heap {
	/* the owner's alone */
	struct magazine magazines[CLASSES];
	size_t flushed; /* bytes, since the last refill */
	uint64_t next_tick;
	/* immutable */
	struct memkind *kind;
	unsigned arena;  /* jemalloc's number of it */
	int arena_flags; /* for jemalloc: the arena, no tcache */
	int flags;       /* the arena and the tcache */
	bool has_tcache;
	unsigned tcache;
	/* under vmc_kinds_lock */
	struct vmc_thread_heap **entry; /* where the owner looks for it */
	struct vmc_thread_heap *next, **previous;
	/* the owner's: what the magazines' slots point into */
	void *room[];
};

static struct vmc_thread_heap empty;
static struct vmc_thread_heap *no_heaps[MEMKIND_MAX_KIND] = {
	[0 ... MEMKIND_MAX_KIND - 1] = &empty};

/* The calling thread's heaps by kind number. Its own memory but at first. */
static _Thread_local struct vmc_thread_heap **self = no_heaps;
static _Thread_local bool exiting;
static pthread_key_t exit_key;

static size_t class_sizes[CLASSES];
static uint8_t class_table[TABLE_MAX / 8 + 1];
static unsigned capacities[CLASSES];
static size_t room_size;

static inline unsigned
class_of(size_t size)
{
	unsigned log;

	if (likely(size <= TABLE_MAX))
		return class_table[(size + 7) >> 3];
	if (size > CACHED_MAX)
		return BEYOND;
	/* four classes to a power of two */
	log = 63u - (unsigned)__builtin_clzl(size - 1);
	return TABLE_CLASSES + (log - 12) * 4 +
	       (unsigned)((size - 1) >> (log - 2) & 3);
}

static inline _Atomic uint8_t *
page_class(const struct memkind *kind, const void *ptr)
{
	size_t offset = (size_t)((const char *)ptr - kind->space.base);

	return (_Atomic uint8_t *)&kind->page_classes[offset >> PAGE_SHIFT];
}

static inline void
note_class(const struct memkind *kind, const void *ptr, unsigned class)
{
	vmc_store_relaxed(page_class(kind, ptr), (uint8_t) class);
}

static void
empty_magazine(struct vmc_thread_heap *heap, unsigned class, unsigned keep)
{
	struct magazine *m = &heap->magazines[class];
	unsigned drop = m->count - keep;

	for (unsigned i = 0; i < drop; i++)
		je_sdallocx(m->slots[i], class_sizes[class], heap->flags);
	memmove(m->slots, m->slots + drop, keep * sizeof(*m->slots));
	m->count = keep;
}

/* What is in the depot goes through the thread's cache, which is to be flushed.
 */
static void
empty_shelf(struct vmc_thread_heap *heap, unsigned class)
{
	void *objects[MAGAZINE_OBJECTS];
	unsigned n;

	while ((n = vmc_depot_get(heap->kind->depot, class, objects,
			MAGAZINE_OBJECTS)) > 0) {
		while (n > 0)
			je_sdallocx(
				objects[--n], class_sizes[class], heap->flags);
	}
}

static void
empty_heap(struct vmc_thread_heap *heap, bool depot)
{
	for (unsigned class = 1; class < CLASSES; class ++) {
		empty_magazine(heap, class, 0);
		if (depot)
			empty_shelf(heap, class);
	}
	if (heap->has_tcache)
		vmc_engine_tcache_flush(heap->tcache);
	heap->flushed = 0;
}

static void
free_heap(struct vmc_thread_heap *heap)
{
	*heap->entry = &empty;
	*heap->previous = heap->next;
	if (heap->next)
		heap->next->previous = heap->previous;
	if (heap->has_tcache)
		vmc_engine_tcache_destroy(heap->tcache);
	je_free(heap);
}

static void
thread_exit(void *table)
{
	struct vmc_thread_heap **heaps = table;
	bool last;

	vmc_lock_acquire(&vmc_kinds_lock);
	exiting = true;
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		if (heaps[i] == &empty)
			continue;
		/* the last to go, and nobody would look there again */
		last = heaps[i]->kind->heaps == heaps[i] && !heaps[i]->next;
		empty_heap(heaps[i], last);
		free_heap(heaps[i]);
	}
	self = no_heaps;
	vmc_lock_release(&vmc_kinds_lock);
	je_free(heaps);
}

/* The calling thread's own table in the place of the common one. */
static bool
own_table(void)
{
	struct vmc_thread_heap **table;

	if (self != no_heaps)
		return true;
	table = je_malloc(sizeof(no_heaps));
	if (!table)
		return false;
	memcpy(table, no_heaps, sizeof(no_heaps));
	if (pthread_setspecific(exit_key, table) != 0) {
		je_free(table);
		return false;
	}
	self = table;
	return true;
}

static struct vmc_arena *
arena_of(struct memkind *kind, unsigned slice)
{
	struct vmc_arena *arena = kind->arenas[slice];

	if (arena)
		return arena;
	arena = je_malloc(sizeof(*arena));
	if (!arena)
		return NULL;
	if (vmc_arena_create(arena, &kind->space, slice, kind->decay) < 0) {
		je_free(arena);
		return NULL;
	}
	return kind->arenas[slice] = arena;
}

static int
flags_of(const struct vmc_arena *arena)
{
	return MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
}

static void
make_heap(struct memkind *kind, const struct vmc_arena *arena)
{
	struct vmc_thread_heap *heap;
	void **room;

	heap = je_calloc(1, sizeof(*heap) + room_size);
	if (!heap)
		return;
	/* a kind of local memory would pass on what is far away */
	if (!kind->depot && !vmc_type_is_local(kind->type))
		kind->depot = vmc_depot_create(class_sizes, CLASSES);
	room = heap->room;
	for (unsigned class = 1; class < CLASSES; class ++) {
		heap->magazines[class] = (struct magazine){
			.capacity = capacities[class], .slots = room};
		room += capacities[class];
	}
	heap->kind = kind;
	heap->has_tcache = vmc_engine_tcache_create(&heap->tcache) == 0;
	heap->arena = arena->index;
	heap->arena_flags = heap->flags = flags_of(arena);
	if (heap->has_tcache)
		heap->flags +=
			MALLOCX_TCACHE((int)heap->tcache) - MALLOCX_TCACHE_NONE;
	heap->entry = &self[kind->number];
	heap->next = kind->heaps;
	heap->previous = &kind->heaps;
	if (heap->next)
		heap->next->previous = &heap->next;
	kind->heaps = heap;
	self[kind->number] = heap;
}

/*
 * The calling thread's heap. Without memory for one, and in a thread that is
 * about to end, it is the empty one, and *arena_flags all there is; else
 * those are the heap's. -ENOMEM: not even that.
 */
static int
find_heap(struct memkind *kind, struct vmc_thread_heap **heap, int *arena_flags)
{
	struct vmc_arena *arena = NULL;
	int saved = errno;

	*heap = self[kind->number];
	*arena_flags = (*heap)->arena_flags;
	if (*heap != &empty)
		return 0;
	vmc_lock_acquire(&vmc_kinds_lock);
	if (vmc_kind_prepare(kind) == 0)
		arena = arena_of(kind, vmc_kind_slice(kind));
	if (arena) {
		*arena_flags =
			MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
		if (!exiting && own_table())
			make_heap(kind, arena);
		*heap = self[kind->number];
	}
	vmc_lock_release(&vmc_kinds_lock);
	errno = saved; /* for the caller it went well, whatever failed here */
	return arena ? 0 : -ENOMEM;
}

/*
 * An object from jemalloc. If there is none: what this thread holds may be
 * all that is left, and what is free may be in pieces that merge only when
 * they are given back.
 */
static void *
take(struct vmc_thread_heap *heap, size_t size, int flags)
{
	void *ptr = je_mallocx(size, flags);

	if (!ptr && heap != &empty) {
		empty_heap(heap, true);
		vmc_engine_arena_purge(heap->arena);
		ptr = je_mallocx(size, flags);
	}
	return ptr;
}

/*
 * One object for the caller, and half a magazine for its successors, which is
 * empty now. The first that jemalloc gives is the first to leave: addresses
 * go up.
 */
static void *
refill(struct vmc_thread_heap *heap, unsigned class)
{
	struct magazine *m = &heap->magazines[class];
	size_t size = class_sizes[class];
	unsigned at = m->capacity / 2;
	void *ptr, *more;

	heap->flushed = 0;
	m->count =
		vmc_depot_get(heap->kind->depot, class, m->slots, m->capacity);
	if (m->count > 0)
		return m->slots[--m->count];
	ptr = take(heap, size, heap->flags);
	if (!ptr)
		return NULL;
	note_class(heap->kind, ptr, class);
	while (at > 0) {
		more = je_mallocx(size, heap->flags);
		if (!more)
			break;
		note_class(heap->kind, more, class);
		m->slots[--at] = more;
	}
	m->count = m->capacity / 2 - at;
	if (at > 0)
		memmove(m->slots, m->slots + at, m->count * sizeof(void *));
	return ptr;
}

/* Straight from the arena: what has no magazine. flags may ask for more. */
static void *
malloc_directly(struct memkind *kind, size_t size, int flags)
{
	struct vmc_thread_heap *heap;
	int arena_flags;
	void *ptr;

	if (find_heap(kind, &heap, &arena_flags) < 0)
		return NULL;
	flags |= arena_flags;
	ptr = take(heap, size, flags);
	if (ptr)
		note_class(kind, ptr, class_of(je_nallocx(size, flags)));
	return ptr;
}

static __attribute__((noinline)) void *
malloc_slow(struct memkind *kind, size_t size, unsigned class)
{
	struct vmc_thread_heap *heap;
	int arena_flags;
	void *ptr = NULL;

	if (size == 0)
		return vmc_load_relaxed(&kind->zero_allocs)
			       ? vmc_heap_malloc(kind, 1)
			       : NULL;
	if (class == BEYOND)
		ptr = malloc_directly(kind, size, 0);
	else if (find_heap(kind, &heap, &arena_flags) == 0)
		ptr = heap == &empty ? malloc_directly(kind, size, 0)
				     : refill(heap, class);
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

void *
vmc_heap_malloc(struct memkind *kind, size_t size)
{
	unsigned class = class_of(size);
	struct magazine *m = &self[kind->number]->magazines[class];

	if (likely(m->count > 0))
		return m->slots[--m->count];
	return malloc_slow(kind, size, class);
}

void *
vmc_heap_malloc_uncached(struct memkind *kind, size_t size)
{
	return malloc_directly(kind, size, 0);
}

void *
vmc_heap_zeroed(struct memkind *kind, size_t size)
{
	void *ptr;

	if (size > CACHED_MAX)
		return malloc_directly(kind, size, MALLOCX_ZERO);
	ptr = vmc_heap_malloc(kind, size);
	return ptr ? memset(ptr, 0, size) : NULL;
}

void *
vmc_heap_aligned(struct memkind *kind, size_t alignment, size_t size)
{
	return malloc_directly(
		kind, size, MALLOCX_LG_ALIGN(__builtin_ctzl(alignment)));
}

/*
 * jemalloc looks every thousand calls or so, of which it sees few behind the
 * magazines: a thread that slows down would keep what it has.
 */
static void
tick(struct vmc_thread_heap *heap)
{
	uint64_t now = vmc_os_clock_ns();

	if (heap == &empty || now < heap->next_tick)
		return;
	heap->next_tick = now + TICK;
	for (unsigned class = 1; class < CLASSES; class ++) {
		if (vmc_depot_idle(heap->kind->depot, class))
			empty_shelf(heap, class);
	}
	vmc_engine_arena_tick(heap->arena);
}

/* Part with half a magazine: to the depot, or if that is full, for good. */
static void
shed(struct vmc_thread_heap *heap, unsigned class)
{
	struct magazine *m = &heap->magazines[class];
	unsigned half = m->capacity / 2;

	if (vmc_depot_put(heap->kind->depot, class, m->slots, half)) {
		m->count -= half;
		memmove(m->slots, m->slots + half,
			m->count * sizeof(*m->slots));
		return;
	}
	empty_magazine(heap, class, half);
	heap->flushed += half * class_sizes[class];
	if (heap->flushed >= FLUSHED_IN_A_ROW) {
		heap->flushed = 0;
		if (heap->has_tcache)
			vmc_engine_tcache_flush(heap->tcache);
	}
}

static __attribute__((noinline)) void
free_slow(struct memkind *kind, void *ptr, unsigned class)
{
	struct vmc_thread_heap *heap = self[kind->number];
	struct magazine *m;
	int arena_flags;

	/* a child's free must not touch what the parent goes on using */
	if (vmc_load_relaxed(&kind->state) == VMC_KIND_FENCED)
		return;
	/* a thread that never allocated here: it may free often from now on */
	if (class == BEYOND || find_heap(kind, &heap, &arena_flags) < 0 ||
		heap == &empty) {
		je_dallocx(ptr, MALLOCX_TCACHE_NONE);
		tick(heap);
		return;
	}
	tick(heap);
	m = &heap->magazines[class];
	if (m->count == m->capacity)
		shed(heap, class);
	m->slots[m->count++] = ptr;
}

void
vmc_heap_free(struct memkind *kind, void *ptr)
{
	unsigned class = vmc_load_relaxed(page_class(kind, ptr));
	struct magazine *m = &self[kind->number]->magazines[class];

	if (likely(m->count < m->capacity))
		m->slots[m->count++] = ptr;
	else
		free_slow(kind, ptr, class);
}

size_t
vmc_heap_usable_size(const struct memkind *kind, const void *ptr)
{
	unsigned class = vmc_load_relaxed(page_class(kind, ptr));

	return class != BEYOND ? class_sizes[class] : je_sallocx(ptr, 0);
}

void *
vmc_heap_realloc(struct memkind *kind, void *ptr, size_t size)
{
	size_t old = vmc_heap_usable_size(kind, ptr);
	struct vmc_thread_heap *heap;
	int arena_flags;
	void *moved;

	if (old > CACHED_MAX && size > CACHED_MAX) {
		/* jemalloc may grow or shrink it where it is */
		if (vmc_load_relaxed(&kind->state) == VMC_KIND_FENCED ||
			find_heap(kind, &heap, &arena_flags) < 0)
			return NULL;
		moved = je_rallocx(ptr, size, arena_flags);
		if (moved)
			note_class(kind, moved, BEYOND);
		return moved;
	}
	if (size <= old && class_of(size) == class_of(old))
		return ptr;
	moved = vmc_heap_malloc(kind, size);
	if (!moved)
		return NULL;
	memcpy(moved, ptr, old < size ? old : size);
	vmc_heap_free(kind, ptr);
	return moved;
}

int
vmc_heap_arena(struct memkind *kind, unsigned *index)
{
	struct vmc_thread_heap *heap;
	int flags;

	if (find_heap(kind, &heap, &flags) < 0 || heap == &empty)
		return -ENOMEM;
	*index = heap->arena;
	return 0;
}

void
vmc_heap_return_caches(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		if (self[i] != &empty)
			empty_heap(self[i], true);
	}
}

void
vmc_heap_release(struct memkind *kind)
{
	while (kind->heaps)
		free_heap(kind->heaps);
	vmc_depot_destroy(kind->depot);
	kind->depot = NULL;
}

void
vmc_heap_after_fork(struct memkind *kind, bool shared)
{
	struct vmc_thread_heap **entry = &self[kind->number], *mine = *entry;

	/*
	 * The others' threads are no more. What they held is lost here: they
	 * may have been in the middle of a change.
	 */
	kind->heaps = NULL;
	vmc_depot_after_fork(kind->depot);
	if (mine == &empty)
		return;
	if (shared) {
		*entry = &empty;
		return;
	}
	mine->next = NULL;
	mine->previous = &kind->heaps;
	kind->heaps = mine;
}

static void
init_classes(void)
{
	unsigned class = BEYOND;

	for (size_t size = 8; size <= CACHED_MAX;
		size = je_nallocx(size + 1, 0))
		class_sizes[++class] = size;
	class = 1;
	for (size_t i = 1; i <= TABLE_MAX / 8; i++) {
		class += i * 8 > class_sizes[class];
		class_table[i] = (uint8_t) class;
	}
	class_table[0] = BEYOND; /* zero bytes are a case for the slow path */
	for (class = 1; class < CLASSES; class ++) {
		size_t n = MAGAZINE_BYTES / class_sizes[class];
		capacities[class] = n > MAGAZINE_OBJECTS ? MAGAZINE_OBJECTS
				    : n < 2              ? 2
							 : (unsigned)n;
		room_size += capacities[class] * sizeof(void *);
	}
}

int
vmc_heap_init(void)
{
	init_classes();
	return -pthread_key_create(&exit_key, thread_exit);
}
