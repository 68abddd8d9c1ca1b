/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * traffic.c -- rounds of requests on the cache and on the floor in turn
 *
 * The requests are cut into rounds. A round runs on the cache; what every
 * request turned out to be, a get that hit or a put after a miss, is then
 * repeated on the floor. The time is the median of the rounds, the ratio the
 * median of the ratios of each round with its own floor. Every fourth round
 * times each single request instead and counts for the latencies only.
 * Hits and bytes are of all rounds. If the threads get unequal numbers of
 * requests (the end of a trace), the smaller number counts for all.
 */
#include "traffic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

static const struct bench_column columns[] = {
	{"pool_bytes", "pool", BENCH_BYTES},
	{"threads", NULL, BENCH_WHOLE},
	{"requests", "requests", BENCH_WHOLE},
	{"hits", "hits", BENCH_WHOLE},
	{"miss_ratio", "misses", BENCH_THREE_DIGITS},
	{"requested_bytes", NULL, BENCH_WHOLE},
	{"refused_puts", NULL, BENCH_WHOLE},
	{"ops_per_second", "ops/s", BENCH_WHOLE},
	{"bytes_per_second", "bytes/s", BENCH_BYTES},
	{"ns_per_op", "ns/op", BENCH_WHOLE},
	{"floor_ns", "floor", BENCH_WHOLE},
	{"ratio", "ratio", BENCH_TWO_DIGITS},
	{"p50_ns", "p50", BENCH_DURATION},
	{"p99_ns", "p99", BENCH_DURATION},
	{"p99_9_ns", "p99.9", BENCH_DURATION},
	{"max_ns", "max", BENCH_DURATION},
};

struct samples {
	size_t n;
	size_t capacity;
	double *ns;
	double *floor_ns;
	double *ratio;
	double *bytes;
};

struct totals {
	uint64_t requests;
	uint64_t hits;
	uint64_t refused;
	uint64_t bytes;
	struct bench_histogram latency[2];
	struct samples samples;
};

static void
add_sample(struct samples *s, const struct bench_slice *cache,
	const struct bench_slice *plain)
{
	if (!(cache->ns_per_op > 0) || !(plain->ns_per_op > 0))
		return;
	if (s->n == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		size_t size = s->capacity * sizeof(double);
		s->ns = bench_realloc(s->ns, size);
		s->floor_ns = bench_realloc(s->floor_ns, size);
		s->ratio = bench_realloc(s->ratio, size);
		s->bytes = bench_realloc(s->bytes, size);
	}
	s->ns[s->n] = cache->ns_per_op;
	s->floor_ns[s->n] = plain->ns_per_op;
	s->ratio[s->n] = cache->ns_per_op / plain->ns_per_op;
	s->bytes[s->n++] = cache->bytes_per_op;
}

static void
free_samples(struct samples *s)
{
	free(s->ns);
	free(s->floor_ns);
	free(s->ratio);
	free(s->bytes);
}

/* Fill every thread's array; returns how many each has, 0 at the end. */
static size_t
prepare_round(struct bench_traffic *t, struct bench_crew *crew, uint64_t left)
{
	uint64_t n = left / t->threads + (left % t->threads > 0);
	size_t least = n < 16384 ? (size_t)n : 16384;

	for (unsigned i = 0; i < t->threads; i++) {
		struct bench_request *requests =
			bench_crew_requests(crew, i, least);
		size_t filled = t->fill(t, i, requests, least);

		least = filled < least ? filled : least;
	}
	return least;
}

/* Requests that fit a round: at least some 32 rounds, if there are enough. */
static uint64_t
round_size(uint64_t all)
{
	uint64_t n = all / 32;

	return n < 16 ? 16 : n;
}

static void
serve(struct bench_traffic *t, struct bench_crew *crew,
	struct bench_store *cache, struct bench_store *plain,
	struct totals *totals)
{
	uint64_t all = t->warm_up + t->requests;
	uint64_t served = 0;

	for (unsigned round = 0; served < all; round++) {
		bool warm = served >= t->warm_up;
		uint64_t left = (warm ? all : t->warm_up) - served;
		uint64_t most = round_size(warm ? t->requests : t->warm_up);
		bool each = warm && round % 4 == 3;
		size_t n = prepare_round(t, crew, left < most ? left : most);

		if (n == 0)
			return;
		struct bench_slice slice = bench_crew_run(crew, cache,
			t->threads, n, each ? totals->latency : NULL);
		served += n * t->threads;
		bench_progress((double)served / (double)all, "requests");
		if (!warm)
			continue;
		totals->requests += slice.gets;
		totals->hits += slice.hits;
		totals->refused += slice.refused;
		totals->bytes += slice.bytes;
		if (!each) {
			struct bench_slice floor_slice = bench_crew_run(
				crew, plain, t->threads, n, NULL);
			add_sample(&totals->samples, &slice, &floor_slice);
		}
	}
}

static void
add_row(struct bench_report *r, const struct bench_traffic *t, uint64_t pool,
	struct totals *totals)
{
	struct samples *s = &totals->samples;
	struct bench_histogram *all = &totals->latency[0];
	double ns = bench_median(s->ns, s->n);

	bench_histogram_merge(all, &totals->latency[1]);
	bench_row(r);
	bench_cell(r, (double)pool);
	bench_cell(r, t->threads);
	bench_cell(r, (double)totals->requests);
	bench_cell(r, (double)totals->hits);
	bench_cell(r, (double)(totals->requests - totals->hits) /
			      (double)totals->requests);
	bench_cell(r, (double)totals->bytes);
	bench_cell(r, (double)totals->refused);
	bench_cell(r, 1e9 / ns);
	bench_cell(r, bench_median(s->bytes, s->n) * 1e9 / ns);
	bench_cell(r, ns);
	bench_cell(r, bench_median(s->floor_ns, s->n));
	bench_cell(r, bench_median(s->ratio, s->n));
	bench_cell(r, (double)bench_histogram_quantile(all, 0.5));
	bench_cell(r, (double)bench_histogram_quantile(all, 0.99));
	bench_cell(r, (double)bench_histogram_quantile(all, 0.999));
	bench_cell(r, (double)all->max);
}

void
bench_traffic_run(struct bench_traffic *t, const struct bench_list *pools,
	struct bench_report *r)
{
	struct totals *totals = bench_realloc(NULL, sizeof(*totals));

	bench_table(r, "traffic", columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < pools->n; i++) {
		struct bench_store *cache =
			bench_cache_open(t->common, pools->at[i]);
		struct bench_store *plain =
			bench_floor_open(t->common, pools->at[i]);
		struct bench_crew *crew =
			bench_crew_new(t->threads, t->key_size);

		memset(totals, 0, sizeof(*totals));
		t->restart(t);
		serve(t, crew, cache, plain, totals);
		add_row(r, t, pools->at[i], totals);
		free_samples(&totals->samples);
		bench_crew_free(crew);
		bench_store_close(plain);
		bench_store_close(cache);
	}
	free(totals);
	bench_note(r, "misses: of all requests. ns/op: wall time, all threads "
		      "together. floor: copying\nthe same bytes the same way "
		      "in a plain mapping. p50 to max: latencies.");
}
