/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap.h -- malloc() as a module's memory; what is retired is free at once
 */
#ifndef BENCH_HEAP_H
#define BENCH_HEAP_H

#include <stdlib.h>

#include "base/memory.h"

static void *
bench_heap_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return malloc(size);
}

static void
bench_heap_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	(void)size;
	free(ptr);
}

static const struct vmc_memory bench_heap = {.alloc = bench_heap_alloc,
	.free = bench_heap_free,
	.retire = bench_heap_free};

#endif
