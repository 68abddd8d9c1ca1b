/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memtier.c -- the public heap calls on tiers, and on kinds that are counted
 *
 * Each makes the heap call of the kind, and counts the usable bytes of the
 * object: these can be found out again when the object is freed.
 *
 * An object that belongs to no kind is taken for one of the program's own
 * malloc(): it is passed to free() or realloc(), uncounted.
 */
#include "inside.h"
#include "policy.h"

#include "memkind/heap/engine.h"
#include "memkind/heap/fast.h"
#include "memkind/malloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define likely(x) __builtin_expect(!!(x), 1)

static void *
fail(int err)
{
	errno = err;
	return NULL;
}

static void
count_object(memkind_t kind, const void *ptr)
{
	vmc_counts_add(vmc_counts_self, kind->number,
		(int64_t)vmc_memkind_usable_size(kind, ptr));
}

/* What the magazines do not have, and large and no bytes of the default kind.
 */
static __attribute__((noinline)) void *
allocate_slowly(memkind_t kind, size_t size)
{
	size_t bytes;
	void *ptr = vmc_memkind_malloc_counted(kind, size, &bytes);

	if (likely(ptr != NULL))
		vmc_counts_add(vmc_counts_self, kind->number, (int64_t)bytes);
	return ptr;
}

static __attribute__((noinline)) void *
no_default(struct vmc_counts *self, size_t bytes)
{
	vmc_counts_add(self, MEMKIND_PARTITION_DEFAULT, -(int64_t)bytes);
	return NULL;
}

static inline void *
allocate(struct vmc_counts *self, memkind_t kind, size_t size)
{
	unsigned number = kind->number, class = vmc_heap_class(size);
	void *ptr;

	if (VMC_DEFAULT_HAS_CLASSES && class != VMC_BEYOND &&
		number == MEMKIND_PARTITION_DEFAULT) {
		/* counted before: there is less to keep during the call */
		size_t bytes = vmc_class_sizes[class];
		vmc_counts_add(self, number, (int64_t)bytes);
		ptr = je_malloc(size);
		return likely(ptr != NULL) ? ptr : no_default(self, bytes);
	}
	if (!likely(vmc_heap_pop(number, class, &ptr)))
		return allocate_slowly(kind, size);
	vmc_counts_add(self, number, (int64_t)vmc_class_sizes[class]);
	return ptr;
}

void *
memtier_kind_malloc(memkind_t kind, size_t size)
{
	return kind ? allocate(vmc_counts_self, kind, size) : fail(EINVAL);
}

static __attribute__((noinline)) void *
choose_and_allocate(struct memtier_memory *memory, size_t size)
{
	return memtier_kind_malloc(
		memory ? vmc_policy_kind(memory, vmc_counts_self, size) : NULL,
		size);
}

void *
memtier_malloc(struct memtier_memory *memory, size_t size)
{
	struct vmc_counts *self = vmc_counts_self;

	if (likely(memory && self && vmc_policy_planned(memory, self, size)))
		return allocate(self, self->plan.kind, size);
	return choose_and_allocate(memory, size);
}

void *
memtier_kind_calloc(memkind_t kind, size_t num, size_t size)
{
	void *ptr = vmc_memkind_calloc(kind, num, size);

	if (ptr)
		count_object(kind, ptr);
	return ptr;
}

void *
memtier_calloc(struct memtier_memory *memory, size_t num, size_t size)
{
	size_t bytes;

	if (!memory)
		return fail(EINVAL);
	if (__builtin_mul_overflow(num, size, &bytes))
		return fail(ENOMEM);
	return memtier_kind_calloc(
		vmc_policy_kind(memory, vmc_counts_self, bytes), 1, bytes);
}

/* The object is there, and is of the kind. */
static void *
reallocate(memkind_t kind, void *ptr, size_t size)
{
	size_t before = vmc_memkind_usable_size(kind, ptr);
	void *moved = vmc_memkind_realloc(kind, ptr, size);

	if (moved)
		vmc_counts_add(vmc_counts_self, kind->number,
			(int64_t)vmc_memkind_usable_size(kind, moved) -
				(int64_t)before);
	else if (size == 0)
		vmc_counts_add(vmc_counts_self, kind->number, -(int64_t)before);
	return moved;
}

void *
memtier_realloc(struct memtier_memory *memory, void *ptr, size_t size)
{
	memkind_t kind;

	if (!ptr)
		return memtier_malloc(memory, size);
	kind = memkind_detect_kind(ptr);
	return likely(kind != NULL) ? reallocate(kind, ptr, size)
				    : realloc(ptr, size);
}

void *
memtier_kind_realloc(memkind_t kind, void *ptr, size_t size)
{
	if (!ptr)
		return memtier_kind_malloc(kind, size);
	return kind ? reallocate(kind, ptr, size)
		    : memtier_realloc(NULL, ptr, size);
}

int
memtier_kind_posix_memalign(
	memkind_t kind, void **memptr, size_t alignment, size_t size)
{
	int err = vmc_memkind_posix_memalign(kind, memptr, alignment, size);

	if (!err && *memptr)
		count_object(kind, *memptr);
	return err;
}

int
memtier_posix_memalign(struct memtier_memory *memory, void **memptr,
	size_t alignment, size_t size)
{
	return memtier_kind_posix_memalign(
		memory ? vmc_policy_kind(memory, vmc_counts_self, size) : NULL,
		memptr, alignment, size);
}

size_t
memtier_usable_size(void *ptr)
{
	memkind_t kind = memkind_detect_kind(ptr);

	return likely(kind != NULL) ? vmc_memkind_usable_size(kind, ptr)
				    : malloc_usable_size(ptr);
}

static __attribute__((noinline)) void
free_slowly(void *ptr, void (*otherwise)(void *))
{
	size_t bytes;
	memkind_t kind = vmc_memkind_free_counted(ptr, &bytes);

	if (kind)
		vmc_counts_add(vmc_counts_self, kind->number, -(int64_t)bytes);
	else
		otherwise(ptr);
}

static __attribute__((noinline)) void
free_default(void *ptr, void (*otherwise)(void *))
{
	struct vmc_counts *self = vmc_counts_self;
	uint64_t before;

	if (!VMC_DEFAULT_HAS_CLASSES || !likely(self && self->freed)) {
		free_slowly(ptr, otherwise);
		return;
	}
	before = *self->freed;
	je_free(ptr);
	vmc_counts_add(self, MEMKIND_PARTITION_DEFAULT,
		(int64_t)(before - *self->freed));
}

void
memtier_free_or(void *ptr, void (*otherwise)(void *))
{
	const struct vmc_chunk *chunk = vmc_map_find(ptr);
	unsigned number, class;

	if (chunk == &vmc_map_default) {
		free_default(ptr, otherwise);
		return;
	}
	number = chunk ? chunk->owner - 1 : MEMKIND_MAX_KIND;
	/* not of one kind alone: no number */
	if (!likely(number < MEMKIND_MAX_KIND)) {
		free_slowly(ptr, otherwise);
		return;
	}
	class = vmc_load_relaxed(&chunk->classes[vmc_map_page(ptr)]);
	if (!likely(vmc_heap_push(number, class, ptr))) {
		free_slowly(ptr, otherwise);
		return;
	}
	vmc_counts_add(
		vmc_counts_self, number, -(int64_t)vmc_class_sizes[class]);
}

/* The address tells the kind, whatever the caller says. */
void
memtier_kind_free(memkind_t kind, void *ptr)
{
	(void)kind;
	if (ptr)
		memtier_free_or(ptr, free);
}

size_t
memtier_kind_allocated_size(memkind_t kind)
{
	int64_t sum = kind ? vmc_counts_sum(kind->number) : 0;

	return sum > 0 ? (size_t)sum : 0;
}
