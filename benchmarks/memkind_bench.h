/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_bench.h -- what the parts of memkind_bench share
 */
#ifndef BENCH_MEMKIND_BENCH_H
#define BENCH_MEMKIND_BENCH_H

#include "crew.h"

/* An object of the subject's, written to; without memory the program ends. */
void *memkind_bench_allocate(size_t size);
void memkind_bench_release(void *ptr);

/*
 * Nanoseconds to allocate an object in one thread and free it in another; 0:
 * the two were never at work at once.
 */
double memkind_bench_handover(size_t size);

/*
 * Measure what a PMEM kind in that directory makes of a file's space; prints a
 * line of name and number for each. Ends the program where there is no kind.
 */
void memkind_bench_space(const char *directory);

#endif
