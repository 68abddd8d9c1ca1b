/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distribution.h -- whole numbers drawn at random: sizes of values, numbers
 * of keys
 */
#ifndef BENCH_DISTRIBUTION_H
#define BENCH_DISTRIBUTION_H

#include <stddef.h>
#include <stdint.h>

struct bench_distribution {
	uint64_t (*draw)(const struct bench_distribution *, uint64_t *state);
	uint64_t low;
	uint64_t high;
	double log_low; /* log-uniform: logarithms of low and of high + 1 */
	double log_high;
	double skew; /* Zipf, and constants of its method */
	double area_low;
	double area_high;
	double accept;
	uint64_t *listed; /* a file: its numbers */
	size_t n_listed;
	const char *spec; /* as it was written */
};

/*
 * The distribution that text describes:
 *	N or fixed:N           always N
 *	uniform:LOW:HIGH       all alike likely
 *	log-uniform:LOW:HIGH   all orders of magnitude alike likely
 *	zipf:SKEW:LOW:HIGH     LOW + k - 1 as likely as 1 / k^SKEW
 *	file:PATH              a line of that file, all alike likely
 * kilo is what a suffix K multiplies by: 1024 for sizes, 1000 for counts.
 * Returns NULL, or what is wrong with the text; text must outlive d.
 */
const char *bench_distribution_parse(
	struct bench_distribution *d, const char *text, unsigned kilo);

/* Options, into a distribution: any numbers, and 1 byte to 16 MiB. */
const char *bench_parse_distribution(const char *text, void *into);
const char *bench_parse_value_sizes(const char *text, void *into);

/* Always n. */
struct bench_distribution bench_distribution_fixed(uint64_t n);

void bench_distribution_free(struct bench_distribution *d);

static inline uint64_t
bench_draw(const struct bench_distribution *d, uint64_t *state)
{
	return d->draw(d, state);
}

#endif
