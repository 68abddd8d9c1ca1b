/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * malloc.c -- the heap calls: the default kind, or the heap of another
 *
 * MEMKIND_DEFAULT is the private jemalloc's own heap with its own thread
 * caches; all that is added to its price is the comparison of two addresses.
 * Every other kind goes to heap/heap.c.
 *
 * In builds with a sanitizer the default kind is the C library's malloc
 * instead: the sanitizers put their own there, and see use after free, leaks
 * and races in the cache's metadata, of which they would see nothing in memory
 * that jemalloc gets from mmap. The other kinds are the same there as
 * everywhere, and are tested as such. One thing is lost: an address of the
 * default kind cannot be told from a foreign one; both count as the default
 * kind's.
 */
#include "malloc.h"

#include "heap/engine.h"
#include "heap/heap.h"
#include "heap/kind.h"
#include "heap/recall.h"
#include "space/size_class.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#ifdef VMC_MEMKIND_LIBC
#define default_malloc(size) malloc(size)
#define default_calloc(count, size) calloc(count, size)
#define default_aligned(result, alignment, size)                               \
	posix_memalign(result, alignment, size)
#define default_realloc(ptr, size) realloc(ptr, size)
#define default_free(ptr) free(ptr)
#define default_free_sized(ptr, size) ((void)(size), free(ptr))
#define default_usable_size(ptr) malloc_usable_size(ptr)
#define OWNER_OF_FOREIGN (&vmc_kinds[MEMKIND_PARTITION_DEFAULT])
#else
#define default_malloc(size) je_malloc(size)
#define default_calloc(count, size) je_calloc(count, size)
#define default_aligned(result, alignment, size)                               \
	je_posix_memalign(result, alignment, size)
#define default_realloc(ptr, size) je_realloc(ptr, size)
#define default_free(ptr) je_free(ptr)
#define default_free_sized(ptr, size) je_sdallocx(ptr, size, 0)
#define default_usable_size(ptr) je_sallocx(ptr, 0)
#define OWNER_OF_FOREIGN NULL
#endif

#define likely(x) __builtin_expect(!!(x), 1)

memkind_t MEMKIND_DEFAULT = &vmc_kinds[MEMKIND_PARTITION_DEFAULT];

static inline bool
is_default(const struct memkind *kind)
{
	return likely(kind == &vmc_kinds[MEMKIND_PARTITION_DEFAULT]);
}

memkind_t
memkind_detect_kind(void *ptr)
{
	struct memkind *kind = ptr ? vmc_kind_of(ptr) : NULL;

	return kind || !ptr ? kind : OWNER_OF_FOREIGN;
}

static void *
fail(int err)
{
	errno = err;
	return NULL;
}

/* Zero bytes are rare: their own way out of every call. */
static __attribute__((noinline)) void *
default_zero_bytes(const struct memkind *kind)
{
	return vmc_load_relaxed(&kind->zero_allocs) ? default_malloc(1) : NULL;
}

void *
vmc_memkind_malloc(memkind_t kind, size_t size)
{
	if (is_default(kind))
		return likely(size) ? default_malloc(size)
				    : default_zero_bytes(kind);
	return likely(kind != NULL) ? vmc_heap_malloc(kind, size)
				    : fail(EINVAL);
}

void *
vmc_memkind_calloc(memkind_t kind, size_t count, size_t size)
{
	size_t bytes;
	void *ptr;

	if (__builtin_mul_overflow(count, size, &bytes))
		return fail(ENOMEM);
	if (bytes == 0 || !kind)
		return vmc_memkind_malloc(kind, bytes);
	if (is_default(kind))
		return default_calloc(1, bytes);
	ptr = vmc_heap_zeroed(kind, bytes);
	return ptr ? ptr : fail(ENOMEM);
}

int
vmc_memkind_posix_memalign(
	memkind_t kind, void **result, size_t alignment, size_t size)
{
	*result = NULL;
	if (!kind || alignment < sizeof(void *) ||
		(alignment & (alignment - 1)))
		return EINVAL;
	if (size == 0)
		return 0;
	if (is_default(kind)) {
		int saved = errno;
		int err = default_aligned(result, alignment, size);
		errno = saved;
		if (err)
			*result = NULL;
		return err;
	}
	*result = vmc_heap_aligned(kind, alignment, size);
	return *result ? 0 : ENOMEM;
}

void
vmc_memkind_free(memkind_t kind, void *ptr)
{
	if (!ptr)
		return;
	if (!kind)
		kind = memkind_detect_kind(ptr);
	if (is_default(kind))
		default_free(ptr);
	else if (kind)
		vmc_heap_free(kind, ptr);
}

void
vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size)
{
	if (is_default(kind))
		default_free_sized(ptr, size);
	else
		vmc_heap_free(kind, ptr);
}

void *
vmc_memkind_malloc_counted(memkind_t kind, size_t size, size_t *bytes)
{
	void *ptr;

	if (VMC_DEFAULT_HAS_CLASSES && is_default(kind) && likely(size > 0)) {
		*bytes = vmc_class_size(size);
		return default_malloc(size);
	}
	ptr = vmc_memkind_malloc(kind, size);
	if (ptr)
		*bytes = vmc_memkind_usable_size(kind, ptr);
	return ptr;
}

memkind_t
vmc_memkind_free_counted(void *ptr, size_t *bytes)
{
	memkind_t kind = memkind_detect_kind(ptr);

	if (!kind)
		return NULL;
	*bytes = vmc_memkind_usable_size(kind, ptr);
	vmc_memkind_free_sized(kind, ptr, *bytes);
	return kind;
}

size_t
vmc_memkind_usable_size(memkind_t kind, const void *ptr)
{
	if (!ptr)
		return 0;
	if (!kind)
		kind = memkind_detect_kind((void *)ptr);
	if (is_default(kind))
		return default_usable_size((void *)ptr);
	return kind ? vmc_heap_usable_size(kind, ptr) : 0;
}

void *
vmc_memkind_realloc(memkind_t kind, void *ptr, size_t size)
{
	void *moved;

	if (!ptr)
		return vmc_memkind_malloc(kind, size);
	if (!kind)
		kind = memkind_detect_kind(ptr);
	if (!kind)
		return fail(EINVAL);
	if (size == 0) {
		vmc_memkind_free(kind, ptr);
		return NULL;
	}
	/* jemalloc leaves errno alone if the size is none that there can be */
	moved = is_default(kind) ? default_realloc(ptr, size)
				 : vmc_heap_realloc(kind, ptr, size);
	return likely(moved != NULL) ? moved : fail(ENOMEM);
}

void
vmc_memkind_give_back(memkind_t kind)
{
	if (is_default(kind))
		vmc_engine_give_back();
	else
		vmc_heap_give_back(kind);
}

void
vmc_memkind_prefer_huge_pages(void)
{
	vmc_engine_prefer_huge_pages();
}

size_t
vmc_memkind_huge_bytes(void)
{
	return vmc_engine_huge_bytes();
}
