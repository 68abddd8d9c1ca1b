/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_micro.c -- one kind of operation at a time, on a full pool
 *
 * For each size of values: fill a fresh cache until it is full, then measure
 *
 *	get    a key drawn uniformly from all that are there: always a hit
 *	put    a key never used before: always evicts
 *	mixed  gets of keys drawn uniformly from the newer half, and puts
 *
 * in this order, because puts throw out what the gets look for. Keys are
 * numbered by one counter in the order of their puts, so the ones alive are
 * known without asking: the last `full`, as long as nothing but puts
 * happened since the filling. Mixed gets stay within the newest half, every
 * key of which has been used more recently than those that are evicted.
 *
 * A round takes, for each number of threads, a slice on the cache and the
 * same requests on the floor. Times are medians over the rounds; ratio and
 * scaling are medians of the ratios within a round, so that a slow second of
 * the machine hits both sides of the fraction. Percentiles come from slices
 * of their own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "crew.h"
#include "plot.h"
#include "progress.h"
#include "random.h"
#include "room.h"

enum {
	MAX_ROUNDS = 99,
	SLICE_NS = 80000000,
	MAX_SLICE = 1 << 20, /* requests of a thread */
	LATENCY_SLICES = 3
};

static const char *const operations[] = {"get", "put", "mixed"};
enum operation { GET, PUT, MIXED, N_OPERATIONS };

struct micro {
	struct bench_common common;
	uint64_t pool;
	uint64_t key_size;
	uint64_t rounds;
	uint64_t gets; /* of 100 mixed ones */
	bool wanted[N_OPERATIONS];
	struct bench_list sizes;
	struct bench_list threads;

	struct bench_crew *crew;
	struct bench_store *plain;
	struct bench_store *cache;
	uint32_t size;    /* of values now */
	uint64_t full;    /* values that are in the pool at once */
	uint64_t next_id; /* of the next put */
	uint64_t random;
	double processors;
	double least_share; /* of all rows, of cpu_share */
	double done;        /* for the progress bar */
	double all;
};

/* What is measured with one number of threads. */
struct series {
	size_t slice; /* requests of a thread */
	double ns[MAX_ROUNDS];
	double floor_ns[MAX_ROUNDS];
	double ratio[MAX_ROUNDS];
	double scaling[MAX_ROUNDS];
	double floor_scaling[MAX_ROUNDS];
	double cpu_share[MAX_ROUNDS]; /* of the CPUs that could be had */
	double bytes;
	uint64_t gets;
	uint64_t hits;
	struct bench_histogram latency[2];
};

static const struct bench_column columns[] = {
	{"value_bytes", "value", BENCH_BYTES},
	{"operation", "op", BENCH_TEXT},
	{"threads", "threads", BENCH_WHOLE},
	{"ns_per_op", "ns/op", BENCH_ONE_DIGIT},
	{"floor_ns", "floor", BENCH_ONE_DIGIT},
	{"ratio", "ratio", BENCH_TWO_DIGITS},
	{"scaling", "scaling", BENCH_TWO_DIGITS},
	{"floor_scaling", NULL, BENCH_TWO_DIGITS},
	{"ops_per_second", NULL, BENCH_WHOLE},
	{"bytes_per_second", NULL, BENCH_WHOLE},
	{"misses", NULL, BENCH_WHOLE},
	{"cpu_share", NULL, BENCH_TWO_DIGITS},
	{"p50_ns", "p50", BENCH_DURATION},
	{"p99_ns", "p99", BENCH_DURATION},
	{"p99_9_ns", "p99.9", BENCH_DURATION},
	{"max_ns", "max", BENCH_DURATION},
};

static void
show_progress(struct micro *m, double slices, const char *operation)
{
	char what[64];
	char size[24];

	m->done += slices;
	snprintf(what, sizeof(what), "%s, values of %s", operation,
		bench_human_bytes(size, m->size));
	bench_progress(m->done / m->all, what);
}

static void
prepare(struct micro *m, enum operation op, unsigned threads, size_t n)
{
	struct bench_request *requests[64];
	uint64_t now = m->next_id;

	for (unsigned t = 0; t < threads; t++)
		requests[t] = bench_crew_requests(m->crew, t, n);
	/* Across the threads, so that what is evicted is never new. */
	for (size_t i = 0; i < n; i++) {
		for (unsigned t = 0; t < threads; t++) {
			struct bench_request *r = &requests[t][i];
			bool get =
				op == GET ||
				(op == MIXED && bench_random_below(&m->random,
							100) < m->gets);
			uint64_t recent = op == GET ? m->full : m->full / 2;

			r->size = m->size;
			r->kind = get ? BENCH_GET : BENCH_PUT;
			r->id = get ? now - 1 -
						bench_random_below(
							&m->random, recent)
				    : m->next_id++;
		}
	}
}

/* Untimed puts of n new values, by one thread. */
static void
put_new(struct micro *m, uint64_t n)
{
	while (n > 0) {
		size_t some = n < 16384 ? (size_t)n : 16384;

		prepare(m, PUT, 1, some);
		bench_crew_run(m->crew, m->cache, 1, some, NULL);
		n -= some;
		show_progress(m, 0, "filling");
	}
}

static void
fill(struct micro *m)
{
	uint64_t extent = m->common.extent;
	uint64_t each = (m->size + extent - 1) / extent * extent;

	m->cache = bench_cache_open(&m->common, m->pool);
	m->next_id = 0;
	put_new(m, m->pool / each);
	m->full = bench_cache_statistic(m->cache, VMEMCACHE_STAT_ENTRIES);
	if (m->full < 2)
		bench_refuse("micro: a pool of %llu bytes does not hold two "
			     "values of %u",
			(unsigned long long)m->pool, m->size);
}

/* Slices of growing length until one takes its time; warms up, too. */
static void
calibrate(
	struct micro *m, enum operation op, unsigned threads, struct series *s)
{
	size_t n = 256;

	for (;;) {
		prepare(m, op, threads, n);
		uint64_t start = bench_now();
		bench_crew_run(m->crew, m->cache, threads, n, NULL);
		uint64_t took = bench_now() - start;
		if (took >= SLICE_NS / 2 || n >= MAX_SLICE) {
			double fitting = (double)n * SLICE_NS / (double)took;
			s->slice = fitting < MAX_SLICE ? (size_t)fitting
						       : MAX_SLICE;
			return;
		}
		n *= 2;
	}
}

static void
measure_round(struct micro *m, enum operation op, unsigned round,
	struct series *series)
{
	for (size_t i = 0; i < m->threads.n; i++) {
		struct series *s = &series[i];
		unsigned threads = (unsigned)m->threads.at[i];

		prepare(m, op, threads, s->slice);
		struct bench_slice cache = bench_crew_run(
			m->crew, m->cache, threads, s->slice, NULL);
		struct bench_slice plain = bench_crew_run(
			m->crew, m->plain, threads, s->slice, NULL);
		s->ns[round] = cache.ns_per_op;
		s->floor_ns[round] = plain.ns_per_op;
		s->ratio[round] = cache.ns_per_op / plain.ns_per_op;
		s->scaling[round] = series[0].ns[round] / cache.ns_per_op;
		s->floor_scaling[round] =
			series[0].floor_ns[round] / plain.ns_per_op;
		s->cpu_share[round] =
			cache.cpu_share * fmax(1, threads / m->processors);
		s->bytes = cache.bytes_per_op;
		s->gets += cache.gets;
		s->hits += cache.hits;
		show_progress(m, 2, operations[op]);
	}
}

static void
add_row(struct bench_report *r, struct micro *m, const char *operation,
	size_t i, struct series *s, const struct bench_histogram *latency)
{
	size_t n = m->rounds;
	double ns = bench_median(s->ns, n);
	double cpu_share = bench_median(s->cpu_share, n);

	m->least_share = fmin(m->least_share, cpu_share);
	bench_row(r);
	bench_cell(r, m->size);
	bench_cell_text(r, "%s", operation);
	bench_cell(r, (double)m->threads.at[i]);
	bench_cell(r, ns);
	bench_cell(r, bench_median(s->floor_ns, n));
	bench_cell(r, bench_median(s->ratio, n));
	if (i == 0) {
		bench_cell_empty(r);
		bench_cell_empty(r);
	} else {
		bench_cell(r, bench_median(s->scaling, n));
		bench_cell(r, bench_median(s->floor_scaling, n));
	}
	bench_cell(r, 1e9 / ns);
	bench_cell(r, s->bytes * 1e9 / ns);
	bench_cell(r, (double)(s->gets - s->hits));
	bench_cell(r, cpu_share);
	bench_cell(r, (double)bench_histogram_quantile(latency, 0.5));
	bench_cell(r, (double)bench_histogram_quantile(latency, 0.99));
	bench_cell(r, (double)bench_histogram_quantile(latency, 0.999));
	bench_cell(r, (double)latency->max);
}

static void
measure(struct micro *m, enum operation op, struct bench_report *r)
{
	struct series *series =
		bench_realloc(NULL, m->threads.n * sizeof(*series));

	memset(series, 0, m->threads.n * sizeof(*series));
	if (op == MIXED)
		put_new(m, m->full / 2 + 1);
	for (size_t i = 0; i < m->threads.n; i++) {
		calibrate(m, op, (unsigned)m->threads.at[i], &series[i]);
		show_progress(m, 1, operations[op]);
	}
	for (unsigned round = 0; round < m->rounds; round++)
		measure_round(m, op, round, series);
	for (size_t i = 0; i < m->threads.n; i++) {
		struct series *s = &series[i];

		for (int k = 0; k < LATENCY_SLICES; k++) {
			prepare(m, op, (unsigned)m->threads.at[i], s->slice);
			bench_crew_run(m->crew, m->cache,
				(unsigned)m->threads.at[i], s->slice,
				s->latency);
			show_progress(m, 1, operations[op]);
		}
		if (op != PUT)
			add_row(r, m, op == GET ? "get" : "mixed get", i, s,
				&s->latency[BENCH_GET]);
		if (op != GET)
			add_row(r, m, op == PUT ? "put" : "mixed put", i, s,
				&s->latency[BENCH_PUT]);
	}
	free(series);
}

static const char *
parse_operations(const char *text, void *into)
{
	bool *wanted = into;

	memset(wanted, 0, N_OPERATIONS * sizeof(*wanted));
	for (const char *end; text != NULL; text = *end ? end + 1 : NULL) {
		size_t op = 0;

		end = strchrnul(text, ',');
		while (op < N_OPERATIONS &&
			(strlen(operations[op]) != (size_t)(end - text) ||
				memcmp(operations[op], text,
					(size_t)(end - text)) != 0))
			op++;
		if (op == N_OPERATIONS)
			return "operations are get, put and mixed";
		wanted[op] = true;
	}
	return NULL;
}

static void
check(const struct micro *m)
{
	for (size_t i = 0; i < m->sizes.n; i++) {
		if (m->sizes.at[i] > UINT32_MAX)
			bench_refuse("micro: --values are below 4 GiB");
	}
	if (m->rounds < 5 || m->rounds > MAX_ROUNDS)
		bench_refuse("micro: --rounds is 5 to %d", MAX_ROUNDS);
	if (m->gets > 100)
		bench_refuse("micro: --gets is 0 to 100");
	if (m->key_size < 8 || m->key_size > 4096)
		bench_refuse("micro: --key-size is 8 to 4096");
	if (m->common.policy == VMEMCACHE_REPLACEMENT_NONE)
		bench_refuse("micro: --policy none evicts nothing, so there "
			     "is no put on a full pool");
}

static void
measure_all(struct micro *m, struct bench_report *r)
{
	uint64_t most = 1;
	unsigned n_wanted = 0;

	for (size_t i = 0; i < m->threads.n; i++)
		most = m->threads.at[i] > most ? m->threads.at[i] : most;
	for (int op = 0; op < N_OPERATIONS; op++)
		n_wanted += m->wanted[op];
	m->all = (double)(m->sizes.n * n_wanted * m->threads.n *
			  (2 * m->rounds + 1 + LATENCY_SLICES));
	m->crew = bench_crew_new((unsigned)most, m->key_size);
	m->plain = bench_floor_open(&m->common, m->pool);
	for (size_t i = 0; i < m->sizes.n; i++) {
		m->size = (uint32_t)m->sizes.at[i];
		fill(m);
		if (i == 0)
			bench_setting_bytes(r, "page_size",
				bench_cache_statistic(
					m->cache, VMEMCACHE_STAT_PAGE_SIZE));
		for (enum operation op = 0; op < N_OPERATIONS; op++) {
			if (m->wanted[op])
				measure(m, op, r);
		}
		bench_store_close(m->cache);
	}
	bench_store_close(m->plain);
	bench_crew_free(m->crew);
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct micro m = {
		.common = BENCH_COMMON_DEFAULTS,
		.key_size = 8,
		.rounds = 7,
		.gets = 90,
		.wanted = {[GET] = true, [PUT] = true},
		.sizes = {4, {256, 1024, 4096, 16384}},
		.threads = {2, {1, 2}},
	};
	const struct bench_option options[] = {
		{"pool", 's', "SIZE",
			"(default 1.5G, less where memory is "
			"short)",
			bench_parse_size, &m.pool},
		{"ops", 'o', "OP,...", "of get, put, mixed (default get,put)",
			parse_operations, &m.wanted},
		{"values", 'v', "SIZE,...", "(default 256,1K,4K,16K)",
			bench_parse_sizes, &m.sizes},
		{"threads", 't', "N,...",
			"scaling is relative to the first "
			"(default 1,2)",
			bench_parse_threads, &m.threads},
		{"gets", 'g', "PERCENT", "gets among the mixed (default 90)",
			bench_parse_count, &m.gets},
		{"rounds", 'r', "N", "at least 5 (default 7)",
			bench_parse_count, &m.rounds},
		{"key-size", 0, "SIZE", "bytes of a key (default 8)",
			bench_parse_size, &m.key_size},
	};

	bench_options(command, options, sizeof(options) / sizeof(*options),
		&m.common, argc, argv);
	check(&m);
	bench_plot_check(m.common.plot);
	m.pool = bench_fit_pool(&m.common, m.pool, (size_t)3 << 29, 2);
	m.random = bench_mix(m.common.seed);
	m.processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
	m.least_share = 1;

	struct bench_report *r = bench_report_new(command->name);
	bench_setting_bytes(r, "pool", m.pool);
	bench_common_settings(r, &m.common);
	bench_setting_bytes(r, "key_size", m.key_size);
	bench_setting_number(r, "rounds", m.rounds);
	if (m.wanted[MIXED])
		bench_setting_number(r, "gets_percent", m.gets);
	bench_table(r, "speed", columns, sizeof(columns) / sizeof(*columns));
	measure_all(&m, r);
	bench_note(r, "get: of a random key of a full pool. put: of a new key "
		      "into a full pool, so\nthat it evicts. ns/op: wall "
		      "time, all threads together. floor: the same copies\n"
		      "in a plain mapping of the same size; ratio: times the "
		      "floor, the figure that\ncan be compared between "
		      "machines. p50 to max: latencies.");
	if (m.least_share < 0.9)
		bench_note(r, "This machine was busy with something else: the "
			      "threads had to wait for a\nprocessor, so times "
			      "are too long and ratios rough.");
	bench_finish(r, &m.common, bench_plot_micro);
	return 0;
}

const struct bench_command bench_micro = {
	.name = "micro",
	.summary = "time gets and puts on a full pool, beside the floor",
	.help = "Fills a pool and times one operation at a time, for each "
		"size of values and\neach number of threads:\n"
		"  get    of a key drawn at random: always a hit\n"
		"  put    of a new key: evicts, as the pool is full\n"
		"  mixed  both, gets of keys used recently\n"
		"Beside each time stands the floor, the same random copies in "
		"a plain mapping\nof the same size, measured in the same "
		"seconds, and the ratio of the two.",
	.run = run,
};
