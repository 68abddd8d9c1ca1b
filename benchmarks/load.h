/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.h -- one kind of operation at a time, on a store that is full
 *
 * Keys are numbered by one counter in the order of their puts, so those which
 * a store holds that evicts in the order of use are known without asking: the
 * newest ones. Where that cannot be relied on, there is a list of known ones.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "crew.h"
#include "distribution.h"
#include "options.h"

enum bench_operation {
	BENCH_OP_GET,   /* of a key drawn uniformly: a hit */
	BENCH_OP_HOT,   /* the same, of few keys */
	BENCH_OP_ZIPF,  /* of a million, the k-th as likely as 1 / k^.99 */
	BENCH_OP_MANY,  /* as get, in batches */
	BENCH_OP_PIN,   /* as get: pinned, and unpinned */
	BENCH_OP_MISS,  /* of a key that was never put */
	BENCH_OP_PUT,   /* of a key never used before: evicts */
	BENCH_OP_MIXED, /* gets and puts */

	BENCH_OPERATIONS
};

/* Keys that hot gets are of: with values of 1 KiB, what a processor keeps. */
enum { BENCH_HOT_KEYS = 2000 };

extern const char *const bench_operation_name[BENCH_OPERATIONS];

/* A list of their names, as an option: into an array of bool. */
bench_parse bench_parse_operations;

struct bench_load {
	struct bench_crew *crew;
	struct bench_store *store;
	struct bench_distribution sizes; /* of values; a key's never changes */
	uint64_t random;
	uint64_t gets;    /* of 100 mixed requests */
	uint64_t next_id; /* of the next put */
	uint64_t recent;  /* gets are of one of so many put last */
	uint64_t *known;  /* or, unless NULL, of one of these */
	size_t n_known;
	bool plain;  /* the store is the floor: a miss copies nothing there */
	bool single; /* does gets one by one where others do many */
};

/* n requests for each of so many threads, to be run on the load's store. */
void bench_load_prepare(struct bench_load *l, enum bench_operation op,
	unsigned threads, size_t n);

/* The same, and carry them out untimed. */
void bench_load_run(struct bench_load *l, enum bench_operation op,
	unsigned threads, uint64_t n);

/*
 * How many requests a thread carries out in some 80 ms, found by slices of
 * growing length, which warm up, too. With more threads than processors as
 * many times longer, so that every thread is preempted some times.
 */
size_t bench_load_calibrate(
	struct bench_load *l, enum bench_operation op, unsigned threads);

#endif
