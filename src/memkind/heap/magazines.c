/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * magazines.c -- the caches of a thread's heap: size classes, and emptying
 *
 * heap.c says what the caches are, and takes from them. Only its own thread
 * uses a magazine. Other threads may empty its tcache, under the latch.
 */
#include "magazines.h"

size_t vmc_class_sizes[VMC_CLASSES];
uint8_t vmc_class_table[VMC_TABLE_MAX / 8 + 1];
unsigned vmc_heap_room[VMC_CLASSES + 1];

struct vmc_thread_heap vmc_heap_empty;
struct vmc_thread_heap *_Atomic vmc_heap_none[MEMKIND_MAX_KIND] = {
	[0 ... MEMKIND_MAX_KIND - 1] = &vmc_heap_empty};

/* The thread's own memory but at first. */
_Thread_local struct vmc_thread_heap *_Atomic *vmc_heap_self = vmc_heap_none;

void
vmc_heap_put_back(struct vmc_thread_heap *heap, unsigned class, void **objects,
	unsigned count)
{
	vmc_latch_acquire(&heap->latch, VMC_RANK_HEAP);
	for (unsigned i = 0; i < count; i++)
		je_sdallocx(objects[i], vmc_class_sizes[class], heap->flags);
	heap->cached = true;
	vmc_latch_release(&heap->latch, VMC_RANK_HEAP);
}

bool
vmc_heap_flush(struct vmc_thread_heap *heap)
{
	vmc_latch_acquire(&heap->latch, VMC_RANK_HEAP);
	bool any = heap->cached && heap->has_tcache;
	if (any)
		vmc_engine_tcache_flush(heap->tcache);
	heap->cached = false;
	vmc_latch_release(&heap->latch, VMC_RANK_HEAP);
	return any;
}

void
vmc_heap_drain(struct vmc_thread_heap *heap)
{
	if (heap->last)
		vmc_heap_put_back(heap, heap->last_class, &heap->last, 1);
	heap->last = NULL;
	heap->last_class = VMC_BEYOND;
	for (unsigned class = 1; class < VMC_CLASSES; class ++) {
		struct vmc_magazine *m = &heap->magazines[class];
		unsigned count = vmc_magazine_count(m);
		if (count > 0)
			vmc_heap_put_back(heap, class, m->slots, count);
		vmc_magazine_set(m, 0, vmc_magazine_capacity(m));
	}
	vmc_heap_flush(heap);
	heap->flushed = false;
}

/*
 * jemalloc's classes, as je_nallocx() has them once it has memory: four to
 * each power of two, from 16 to 128 one every 16 bytes.
 */
void
vmc_heap_init_classes(void)
{
	unsigned class = VMC_BEYOND;

	for (size_t size = 8, step; size <= VMC_CACHED_MAX; size += step) {
		vmc_class_sizes[++class] = size;
		for (step = size < 16 ? 8 : 16; size >= 8 * step;)
			step *= 2;
	}
	class = 1;
	for (size_t i = 1; i <= VMC_TABLE_MAX / 8; i++) {
		class += i * 8 > vmc_class_sizes[class];
		vmc_class_table[i] = (uint8_t) class;
	}
	/* zero bytes are a case for the slow path */
	vmc_class_table[0] = VMC_BEYOND;
	for (class = 1; class < VMC_CLASSES; class ++) {
		size_t n = VMC_MAGAZINE_BYTES / vmc_class_sizes[class];
		n = n > VMC_MAGAZINE_OBJECTS ? VMC_MAGAZINE_OBJECTS
		    : n < 2                  ? 2
					     : n;
		vmc_heap_room[class + 1] = vmc_heap_room[class] + (unsigned)n;
	}
}
