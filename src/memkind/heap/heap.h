/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap.h -- malloc and relatives on the arenas of a kind
 *
 * For every kind but the default one. Pointers are not NULL and of
 * that kind, sizes above zero except where it says so. No memory: NULL, errno
 * is the caller's business.
 */
#ifndef VMC_MEMKIND_HEAP_H
#define VMC_MEMKIND_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct memkind;

/*
 * Zero bytes: NULL, or an object where the kind allows that. No memory: errno
 * is ENOMEM.
 */
void *vmc_heap_malloc(struct memkind *kind, size_t size);
void vmc_heap_free(struct memkind *kind, void *ptr);
size_t vmc_heap_usable_size(const struct memkind *kind, const void *ptr);

/* Straight from the arena, and back to it, past the caches. */
void *vmc_heap_malloc_uncached(struct memkind *kind, size_t size);
void vmc_heap_free_uncached(struct memkind *kind, void *ptr);

void *vmc_heap_zeroed(struct memkind *kind, size_t size);

/* alignment: a power of two. */
void *vmc_heap_aligned(struct memkind *kind, size_t alignment, size_t size);
void *vmc_heap_realloc(struct memkind *kind, void *ptr, size_t size);

#endif
