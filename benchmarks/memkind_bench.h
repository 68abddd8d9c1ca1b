/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_bench.h -- what the parts of memkind_bench share
 */
#ifndef BENCH_MEMKIND_BENCH_H
#define BENCH_MEMKIND_BENCH_H

#include "crew.h"

/*
 * Measure what a PMEM kind in that directory makes of a file's space; prints a
 * line of name and number for each. Ends the program where there is no kind.
 */
void memkind_bench_space(const char *directory);

#endif
