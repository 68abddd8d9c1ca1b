/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crew.h -- threads that carry out prepared requests on a store, timed
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "histogram.h"
#include "store.h"

/* How many gets a call of get_many has. */
enum { BENCH_BATCH = 16 };

enum bench_kind {
	BENCH_GET,
	BENCH_PUT,
	BENCH_GET_MANY,   /* a batch of them a call; in a slice of its own */
	BENCH_PIN,        /* pin it, and unpin it */
	BENCH_GET_OR_PUT, /* get; on a miss put */
	BENCH_SKIP        /* nothing: what a refused put becomes */
};

/*
 * 16 bytes, so that reading them costs next to nothing beside the values.
 * A GET_OR_PUT is replaced by what it turned out to be, so that the floor
 * then copies the same bytes in the same direction.
 */
struct bench_request {
	uint64_t id;
	uint32_t size;
	uint32_t kind;
};

/* The outcome of a slice. */
struct bench_slice {
	double ns_per_op;    /* of the timed part: time by all its requests */
	double bytes_per_op; /* of values moved, in the timed part */
	double cpu_share;    /* of that time that the threads had a CPU */
	uint64_t gets;       /* from here on: of all requests */
	uint64_t hits;
	uint64_t refused;
	uint64_t bytes;
};

struct bench_crew;

struct bench_crew *bench_crew_new(unsigned max_threads, size_t key_size);
void bench_crew_free(struct bench_crew *crew);

/* Room for n requests of that thread, to be filled before a slice. */
struct bench_request *bench_crew_requests(
	struct bench_crew *crew, unsigned thread, size_t n);

/*
 * The first n requests of each of that many threads on the store. With
 * histograms (one for each of GET and PUT, in this order) every single
 * request of the timed part, or batch of GET_MANY, is timed into them, which
 * slows the whole down.
 * A failure of the store ends the run.
 */
struct bench_slice bench_crew_run(struct bench_crew *crew,
	struct bench_store *store, unsigned threads, size_t n,
	struct bench_histogram histograms[2]);

/* Nanoseconds since some time in the past; the same of another clock. */
uint64_t bench_now(void);
uint64_t bench_clock(clockid_t clock);

/* The median; sorts what it is given. NaN for none. */
double bench_median(double *values, size_t n);

#endif
