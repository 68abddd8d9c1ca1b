/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * histogram.h -- how often each duration occurred, to within 1.6 %
 *
 * The buckets of Gil Tene's HdrHistogram: numbers below 64 have one each;
 * above, every power of two is cut into 64 equal buckets. Recording is a
 * count of leading zeros and an increment, and histograms of several threads
 * add up.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define BENCH_HISTOGRAM_BITS 6
#define BENCH_HISTOGRAM_BUCKETS                                                \
	((64 - BENCH_HISTOGRAM_BITS + 1) << BENCH_HISTOGRAM_BITS)

/* All zero is an empty one. */
struct bench_histogram {
	uint64_t count;
	uint64_t max;
	uint64_t bucket[BENCH_HISTOGRAM_BUCKETS];
};

static inline unsigned
bench_histogram_bucket(uint64_t value)
{
	if (value >> BENCH_HISTOGRAM_BITS == 0)
		return (unsigned)value;
	unsigned shift =
		63 - BENCH_HISTOGRAM_BITS - (unsigned)__builtin_clzll(value);
	return (shift << BENCH_HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

static inline void
bench_histogram_record(struct bench_histogram *h, uint64_t value)
{
	h->count++;
	h->max = value > h->max ? value : h->max;
	h->bucket[bench_histogram_bucket(value)]++;
}

/* Add all of from to h. */
void bench_histogram_merge(
	struct bench_histogram *h, const struct bench_histogram *from);

/*
 * The smallest bucket's upper end that at least the given part (0 to 1) of
 * what was recorded does not exceed; 0 if nothing was.
 */
uint64_t bench_histogram_quantile(const struct bench_histogram *h, double part);

/* The latencies of a row, as columns and as cells. */
#define BENCH_TAIL_COLUMNS                                                     \
	{"p50_ns", "p50", BENCH_DURATION}, {"p99_ns", "p99", BENCH_DURATION},  \
		{"p99_9_ns", "p99.9", BENCH_DURATION},                         \
	{                                                                      \
		"max_ns", "max", BENCH_DURATION                                \
	}
#define BENCH_TAIL(h)                                                          \
	(double)bench_histogram_quantile(h, 0.5),                              \
		(double)bench_histogram_quantile(h, 0.99),                     \
		(double)bench_histogram_quantile(h, 0.999), (double)(h)->max

#endif
