/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * decorators.c -- the public heap calls, with the program's hooks around them
 *
 * A program may define memkind_malloc_pre() and so on. They are weak here:
 * in a program without them the address is 0, which costs a load and a
 * branch. In this file alone, so that the cache, which calls malloc.h, neither
 * pays for them nor shows its metadata to them.
 */
#include "malloc.h"

#define DECORATOR __attribute__((weak, visibility("default")))

DECORATOR void memkind_malloc_pre(memkind_t *kind, size_t *size);
DECORATOR void memkind_malloc_post(memkind_t kind, size_t size, void **result);
DECORATOR void memkind_calloc_pre(memkind_t *kind, size_t *nmemb, size_t *size);
DECORATOR void memkind_calloc_post(
	memkind_t kind, size_t nmemb, size_t size, void **result);
DECORATOR void memkind_posix_memalign_pre(
	memkind_t *kind, void **memptr, size_t *alignment, size_t *size);
DECORATOR void memkind_posix_memalign_post(
	memkind_t kind, void **memptr, size_t alignment, size_t size, int *err);
DECORATOR void memkind_realloc_pre(memkind_t *kind, void **ptr, size_t *size);
DECORATOR void memkind_realloc_post(
	memkind_t kind, void *ptr, size_t size, void **result);
DECORATOR void memkind_free_pre(memkind_t *kind, void **ptr);
DECORATOR void memkind_free_post(memkind_t kind, void *ptr);

/* Is either of a pair defined? The undecorated way stays a jump. */
#define decorated(call)                                                        \
	__builtin_expect(call##_pre != NULL || call##_post != NULL, 0)

static __attribute__((noinline)) void *
decorated_malloc(memkind_t kind, size_t size)
{
	void *result;

	if (memkind_malloc_pre)
		memkind_malloc_pre(&kind, &size);
	result = vmc_memkind_malloc(kind, size);
	if (memkind_malloc_post)
		memkind_malloc_post(kind, size, &result);
	return result;
}

void *
memkind_malloc(memkind_t kind, size_t size)
{
	if (decorated(memkind_malloc))
		return decorated_malloc(kind, size);
	return vmc_memkind_malloc(kind, size);
}

void *
memkind_calloc(memkind_t kind, size_t num, size_t size)
{
	void *result;

	if (memkind_calloc_pre)
		memkind_calloc_pre(&kind, &num, &size);
	result = vmc_memkind_calloc(kind, num, size);
	if (memkind_calloc_post)
		memkind_calloc_post(kind, num, size, &result);
	return result;
}

int
memkind_posix_memalign(
	memkind_t kind, void **memptr, size_t alignment, size_t size)
{
	int err;

	if (memkind_posix_memalign_pre)
		memkind_posix_memalign_pre(&kind, memptr, &alignment, &size);
	err = vmc_memkind_posix_memalign(kind, memptr, alignment, size);
	if (memkind_posix_memalign_post)
		memkind_posix_memalign_post(
			kind, memptr, alignment, size, &err);
	return err;
}

void *
memkind_realloc(memkind_t kind, void *ptr, size_t size)
{
	void *result;

	if (memkind_realloc_pre)
		memkind_realloc_pre(&kind, &ptr, &size);
	result = vmc_memkind_realloc(kind, ptr, size);
	if (memkind_realloc_post)
		memkind_realloc_post(kind, ptr, size, &result);
	return result;
}

static __attribute__((noinline)) void
decorated_free(memkind_t kind, void *ptr)
{
	if (memkind_free_pre)
		memkind_free_pre(&kind, &ptr);
	vmc_memkind_free(kind, ptr);
	if (memkind_free_post)
		memkind_free_post(kind, ptr);
}

void
memkind_free(memkind_t kind, void *ptr)
{
	if (decorated(memkind_free))
		decorated_free(kind, ptr);
	else
		vmc_memkind_free(kind, ptr);
}

size_t
memkind_malloc_usable_size(
	memkind_t kind, MEMKIND_MALLOC_USABLE_SIZE_CONST void *ptr)
{
	return vmc_memkind_usable_size(kind, ptr);
}
