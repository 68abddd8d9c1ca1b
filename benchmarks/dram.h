/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dram.h -- how much memory entries take beside the pool
 */
#ifndef BENCH_DRAM_H
#define BENCH_DRAM_H

#include "options.h"

struct bench_dram {
	double resident; /* bytes that an entry added, without its key */
	double counted;  /* what the library says of that */
};

enum { BENCH_DRAM_KEY = 8 };

/*
 * Of a cache with so many entries of one byte, in a process of its own: to be
 * called while this one has little memory, and no thread.
 */
struct bench_dram bench_dram_measure(uint64_t entries);

/* A pool for that many entries, none of which is evicted. */
size_t bench_dram_pool(uint64_t entries);

#endif
