/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * histogram.c -- what is done once a run is over
 *
 * Quantiles are given as the upper end of their bucket, so that an error is
 * never in the favour of what is measured, but never above the maximum, which
 * is exact. One thread records into a histogram; merging is for when it has
 * stopped. (Sorting all samples would be exact and take 8 bytes an operation,
 * more memory traffic than the smallest values under test.)
 */
#include "histogram.h"

#include <math.h>

void
bench_histogram_merge(
	struct bench_histogram *h, const struct bench_histogram *from)
{
	h->count += from->count;
	h->max = from->max > h->max ? from->max : h->max;
	for (unsigned i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++)
		h->bucket[i] += from->bucket[i];
}

/* The largest number that falls into bucket i. */
static uint64_t
upper_end(unsigned i)
{
	unsigned power = i >> BENCH_HISTOGRAM_BITS;

	if (power <= 1)
		return i;
	unsigned shift = power - 1;
	uint64_t first = i - (shift << BENCH_HISTOGRAM_BITS);
	/* Wraps to the largest of all for the last bucket. */
	return ((first + 1) << shift) - 1;
}

uint64_t
bench_histogram_quantile(const struct bench_histogram *h, double part)
{
	uint64_t wanted = (uint64_t)ceil(part * (double)h->count);
	uint64_t seen = 0;

	for (unsigned i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= wanted && seen > 0) {
			uint64_t end = upper_end(i);
			return end < h->max ? end : h->max;
		}
	}
	return h->max;
}
