/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kind_as_malloc_shim.c -- preloaded: the program's malloc() is a kind's
 *
 * $SHIM_KIND is the number of the kind, as from the first call on. With
 * $SHIM_FALLBACK, what the kind does not have is the C library's. It calls
 * nothing but the library under test.
 */
#include "memkind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(default)
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *ptr, size_t size);
void free(void *ptr);
int posix_memalign(void **ptr, size_t alignment, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);
size_t malloc_usable_size(void *ptr);
#pragma GCC visibility pop

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

extern char **environ;

/* Not getenv(3): the very first calls come before there is an environment. */
static const char *
variable(const char *name)
{
	size_t length = strlen(name);

	for (char **at = environ; at && *at; at++) {
		if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
			return *at + length + 1;
	}
	return NULL;
}

static memkind_t
kind(void)
{
	static memkind_t known;
	const char *number = known ? NULL : variable("SHIM_KIND");

	if (number)
		memkind_get_kind_by_partition(atoi(number), &known);
	return known ? known : MEMKIND_REGULAR;
}

static int
is_libc(void *ptr)
{
	return variable("SHIM_FALLBACK") && memkind_detect_kind(ptr) == NULL;
}

void *
malloc(size_t size)
{
	void *ptr = memkind_malloc(kind(), size ? size : 1);

	return ptr || !variable("SHIM_FALLBACK") ? ptr : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	void *ptr =
		count && size ? memkind_calloc(kind(), count, size) : malloc(1);

	return ptr || !variable("SHIM_FALLBACK") ? ptr
						 : __libc_calloc(count, size);
}

void *
realloc(void *ptr, size_t size)
{
	if (!ptr)
		return malloc(size);
	return is_libc(ptr) ? __libc_realloc(ptr, size)
			    : memkind_realloc(kind(), ptr, size);
}

void
free(void *ptr)
{
	if (ptr && is_libc(ptr))
		__libc_free(ptr);
	else
		memkind_free(kind(), ptr);
}

int
posix_memalign(void **ptr, size_t alignment, size_t size)
{
	return memkind_posix_memalign(kind(), ptr, alignment, size ? size : 1);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	void *ptr = NULL;

	if (alignment < sizeof(void *))
		alignment = sizeof(void *);
	int err = posix_memalign(&ptr, alignment, size);
	if (err)
		errno = err;
	return ptr;
}

void *
memalign(size_t alignment, size_t size)
{
	return aligned_alloc(alignment, size);
}

size_t
malloc_usable_size(void *ptr)
{
	return memkind_malloc_usable_size(kind(), ptr);
}
