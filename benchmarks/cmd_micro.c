/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_micro.c -- one kind of operation at a time, on a full pool
 *
 * For each size of values: fill a fresh cache until it is full, then measure
 *
 *	get    a key drawn uniformly from all that are there: always a hit
 *	many   the same by vmemcache_get_many(), in batches
 *	miss   a key that was never put; it copies nothing: without a floor
 *	put    a key never used before: always evicts
 *	mixed  gets of keys drawn uniformly from the newer half, and puts
 *
 * in this order, because puts throw out what the gets look for. What is there
 * is the last `full` values, as long as nothing but puts happened since the
 * filling (load.h). Mixed gets stay within the newest half, every key of which
 * has been used more recently than those that are evicted.
 *
 * A round takes, for each number of threads, a slice on the cache and the
 * same requests on the floor, and with many a slice of single gets. Times are
 * medians over the rounds; ratio and scaling are medians of the ratios within a
 * round, so that a slow second of the machine hits both sides of the fraction.
 * Percentiles come from slices of their own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "distance.h"
#include "load.h"
#include "plot.h"
#include "progress.h"
#include "random.h"
#include "room.h"

enum { LATENCY_SLICES = 3, GAIN = 6 };

struct micro {
	struct bench_common common;
	uint64_t pool;
	uint64_t key_size;
	uint64_t rounds;
	bool wanted[BENCH_OPERATIONS];
	struct bench_list sizes;
	struct bench_list threads;

	struct bench_load load; /* on the cache */
	struct bench_store *plain;
	uint64_t size; /* of values now */
	uint64_t full; /* values that are in the pool at once */
	double processors;
	double least_share; /* of all rows, of cpu_share */
	double done;        /* for the progress bar */
	double all;
};

/* What is measured with one number of threads. */
struct series {
	size_t slice; /* requests of a thread */
	double ns[BENCH_MAX_ROUNDS];
	double floor_ns[BENCH_MAX_ROUNDS];
	double ratio[BENCH_MAX_ROUNDS];
	double scaling[BENCH_MAX_ROUNDS];
	double floor_scaling[BENCH_MAX_ROUNDS];
	double gain[BENCH_MAX_ROUNDS];      /* of many over get */
	double cpu_share[BENCH_MAX_ROUNDS]; /* of the CPUs that could be had */
	double distance[BENCH_MAX_ROUNDS];  /* before the slice: it changes */
	double bytes;
	uint64_t gets;
	uint64_t hits;
	struct bench_histogram latency[2];
};

static struct bench_column columns[] = {
	{"value_bytes", "value", BENCH_BYTES},
	{"operation", "op", BENCH_TEXT},
	{"threads", "threads", BENCH_WHOLE},
	{"ns_per_op", "ns/op", BENCH_ONE_DIGIT},
	{"floor_ns", "floor", BENCH_ONE_DIGIT},
	{"ratio", "ratio", BENCH_TWO_DIGITS},
	[GAIN] = {"times_get", NULL, BENCH_TWO_DIGITS},
	{"scaling", "scaling", BENCH_TWO_DIGITS},
	{"floor_scaling", NULL, BENCH_TWO_DIGITS},
	{"ops_per_second", NULL, BENCH_WHOLE},
	{"bytes_per_second", NULL, BENCH_WHOLE},
	{"misses", NULL, BENCH_WHOLE},
	{"cpu_share", NULL, BENCH_TWO_DIGITS},
	{"distance_ns", "apart", BENCH_DURATION},
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
		bench_human_bytes(size, (double)m->size));
	bench_progress(m->done / m->all, what);
}

static void
fill(struct micro *m)
{
	uint64_t extent = m->common.extent;
	uint64_t each = (m->size + extent - 1) / extent * extent;

	show_progress(m, 0, "filling");
	m->load.store = bench_cache_open(&m->common, m->pool);
	m->load.sizes = bench_distribution_fixed(m->size);
	m->load.next_id = 0;
	bench_load_run(&m->load, BENCH_OP_PUT, 1, m->pool / each);
	m->full = bench_cache_statistic(m->load.store, VMEMCACHE_STAT_ENTRIES);
	if (m->full < 2)
		bench_refuse("micro: a pool of %llu bytes does not hold two "
			     "values of %llu",
			(unsigned long long)m->pool,
			(unsigned long long)m->size);
}

static void
measure_round(struct micro *m, enum bench_operation op, unsigned round,
	struct series *series)
{
	for (size_t i = 0; i < m->threads.n; i++) {
		struct series *s = &series[i];
		unsigned threads = (unsigned)m->threads.at[i];

		s->distance[round] = threads > 1 ? bench_distance() : NAN;
		bench_load_prepare(&m->load, op, threads, s->slice);
		struct bench_slice cache = bench_crew_run(
			m->load.crew, m->load.store, threads, s->slice, NULL);
		struct bench_slice plain = {.ns_per_op = NAN};
		if (op != BENCH_OP_MISS)
			plain = bench_crew_run(m->load.crew, m->plain, threads,
				s->slice, NULL);
		s->gain[round] = NAN;
		if (op == BENCH_OP_MANY) {
			bench_load_prepare(
				&m->load, BENCH_OP_GET, threads, s->slice);
			s->gain[round] =
				bench_crew_run(m->load.crew, m->load.store,
					threads, s->slice, NULL)
					.ns_per_op /
				cache.ns_per_op;
		}
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
		show_progress(m, 2, bench_operation_name[op]);
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
	bench_cell(r, (double)m->size);
	bench_cell_text(r, "%s", operation);
	bench_cell(r, (double)m->threads.at[i]);
	bench_cell(r, ns);
	bench_cell(r, bench_median(s->floor_ns, n));
	bench_cell(r, bench_median(s->ratio, n));
	bench_cell(r, bench_median(s->gain, n));
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
	bench_cell(r, bench_median(s->distance, n));
	bench_cell(r, (double)bench_histogram_quantile(latency, 0.5));
	bench_cell(r, (double)bench_histogram_quantile(latency, 0.99));
	bench_cell(r, (double)bench_histogram_quantile(latency, 0.999));
	bench_cell(r, (double)latency->max);
}

static void
measure(struct micro *m, enum bench_operation op, struct bench_report *r)
{
	struct series *series =
		bench_realloc(NULL, m->threads.n * sizeof(*series));

	memset(series, 0, m->threads.n * sizeof(*series));
	m->load.recent = op == BENCH_OP_MIXED ? m->full / 2 : m->full;
	if (op == BENCH_OP_MIXED)
		bench_load_run(&m->load, BENCH_OP_PUT, 1, m->full / 2 + 1);
	for (size_t i = 0; i < m->threads.n; i++) {
		series[i].slice = bench_load_calibrate(
			&m->load, op, (unsigned)m->threads.at[i]);
		show_progress(m, 1, bench_operation_name[op]);
	}
	for (unsigned round = 0; round < m->rounds; round++)
		measure_round(m, op, round, series);
	for (size_t i = 0; i < m->threads.n; i++) {
		struct series *s = &series[i];

		for (int k = 0; k < LATENCY_SLICES; k++) {
			bench_load_prepare(&m->load, op,
				(unsigned)m->threads.at[i], s->slice);
			bench_crew_run(m->load.crew, m->load.store,
				(unsigned)m->threads.at[i], s->slice,
				s->latency);
			show_progress(m, 1, bench_operation_name[op]);
		}
		if (op == BENCH_OP_MIXED) {
			add_row(r, m, "mixed get", i, s,
				&s->latency[BENCH_GET]);
			add_row(r, m, "mixed put", i, s,
				&s->latency[BENCH_PUT]);
		} else {
			add_row(r, m, bench_operation_name[op], i, s,
				&s->latency[op == BENCH_OP_PUT]);
		}
	}
	free(series);
}

static void
check(const struct micro *m)
{
	for (size_t i = 0; i < m->sizes.n; i++) {
		if (m->sizes.at[i] > UINT32_MAX)
			bench_refuse("micro: --values are below 4 GiB");
	}
	if (m->load.gets > 100)
		bench_refuse("micro: --gets is 0 to 100");
	if (m->key_size < 8 || m->key_size > 4096)
		bench_refuse("micro: --key-size is 8 to 4096");
}

static void
measure_all(struct micro *m, struct bench_report *r)
{
	uint64_t most = 1;
	unsigned n_wanted = 0;

	for (size_t i = 0; i < m->threads.n; i++)
		most = m->threads.at[i] > most ? m->threads.at[i] : most;
	for (int op = 0; op < BENCH_OPERATIONS; op++)
		n_wanted += m->wanted[op];
	m->all = (double)(m->sizes.n * n_wanted * m->threads.n *
			  (2 * m->rounds + 1 + LATENCY_SLICES));
	m->load.crew = bench_crew_new((unsigned)most, m->key_size);
	m->plain = bench_floor_open(&m->common, m->pool);
	for (size_t i = 0; i < m->sizes.n; i++) {
		m->size = m->sizes.at[i];
		fill(m);
		if (i == 0)
			bench_setting_bytes(r, "page_size",
				bench_cache_statistic(m->load.store,
					VMEMCACHE_STAT_PAGE_SIZE));
		for (enum bench_operation op = 0; op < BENCH_OPERATIONS; op++) {
			if (m->wanted[op])
				measure(m, op, r);
		}
		bench_store_close(m->load.store);
	}
	bench_store_close(m->plain);
	bench_crew_free(m->load.crew);
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct micro m = {
		.common = BENCH_COMMON_DEFAULTS,
		.key_size = 8,
		.rounds = 7,
		.load.gets = 90,
		.wanted = {[BENCH_OP_GET] = true, [BENCH_OP_PUT] = true},
		.sizes = {4, {256, 1024, 4096, 16384}},
		.threads = {2, {1, 2}},
	};
	const struct bench_option options[] = {
		{"pool", 's', "SIZE",
			"(default 1.5G, less where memory is "
			"short)",
			bench_parse_size, &m.pool},
		{"ops", 'o', "OP,...",
			"of get, many, miss, put, mixed (default get,put)",
			bench_parse_operations, &m.wanted},
		{"values", 'v', "SIZE,...", "(default 256,1K,4K,16K)",
			bench_parse_sizes, &m.sizes},
		{"threads", 't', "N,...",
			"scaling is relative to the first "
			"(default 1,2)",
			bench_parse_threads, &m.threads},
		{"gets", 'g', "PERCENT", "gets among the mixed (default 90)",
			bench_parse_count, &m.load.gets},
		{"rounds", 'r', "N", "at least 5 (default 7)",
			bench_parse_count, &m.rounds},
		{"key-size", 0, "SIZE", "bytes of a key (default 8)",
			bench_parse_size, &m.key_size},
	};

	bench_options(command, options, sizeof(options) / sizeof(*options),
		&m.common, argc, argv);
	check(&m);
	bench_check_rounds(command, m.rounds);
	bench_refuse_no_eviction(command, &m.common);
	bench_plot_check(m.common.plot);
	m.pool = bench_fit_pool(&m.common, m.pool, (size_t)3 << 29, 2);
	m.load.random = bench_mix(m.common.seed);
	m.processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
	m.least_share = 1;

	struct bench_report *r = bench_report_new(command->name);
	bench_setting_bytes(r, "pool", m.pool);
	bench_common_settings(r, &m.common);
	bench_setting_bytes(r, "key_size", m.key_size);
	bench_setting_number(r, "rounds", m.rounds);
	if (m.wanted[BENCH_OP_MIXED])
		bench_setting_number(r, "gets_percent", m.load.gets);
	if (m.wanted[BENCH_OP_MANY]) {
		bench_setting_number(r, "batch", BENCH_BATCH);
		columns[GAIN].heading = "x get";
	}
	bench_table(r, "speed", columns, sizeof(columns) / sizeof(*columns));
	measure_all(&m, r);
	bench_note(r, "get: of a random key of a full pool. put: of a new key "
		      "into a full pool, so\nthat it evicts. ns/op: wall "
		      "time, all threads together. floor: the same copies\n"
		      "in a plain mapping of the same size; ratio: times the "
		      "floor, the figure that\ncan be compared between "
		      "machines. apart: the time a word takes from one\n"
		      "processor to another. p50 to max: latencies.");
	if (m.wanted[BENCH_OP_MANY])
		bench_note(r, "many: gets by calls of 16; its floor copies to "
			      "16 buffers in turn. x get: how many\ntimes as "
			      "fast as single gets in the same rounds. Its "
			      "latencies are of calls.");
	bench_note_busy(r, m.least_share);
	bench_finish(r, &m.common, bench_plot_micro);
	return 0;
}

const struct bench_command bench_micro = {
	.name = "micro",
	.summary = "time gets and puts on a full pool, beside the floor",
	.help = "Fills a pool and times one operation at a time, for each "
		"size of values and\neach number of threads:\n"
		"  get    of a key drawn at random: always a hit\n"
		"  many   the same, 16 by a call\n"
		"  miss   a get of a key that was never put\n"
		"  put    of a new key: evicts, as the pool is full\n"
		"  mixed  both, gets of keys used recently\n"
		"Beside each time stands the floor, the same random copies in "
		"a plain mapping\nof the same size, measured in the same "
		"seconds, and the ratio of the two.",
	.run = run,
};
