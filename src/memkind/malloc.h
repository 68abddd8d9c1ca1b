/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * malloc.h -- the heap calls as the rest of the library uses them
 *
 * What memkind_malloc() and the others do, without a program's decorators
 * (decorators.c puts those around). The cache takes its metadata through
 * these.
 */
#ifndef VMC_MEMKIND_MALLOC_H
#define VMC_MEMKIND_MALLOC_H

#include "memkind.h"

#include <stdbool.h>
#include <stddef.h>

void *vmc_memkind_malloc(memkind_t kind, size_t size);
void *vmc_memkind_calloc(memkind_t kind, size_t count, size_t size);
int vmc_memkind_posix_memalign(
	memkind_t kind, void **result, size_t alignment, size_t size);
void *vmc_memkind_realloc(memkind_t kind, void *ptr, size_t size);
void vmc_memkind_free(memkind_t kind, void *ptr);
size_t vmc_memkind_usable_size(memkind_t kind, const void *ptr);

/*
 * Free what vmc_memkind_malloc() gave for this very size. The kind is not
 * NULL, nor is ptr. Cheaper than the other.
 */
void vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size);

/*
 * An object, and in *bytes what of it is usable, as vmc_memkind_usable_size()
 * would tell: it costs less to find out on the way. NULL: no memory.
 */
void *vmc_memkind_malloc_counted(memkind_t kind, size_t size, size_t *bytes);

/*
 * Free an object, which is not NULL, of whichever kind: the kind, and in *bytes
 * how much that was. NULL: it is of none, and nothing was done.
 */
memkind_t vmc_memkind_free_counted(void *ptr, size_t *bytes);

/*
 * Are objects of the default kind the private jemalloc's, whose sizes are those
 * of the classes?
 */
#ifdef VMC_MEMKIND_LIBC
#define VMC_DEFAULT_HAS_CLASSES false
#else
#define VMC_DEFAULT_HAS_CLASSES true
#endif

/*
 * From now on ask for transparent huge pages under the default arenas, where
 * the system grants them. For the whole process; the cache does, libmemkind
 * does not.
 */
void vmc_memkind_prefer_huge_pages(void);

/*
 * Give the system what is free in the kind, which the allocator keeps for a
 * while otherwise, but for what other threads have cached.
 */
void vmc_memkind_give_back(memkind_t kind);

/* Bytes of the default arenas that are in huge pages now. */
size_t vmc_memkind_huge_bytes(void);

#endif
