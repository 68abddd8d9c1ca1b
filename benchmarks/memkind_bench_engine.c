/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_bench_engine.c -- the private jemalloc alone, as a shared library
 *
 * What memkind_bench compares the kinds with: they too are behind a library's
 * border, where calls and thread-local storage cost more than in a program.
 */
#include "memkind/heap/engine.h"

#pragma GCC visibility push(default)
void *engine_malloc(size_t size);
void engine_free(void *ptr);
#pragma GCC visibility pop

void *
engine_malloc(size_t size)
{
	return je_malloc(size);
}

void
engine_free(void *ptr)
{
	je_free(ptr);
}
