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

#include <stdlib.h>

#include "options.h"
#include "progress.h"

static const struct bench_column columns[] = {
	{"pool_bytes", "pool", BENCH_BYTES},
	{"policy", "policy", BENCH_TEXT},
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
	BENCH_TAIL_COLUMNS,
};

enum { NS, FLOOR_NS, RATIO, BYTES, FIGURES };

struct totals {
	uint64_t requests;
	uint64_t hits;
	uint64_t refused;
	uint64_t bytes;
	struct bench_histogram latency[2];
	/* Of each round: a figure each. */
	double *samples[FIGURES];
	size_t n_samples;
};

static void
add_sample(struct totals *totals, const struct bench_slice *cache,
	const struct bench_slice *plain)
{
	const double sample[FIGURES] = {
		[NS] = cache->ns_per_op,
		[FLOOR_NS] = plain->ns_per_op,
		[RATIO] = cache->ns_per_op / plain->ns_per_op,
		[BYTES] = cache->bytes_per_op,
	};

	if (!(cache->ns_per_op > 0) || !(plain->ns_per_op > 0))
		return;
	for (int i = 0; i < FIGURES; i++) {
		totals->samples[i] = bench_realloc(totals->samples[i],
			(totals->n_samples + 1) * sizeof(double));
		totals->samples[i][totals->n_samples] = sample[i];
	}
	totals->n_samples++;
}

/* Fill every thread's array; returns how many each has, 0 at the end. */
static size_t
prepare_round(
	const struct bench_traffic *t, struct bench_crew *crew, uint64_t left)
{
	uint64_t n = left / t->threads + (left % t->threads > 0);
	size_t least = n < 16384 ? (size_t)n : 16384;

	for (unsigned i = 0; i < t->threads; i++) {
		struct bench_request *requests =
			bench_crew_requests(crew, i, least);
		size_t filled = t->fill(i, requests, least);

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
serve(const struct bench_traffic *t, struct bench_crew *crew,
	struct bench_store *cache, struct bench_store *plain,
	struct totals *totals, double part, double parts)
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
		bench_progress((part + (double)served / (double)all) / parts,
			bench_policy_name(bench.policy));
		if (!warm)
			continue;
		totals->requests += slice.gets;
		totals->hits += slice.hits;
		totals->refused += slice.refused;
		totals->bytes += slice.bytes;
		if (!each) {
			struct bench_slice floor_slice = bench_crew_run(
				crew, plain, t->threads, n, NULL);
			add_sample(totals, &slice, &floor_slice);
		}
	}
}

static void
add_row(struct bench_table *table, const struct bench_traffic *t, uint64_t pool,
	struct totals *totals)
{
	struct bench_histogram *all = &totals->latency[0];
	double median[FIGURES];

	for (int i = 0; i < FIGURES; i++)
		median[i] = bench_median(totals->samples[i], totals->n_samples);
	bench_histogram_merge(all, &totals->latency[1]);
	BENCH_ROW(table, bench_policy_name(bench.policy), (double)pool,
		t->threads, (double)totals->requests, (double)totals->hits,
		(double)(totals->requests - totals->hits) /
			(double)totals->requests,
		(double)totals->bytes, (double)totals->refused,
		1e9 / median[NS], median[BYTES] * 1e9 / median[NS], median[NS],
		median[FLOOR_NS], median[RATIO], BENCH_TAIL(all));
}

void
bench_traffic_run(const struct bench_traffic *t, const struct bench_list *pools,
	struct bench_report *r)
{
	struct bench_table *table = BENCH_TABLE(r, "traffic", columns);
	size_t policies = bench.all_policies ? BENCH_POLICIES : 1;

	uint64_t extent = bench.extent;
	for (size_t i = 0; i < pools->n * policies; i++) {
		uint64_t pool = pools->at[i / policies];

		bench.extent = extent;
		if (t->small && pool < VMEMCACHE_MIN_POOL) {
			uint64_t blocks = pool / extent;

			bench.extent = VMEMCACHE_MIN_POOL / blocks + 1;
			pool = blocks * bench.extent;
		}
		if (bench.all_policies)
			bench.policy = bench_policies[i % policies];
		struct totals *totals = bench_zeroed(1, sizeof(*totals));
		struct bench_store *cache = bench_cache_open(pool);
		struct bench_store *plain = bench_floor_open(pool);
		struct bench_crew *crew =
			bench_crew_new(t->threads, t->key_size);

		t->restart();
		serve(t, crew, cache, plain, totals, (double)i,
			(double)(pools->n * policies));
		add_row(table, t, pools->at[i / policies], totals);
		for (int k = 0; k < FIGURES; k++)
			free(totals->samples[k]);
		free(totals);
		bench_crew_free(crew);
		bench_store_close(plain);
		bench_store_close(cache);
	}
	bench_note(r, "misses: of all requests. ns/op: wall time, all threads "
		      "together. floor: copying\nthe same bytes the same way "
		      "in a plain mapping. p50 to max: latencies.");
	if (t->small && pools->at[0] < VMEMCACHE_MIN_POOL)
		bench_note(r, "Pools below 1 MiB stand for as many blocks that "
			      "are larger.");
}
