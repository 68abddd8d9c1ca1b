/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pools.h -- MEMKIND_HEAP_MANAGER=TBB: memory pools of libtbbmalloc
 *
 * For the static kinds that heap.h is for, which are never destroyed. Where
 * that manager was chosen, heap.c hands over to these. Kinds in files and of a
 * program's memory stay with jemalloc, as with the predecessor: of what is
 * limited, libtbbmalloc leaves too much unused.
 */
#ifndef VMC_MEMKIND_POOLS_H
#define VMC_MEMKIND_POOLS_H

#include <stdbool.h>
#include <stddef.h>

struct memkind;
struct vmc_arena;

/*
 * Load the library, which may call malloc(); false: it is not there, or is
 * another one.
 */
bool vmc_pools_load(void);

/* Is it there? */
bool vmc_pools_loaded(void);

/* A pool that gets its memory from the arena; NULL: it cannot be had. */
void *vmc_pool_create(struct vmc_arena *arena);

/* flags: jemalloc's for alignment and zeroing. NULL: no memory. */
void *vmc_pool_malloc(void *pool, size_t size, int flags);

/* Those below find the pool of the object themselves. */
void *vmc_pool_realloc(void *ptr, size_t size);
void vmc_pool_free(void *ptr);
size_t vmc_pool_usable_size(const void *ptr);

#endif
