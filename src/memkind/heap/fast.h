/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast.h -- the fast ways of malloc and free, inline, for heap.c and those
 * who do something beside on the way
 */
#ifndef VMC_MEMKIND_FAST_H
#define VMC_MEMKIND_FAST_H

#include "magazines.h"

/* BEYOND also for zero bytes, which are a case for the slow way. */
static inline unsigned
vmc_heap_class(size_t size)
{
	unsigned log;

	if (__builtin_expect(size <= VMC_TABLE_MAX, 1))
		return vmc_class_table[(size + 7) >> 3];
	if (size > VMC_CACHED_MAX)
		return VMC_BEYOND;
	/* four classes to a power of two */
	log = 63u - (unsigned)__builtin_clzl(size - 1);
	return VMC_TABLE_CLASSES + (log - 12) * 4 +
	       (unsigned)((size - 1) >> (log - 2) & 3);
}

/* An object of the class, vmc_class_sizes[class] bytes; false: the slow way. */
static inline bool
vmc_heap_pop(unsigned number, unsigned class, void **object)
{
	struct vmc_thread_heap *heap = vmc_load_relaxed(&vmc_heap_self[number]);

	return vmc_magazine_take(&heap->magazines[class], object);
}

/* False: the slow way. */
static inline bool
vmc_heap_push(unsigned number, unsigned class, void *ptr)
{
	struct vmc_thread_heap *heap = vmc_load_relaxed(&vmc_heap_self[number]);

	/* BEYOND is none of those from 1 on */
	if (__builtin_expect(class - 1 >= heap->last_most ||
				     !vmc_magazine_put(
					     &heap->magazines[heap->last_class],
					     heap->last),
		    0))
		return false;
	heap->last = ptr;
	heap->last_class = class;
	return true;
}

#endif
