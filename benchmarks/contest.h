/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contest.h -- stores measured by turns
 */
#ifndef BENCH_CONTEST_H
#define BENCH_CONTEST_H

#include "load.h"
#include "report.h"

/* What is measured of one store with one number of threads. */
struct bench_series {
	size_t slice; /* requests of a thread; 0: it does not take part */
	double ns[BENCH_MAX_ROUNDS];
	double cpu_share[BENCH_MAX_ROUNDS]; /* of the CPUs to be had */
	double distance[BENCH_MAX_ROUNDS];  /* bench_distance() before it */
	double bytes_per_op;
	uint64_t gets;
	uint64_t hits;
	struct bench_histogram latency[2];
};

struct bench_contest {
	struct bench_load *loads; /* a store each; NULL: it is not there */
	size_t n;
	struct bench_list threads;
	unsigned rounds;
	size_t latencies; /* of so many stores, from the first */
	unsigned runs;    /* of bench_contest_run(), for the progress bar */

	double done;                 /* slices */
	double least_share;          /* of the first store, over all runs */
	struct bench_series *series; /* n for each number of threads */
};

/*
 * That operation on all stores. In each round, for each number of threads, a
 * slice of every store, each round beginning with another one; then, if asked
 * for, slices of their own for the latencies. The series are of this run.
 */
void bench_contest_run(struct bench_contest *c, enum bench_operation op);
void bench_contest_free(struct bench_contest *c);

/* Of the series of store k with the t-th number of threads. */
struct bench_series *bench_series_of(
	const struct bench_contest *c, size_t t, size_t k);

/* The median over the rounds; NAN for a store that did not take part. */
double bench_over_rounds(const struct bench_contest *c, const double *values);
/* The median of the ratios within a round. */
double bench_ratio(
	const struct bench_contest *c, const double *of, const double *to);
/* Time of the first store, of the second, and their ratio: one thread. */
#define BENCH_PAIR(c)                                                          \
	bench_over_rounds(c, (c)->series[0].ns),                               \
		bench_over_rounds(c, (c)->series[1].ns),                       \
		bench_ratio(c, (c)->series[0].ns, (c)->series[1].ns)

/* Say so if the threads had less than they could have of the CPUs. */
void bench_note_busy(const struct bench_contest *c, struct bench_report *r);

#endif
