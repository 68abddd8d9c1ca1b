/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * size_class.h -- which sizes jemalloc's objects have
 */
#ifndef VMC_MEMKIND_SIZE_CLASS_H
#define VMC_MEMKIND_SIZE_CLASS_H

#include "base/os.h"

#include <limits.h>
#include <stddef.h>

/* The largest size of a large object that is not above size. */
static inline size_t
vmc_class_below(size_t size)
{
	/* classes are four to a power of two */
	unsigned log = (unsigned)(sizeof(long) * CHAR_BIT - 1) -
		       (unsigned)__builtin_clzl(size);
	size_t step = (size_t)1 << (log - 2);

	return size & ~(step - 1) & ~(vmc_os_page_size() - 1);
}

/* What is usable of an object of that size, above zero, that is not aligned. */
static inline size_t
vmc_class_size(size_t size)
{
	size_t step;

	if (size <= 128)
		return size <= 8 ? 8 : (size + 15) & ~(size_t)15;
	/* classes are four to a power of two */
	step = (size_t)1 << (61 - __builtin_clzl(size - 1));
	return (size + step - 1) & ~(step - 1);
}

#endif
