/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sharing.h -- which cache lines an operation takes from other processors
 */
#ifndef BENCH_SHARING_H
#define BENCH_SHARING_H

#include <stdint.h>

/* Sums over what was counted. */
struct sharing {
	uint64_t taken;   /* lines written that another thread had touched */
	uint64_t fetched; /* lines read that another thread had written */
	uint64_t
		locked; /* atomic read-modify-writes, those of locks included */
	uint64_t locks; /* acquired */
};

/*
 * The calling thread is that one, below 64, until the next call. Threads have
 * to take turns: nothing here is protected.
 */
void sharing_enter(unsigned thread);

/* As if no thread had touched anything. */
void sharing_forget(void);

/* From here on accesses are counted into sum; NULL: only followed. */
void sharing_count(struct sharing *sum);

/* Print where lines were taken and fetched since the last call. */
void sharing_print_places(uint64_t operations);

#endif
