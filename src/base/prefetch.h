/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefetch.h -- bringing a value into the processor's cache
 */
#ifndef VMC_BASE_PREFETCH_H
#define VMC_BASE_PREFETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The first 4, 8 or 16 lines of a value. Always inline: gcc takes calls
 * of functions that only prefetch for superfluous. An address as a number: it
 * need not be one of the pool.
 */
static inline __attribute__((always_inline)) void
vmc_prefetch_lines(uintptr_t value, bool eight, bool sixteen)
{
	__builtin_prefetch((void *)value);
	__builtin_prefetch((void *)(value + 64));
	__builtin_prefetch((void *)(value + 128));
	__builtin_prefetch((void *)(value + 192));
	if (!eight)
		return;
	__builtin_prefetch((void *)(value + 256));
	__builtin_prefetch((void *)(value + 320));
	__builtin_prefetch((void *)(value + 384));
	__builtin_prefetch((void *)(value + 448));
	if (!sixteen)
		return;
	__builtin_prefetch((void *)(value + 512));
	__builtin_prefetch((void *)(value + 576));
	__builtin_prefetch((void *)(value + 640));
	__builtin_prefetch((void *)(value + 704));
	__builtin_prefetch((void *)(value + 768));
	__builtin_prefetch((void *)(value + 832));
	__builtin_prefetch((void *)(value + 896));
	__builtin_prefetch((void *)(value + 960));
}

/* Those of a value of so many bytes. */
static inline __attribute__((always_inline)) void
vmc_prefetch_value(uintptr_t value, size_t size)
{
	vmc_prefetch_lines(value, size > 256, size > 512);
}

#endif
