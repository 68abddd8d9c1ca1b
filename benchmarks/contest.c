/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contest.c -- stores measured by turns
 *
 * Slices of some 80 ms go round robin. Times are medians over the rounds, and
 * ratios medians of the ratios within a round, so that a slow second of the
 * machine hits both sides of the fraction. Percentiles come from slices of
 * their own, as reading the clock slows each operation down.
 */
#include "contest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "distance.h"
#include "progress.h"

enum { LATENCY_SLICES = 3 };

struct bench_series *
bench_series_of(const struct bench_contest *c, size_t t, size_t k)
{
	return &c->series[t * c->n + k];
}

static void
show_progress(struct bench_contest *c, enum bench_operation op, size_t k)
{
	double all = (double)(c->runs * c->threads.n *
			      (c->n * (1 + c->rounds) +
				      c->latencies * LATENCY_SLICES));
	char what[64];

	snprintf(what, sizeof(what), "%s, %s", bench_operation_name[op],
		c->loads[k].store->type->name);
	bench_progress(++c->done / all, what);
}

static struct bench_slice
run_slice(struct bench_contest *c, enum bench_operation op, size_t t, size_t k,
	bool latencies)
{
	struct bench_load *l = &c->loads[k];
	struct bench_series *s = bench_series_of(c, t, k);
	unsigned threads = (unsigned)c->threads.at[t];

	bench_load_prepare(l, op, threads, s->slice);
	struct bench_slice slice = bench_crew_run(l->crew, l->store, threads,
		s->slice, latencies ? s->latency : NULL);
	show_progress(c, op, k);
	return slice;
}

static void
calibrate(struct bench_contest *c, enum bench_operation op, size_t t, size_t k)
{
	struct bench_load *l = &c->loads[k];
	struct bench_series *s = bench_series_of(c, t, k);

	bool copies = op != BENCH_OP_MISS && op != BENCH_OP_PIN;
	bool has_single = op == BENCH_OP_MANY || op == BENCH_OP_PIN;

	if (l->store == NULL || (l->plain && !copies) ||
		(l->single && !has_single)) {
		for (unsigned round = 0; round < c->rounds; round++)
			s->ns[round] = NAN;
		return;
	}
	s->slice = bench_load_calibrate(l, op, (unsigned)c->threads.at[t]);
	show_progress(c, op, k);
}

static void
run_round(struct bench_contest *c, enum bench_operation op, unsigned round)
{
	double processors = (double)sysconf(_SC_NPROCESSORS_ONLN);

	for (size_t t = 0; t < c->threads.n; t++) {
		double threads = (double)c->threads.at[t];
		double distance = threads > 1 ? bench_distance() : NAN;

		for (size_t i = 0; i < c->n; i++) {
			size_t k = (round + i) % c->n;
			struct bench_series *s = bench_series_of(c, t, k);

			s->distance[round] = distance;
			if (s->slice == 0)
				continue;
			struct bench_slice slice =
				run_slice(c, op, t, k, false);
			s->ns[round] = slice.ns_per_op;
			s->cpu_share[round] =
				slice.cpu_share * fmax(1, threads / processors);
			s->bytes_per_op = slice.bytes_per_op;
			s->gets += slice.gets;
			s->hits += slice.hits;
		}
	}
}

void
bench_contest_run(struct bench_contest *c, enum bench_operation op)
{
	size_t n = c->threads.n * c->n;

	free(c->series);
	c->series = bench_zeroed(n, sizeof(*c->series));
	for (size_t i = 0; i < n; i++)
		calibrate(c, op, i / c->n, i % c->n);
	for (unsigned round = 0; round < c->rounds; round++)
		run_round(c, op, round);
	for (size_t t = 0; t < c->threads.n; t++) {
		for (size_t i = 0; i < c->latencies * LATENCY_SLICES; i++) {
			size_t k = i % c->latencies;

			if (bench_series_of(c, t, k)->slice > 0)
				run_slice(c, op, t, k, true);
		}
	}
	for (size_t t = 0; t < c->threads.n; t++) {
		double share = bench_over_rounds(
			c, bench_series_of(c, t, 0)->cpu_share);

		c->least_share = c->least_share == 0
					 ? share
					 : fmin(c->least_share, share);
	}
}

void
bench_contest_free(struct bench_contest *c)
{
	free(c->series);
}

double
bench_ratio(const struct bench_contest *c, const double *of, const double *to)
{
	double ratio[BENCH_MAX_ROUNDS];

	for (unsigned i = 0; i < c->rounds; i++)
		ratio[i] = to ? of[i] / to[i] : of[i];
	return bench_median(ratio, c->rounds);
}

double
bench_over_rounds(const struct bench_contest *c, const double *values)
{
	return bench_ratio(c, values, NULL);
}

void
bench_note_busy(const struct bench_contest *c, struct bench_report *r)
{
	if (c->least_share < 0.9)
		bench_note(r, "This machine was busy with something else: the "
			      "threads had to wait for a\nprocessor, so times "
			      "are too long and ratios rough.");
}
