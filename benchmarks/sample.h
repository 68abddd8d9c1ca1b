/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sample.h -- a part of a trace that stands for the whole, and cache sizes
 * that are parts of it
 */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include "options.h"
#include "trace.h"

/* Sizes of caches: "1%" of all objects' bytes, or "64M". */
struct bench_sizes {
	size_t n;
	struct bench_size {
		const char *text;
		double percent; /* 0: bytes */
		uint64_t bytes;
	} at[BENCH_LIST_MAX];
};

bench_parse bench_parse_cache_sizes;

struct bench_sample {
	double rate;      /* the part of all objects that is in the sample */
	uint64_t unit;    /* bytes that take a block; 1: an object takes one */
	double blocks;    /* of all objects, each at its largest */
	uint64_t objects; /* in the sample, and its requests in their order */
	uint64_t n;
	struct bench_sampled {
		uint64_t id;
		uint64_t blocks;
	} * requests;
};

/*
 * All requests of the objects that a hash chooses, so that about rate of all
 * objects are in; of these so few that there are at most that many, unless
 * that is 0. It holds on to its requests if asked to.
 */
struct bench_sample bench_sample_take(
	struct bench_trace *trace, double rate, uint64_t most, bool requests);
void bench_sample_free(struct bench_sample *s);

/* Blocks of a cache of that size for the whole trace. */
double bench_blocks_of(
	const struct bench_sample *s, const struct bench_size *size);

#endif
