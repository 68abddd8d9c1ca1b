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

/* jemalloc's number of the arena that the calling thread has there. */
int vmc_heap_arena(struct memkind *kind, unsigned *index);

/* Give what the calling thread has cached back to the kinds. */
void vmc_heap_return_caches(void);

/* The same of one kind, and from there to the medium. */
void vmc_heap_give_back(const struct memkind *kind);

/* Under vmc_kinds_lock: forget every thread's cache of this kind. */
void vmc_heap_release(struct memkind *kind);

/*
 * Under vmc_kinds_lock, before a fork, of a kind that parent and child share:
 * the calling thread's caches are given back, and the next call of every
 * thread that has a heap is one that turns to vmc_heap_find().
 */
void vmc_heap_before_fork(struct memkind *kind);

/*
 * Under vmc_kinds_lock, in the child: only the calling thread still has a heap,
 * and none in a kind that is shared with the parent.
 */
void vmc_heap_after_fork(struct memkind *kind);

/* Create what threads need to come and go; once, before anything else. */
void vmc_heap_init(void);

#endif
