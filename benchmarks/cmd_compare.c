/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_compare.c -- the cache, the floor and what might be taken instead, all
 * in one run
 *
 * For each size of values every store is opened with the same budget and gets
 * a quarter more new values than fit it: with shards or slabs, parts are full
 * long before the whole is. Then each key put is looked for once, in an order
 * that is neither that of the puts nor of the keys, and the ones that are
 * there are what gets will ask for: always a hit, on a full store, whatever
 * its policy. (Looking is cut off after some seconds, which a server's answers
 * take for millions of keys; then gets ask for the found part only.) Mixed
 * gets are of a key drawn from the newer half, whether it is there or not, as
 * puts change what is; the share of hits is told. Gets are of all keys alike,
 * of few (hot), or of a million of which some are drawn far more often (zipf).
 *
 * All stores are open at once, and slices go round robin: in each round, for
 * each number of threads, a slice of every store, each round beginning with
 * another one. Times are medians over the rounds, ratios medians of the ratios
 * within a round.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "load.h"
#include "peers.h"
#include "plot.h"
#include "progress.h"
#include "room.h"

enum { LATENCY_SLICES = 3, KEY_SIZE = 16 };
#define LOOKING_NS UINT64_C(6000000000)

static struct bench_store *
open_cache(const struct bench_budget *b)
{
	return bench_cache_open(b->common, b->bytes);
}

static struct bench_store *
open_floor(const struct bench_budget *b)
{
	return bench_floor_open(b->common, b->bytes);
}

#ifndef BENCH_ROCKSDB
#define bench_hyper_clock_open NULL
#define bench_lru_cache_open NULL
#endif

enum { CACHE, FLOOR, MEMCACHED = 5, STORES };
static const struct {
	const char *name;    /* for machines */
	const char *heading; /* for people */
	struct bench_store *(*open)(const struct bench_budget *);
} stores[STORES] = {
	[CACHE] = {"cache", "cache", open_cache},
	[FLOOR] = {"floor", "floor", open_floor},
	{"hyper_clock", "HyperClock", bench_hyper_clock_open},
	{"lru_cache", "LRUCache", bench_lru_cache_open},
	{"handmade", "by hand", bench_handmade_open},
	[MEMCACHED] = {"memcached", "memcached", bench_memcached_open},
};

/* What is measured of one store with one number of threads. */
struct series {
	size_t slice;
	double ns[BENCH_MAX_ROUNDS];
	double ratio[BENCH_MAX_ROUNDS]; /* to the cache */
	double cpu_share[BENCH_MAX_ROUNDS];
	uint64_t gets;
	uint64_t hits;
	struct bench_histogram latency[2];
};

/* What was measured of all stores, in one state; NaN: nothing. */
struct outcome {
	double size;
	enum bench_operation op;
	double threads;
	double ns[STORES];
	double ratio[STORES];
	double tail[2][STORES]; /* p99.9 of gets, of puts */
	double hits[STORES];    /* %, of the gets */
	double held[STORES];
};

struct compare {
	struct bench_common common;
	uint64_t pool;
	uint64_t rounds;
	uint64_t gets; /* of 100 mixed ones */
	bool wanted[BENCH_OPERATIONS];
	struct bench_list sizes;
	struct bench_list threads;

	struct bench_crew *crew;
	unsigned most; /* threads */
	bool there[STORES];
	struct bench_load load[STORES];
	double held[STORES]; /* values, once the store is full */
	uint64_t size;       /* of values now */
	double done;         /* for the progress bar */
	double all;
	double least_share; /* of the CPUs, that the cache had */
	struct outcome *outcomes;
	size_t n_outcomes;
};

/* --- a size of values --- */

static uint64_t
common_divisor(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Which of the n keys put are there. */
static void
look_for_all(struct compare *c, int store, uint64_t n)
{
	struct bench_load *l = &c->load[store];
	char *buffer = bench_realloc(NULL, c->size);
	char bytes[KEY_SIZE];
	uint64_t start = bench_now();
	uint64_t step = (uint64_t)((double)n * 0.618) | 1;
	uint64_t looked = 0;

	while (common_divisor(n, step) != 1)
		step += 2;
	memset(bytes, 'k', sizeof(bytes));
	l->known = bench_realloc(NULL, n * sizeof(*l->known));
	l->n_known = 0;
	for (uint64_t id = 0; looked < n; looked++, id = (id + step) % n) {
		struct bench_key key = {id, bytes, sizeof(bytes)};

		memcpy(bytes, &id, sizeof(id));
		if (l->store->type->get(l->store, &key, buffer, c->size) ==
			BENCH_DONE)
			l->known[l->n_known++] = id;
		if (looked % 1024 == 0 && bench_now() - start > LOOKING_NS)
			break;
	}
	free(buffer);
	if (l->n_known < 4)
		bench_refuse("compare: %s holds less than four values of %llu "
			     "bytes in the budget",
			stores[store].heading, (unsigned long long)c->size);
	c->held[store] = (double)l->n_known * (double)n / (double)looked;
}

static void
open_all(struct compare *c)
{
	struct bench_budget budget = {.common = &c->common,
		.bytes = c->pool,
		.value = c->size,
		.threads = c->most};
	uint64_t fit = c->pool / c->size;

	for (int s = 0; s < STORES; s++) {
		struct bench_load *l = &c->load[s];

		if (!c->there[s])
			continue;
		bench_progress(c->done / c->all, stores[s].heading);
		*l = (struct bench_load){.crew = c->crew,
			.store = stores[s].open(&budget),
			.sizes = bench_distribution_fixed(c->size),
			.random = c->common.seed,
			.gets = c->gets};
		bench_load_run(
			l, BENCH_OP_PUT, c->most, (fit + fit / 4) / c->most);
		if (s == FLOOR) {
			c->held[s] = (double)fit;
			l->recent = fit;
		} else {
			look_for_all(c, s, l->next_id);
		}
	}
}

static void
close_all(struct compare *c)
{
	for (int s = 0; s < STORES; s++) {
		if (c->there[s]) {
			bench_store_close(c->load[s].store);
			free(c->load[s].known);
		}
	}
}

/* --- an operation --- */

static void
measure_round(struct compare *c, enum bench_operation op, unsigned round,
	struct series (*series)[STORES])
{
	for (size_t t = 0; t < c->threads.n; t++) {
		for (unsigned k = 0; k < STORES; k++) {
			unsigned s = (round + k) % STORES;
			unsigned threads = (unsigned)c->threads.at[t];
			struct series *x = &series[t][s];

			if (x->slice == 0)
				continue;
			bench_load_prepare(&c->load[s], op, threads, x->slice);
			struct bench_slice slice = bench_crew_run(c->crew,
				c->load[s].store, threads, x->slice, NULL);
			x->ns[round] = slice.ns_per_op;
			x->cpu_share[round] = slice.cpu_share;
			x->gets += slice.gets;
			x->hits += slice.hits;
			bench_progress(++c->done / c->all, stores[s].heading);
		}
		for (unsigned s = 0; s < STORES; s++)
			series[t][s].ratio[round] = series[t][s].ns[round] /
						    series[t][CACHE].ns[round];
	}
}

/* From here on gets are of what was put lately. */
static void
turn_to_recent(struct compare *c)
{
	for (int s = 0; s < STORES; s++) {
		struct bench_load *l = &c->load[s];

		if (!c->there[s])
			continue;
		free(l->known);
		l->known = NULL;
		l->recent = (uint64_t)c->held[s] / 2;
		bench_load_run(
			l, BENCH_OP_PUT, c->most, l->recent / c->most + 1);
	}
}

static void
calibrate_all(struct compare *c, enum bench_operation op,
	struct series (*series)[STORES])
{
	for (size_t t = 0; t < c->threads.n; t++) {
		for (int s = 0; s < STORES; s++) {
			/* a miss copies nothing, so it has no floor */
			if (!c->there[s] || (s == FLOOR && op == BENCH_OP_MISS))
				continue;
			series[t][s].slice = bench_load_calibrate(
				&c->load[s], op, (unsigned)c->threads.at[t]);
			bench_progress(++c->done / c->all, stores[s].heading);
		}
	}
}

static void
measure_latencies(struct compare *c, enum bench_operation op,
	struct series (*series)[STORES])
{
	for (size_t t = 0; t < c->threads.n; t++) {
		unsigned threads = (unsigned)c->threads.at[t];

		for (int i = 0; i < LATENCY_SLICES * STORES; i++) {
			int s = i % STORES;
			struct series *x = &series[t][s];

			if (x->slice == 0)
				continue;
			bench_load_prepare(&c->load[s], op, threads, x->slice);
			bench_crew_run(c->crew, c->load[s].store, threads,
				x->slice, x->latency);
			bench_progress(++c->done / c->all, stores[s].heading);
		}
	}
}

static double
tail_of(const struct bench_histogram *h)
{
	return h->count ? (double)bench_histogram_quantile(h, 0.999) : NAN;
}

static void
measure(struct compare *c, enum bench_operation op)
{
	struct series(*series)[STORES] =
		bench_realloc(NULL, c->threads.n * sizeof(*series));

	memset(series, 0, c->threads.n * sizeof(*series));
	calibrate_all(c, op, series);
	for (unsigned round = 0; round < c->rounds; round++)
		measure_round(c, op, round, series);
	measure_latencies(c, op, series);
	for (size_t t = 0; t < c->threads.n; t++) {
		struct outcome *o = &c->outcomes[c->n_outcomes++];

		c->least_share = fmin(c->least_share,
			bench_median(series[t][CACHE].cpu_share, c->rounds) *
				fmax(1, (double)c->threads.at[t] /
						(double)sysconf(
							_SC_NPROCESSORS_ONLN)));
		o->size = (double)c->size;
		o->op = op;
		o->threads = (double)c->threads.at[t];
		for (int s = 0; s < STORES; s++) {
			struct series *x = &series[t][s];
			size_t n = x->slice ? c->rounds : 0;

			o->ns[s] = bench_median(x->ns, n);
			o->ratio[s] = bench_median(x->ratio, n);
			o->tail[0][s] = tail_of(&x->latency[BENCH_GET]);
			o->tail[1][s] = tail_of(&x->latency[BENCH_PUT]);
			o->hits[s] = x->gets ? 100 * (double)x->hits /
						       (double)x->gets
					     : NAN;
			o->held[s] = c->there[s] ? c->held[s] : NAN;
		}
	}
	free(series);
}

static void
measure_all(struct compare *c)
{
	c->crew = bench_crew_new(c->most, KEY_SIZE);
	for (size_t i = 0; i < c->sizes.n; i++) {
		c->size = c->sizes.at[i];
		open_all(c);
		for (enum bench_operation op = 0; op < BENCH_OPERATIONS; op++) {
			if (!c->wanted[op])
				continue;
			if (op == BENCH_OP_MIXED)
				turn_to_recent(c);
			measure(c, op);
		}
		close_all(c);
	}
	bench_crew_free(c->crew);
}

/* --- what is printed --- */

/* What a row is of, then a column a store, of which people see those there. */
static void
start_table(struct bench_report *r, const struct compare *c, const char *name,
	struct bench_column columns[3 + STORES], enum bench_form form)
{
	columns[0] = (struct bench_column){"value_bytes", "value", BENCH_BYTES};
	columns[1] = (struct bench_column){"operation", name, BENCH_TEXT};
	columns[2] = (struct bench_column){"threads", "threads", BENCH_WHOLE};
	for (int s = 0; s < STORES; s++) {
		columns[3 + s] = (struct bench_column){.name = stores[s].name,
			.heading = c->there[s] ? stores[s].heading : NULL};
		columns[3 + s].form = form;
	}
	bench_table(r, name, columns, 3 + STORES);
}

static void
add_row(struct bench_report *r, const struct outcome *o, const char *what,
	const double figures[STORES])
{
	bench_row(r);
	bench_cell(r, o->size);
	bench_cell_text(r, "%s", what);
	bench_cell(r, o->threads);
	for (int s = 0; s < STORES; s++)
		bench_cell(r, figures[s]);
}

static void
report_tails(struct bench_report *r, const struct outcome *o)
{
	if (o->op != BENCH_OP_MIXED) {
		add_row(r, o, bench_operation_name[o->op],
			o->tail[o->op == BENCH_OP_PUT]);
		return;
	}
	add_row(r, o, "mixed get", o->tail[0]);
	add_row(r, o, "mixed put", o->tail[1]);
}

static void
report_all(struct bench_report *r, const struct compare *c)
{
	static struct bench_column columns[4][3 + STORES];
	size_t n = c->n_outcomes;
	const struct outcome *o = c->outcomes;

	start_table(r, c, "speed", columns[0], BENCH_WHOLE);
	for (size_t i = 0; i < n; i++)
		add_row(r, &o[i], bench_operation_name[o[i].op], o[i].ns);
	start_table(r, c, "relative", columns[1], BENCH_TWO_DIGITS);
	for (size_t i = 0; i < n; i++)
		add_row(r, &o[i], bench_operation_name[o[i].op], o[i].ratio);
	start_table(r, c, "tails", columns[2], BENCH_DURATION);
	for (size_t i = 0; i < n; i++)
		report_tails(r, &o[i]);
	start_table(r, c, "content", columns[3], BENCH_WHOLE);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || o[i].size != o[i - 1].size)
			add_row(r, &o[i], "values", o[i].held);
		if (o[i].op == BENCH_OP_GET || o[i].op == BENCH_OP_MIXED)
			add_row(r, &o[i],
				o[i].op == BENCH_OP_GET ? "get hits %"
							: "mixed hits %",
				o[i].hits);
	}
	bench_note(r, "speed: wall time in ns by operations of all threads "
		      "together. relative: to the\ncache in the same round; "
		      "above 1 the cache is faster. tails: p99.9. content: "
		      "what\nthe same budget of value bytes holds, and how "
		      "many gets hit.");
	bench_note_busy(r, c->least_share);
}

/* --- the command --- */

static void
look_for_peers(struct compare *c)
{
	for (int s = 0; s < STORES; s++)
		c->there[s] = stores[s].open != NULL;
	if (stores[FLOOR + 1].open == NULL)
		fputs("vmemcache-bench: built without librocksdb-dev (7.7 to "
		      "7.10), so its caches are left out\n",
			stderr);
	c->there[MEMCACHED] = bench_memcached_installed();
	if (!c->there[MEMCACHED])
		fputs("vmemcache-bench: memcached is not installed, so it is "
		      "left out\n",
			stderr);
}

static void
check(const struct compare *c)
{
	if (c->gets > 100)
		bench_refuse("compare: --gets is 0 to 100");
	if (c->wanted[BENCH_OP_MANY])
		bench_refuse("compare: only micro has many, as not all peers "
			     "do");
	for (size_t i = 0; i < c->sizes.n; i++) {
		if (c->sizes.at[i] > 512 << 10)
			bench_refuse("compare: --values are at most 512K, for "
				     "memcached's sake");
	}
}

/* Threads, slices to come, and room for what they will tell. */
static void
count_ahead(struct compare *c)
{
	size_t states = 0;

	for (int op = 0; op < BENCH_OPERATIONS; op++)
		states += c->wanted[op];
	states *= c->sizes.n * c->threads.n;
	for (size_t i = 0; i < c->threads.n; i++)
		c->most = c->threads.at[i] > c->most
				  ? (unsigned)c->threads.at[i]
				  : c->most;
	for (int s = 0; s < STORES; s++)
		c->all += c->there[s] * (double)states *
			  (double)(1 + c->rounds + LATENCY_SLICES);
	c->outcomes = bench_realloc(NULL, states * sizeof(*c->outcomes));
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct compare c = {
		.common = BENCH_COMMON_DEFAULTS,
		.rounds = 7,
		.gets = 90,
		.wanted = {[BENCH_OP_GET] = true,
			[BENCH_OP_HOT] = true,
			[BENCH_OP_ZIPF] = true,
			[BENCH_OP_PUT] = true,
			[BENCH_OP_MIXED] = true},
		.sizes = {5, {256, 1024, 4096, 16384, 65536}},
		.threads = {2, {1, 2}},
		.least_share = 1,
	};
	const struct bench_option options[] = {
		{"pool", 's', "SIZE",
			"budget of each store (default 1.5G, less where\n"
			"memory is short)",
			bench_parse_size, &c.pool},
		{"ops", 'o', "OP,...",
			"of get, hot, zipf, miss, put, mixed (default all but\n"
			"miss): hot gets are of 2000 keys, zipf ones of a\n"
			"million, the k-th as likely as 1 / k^0.99",
			bench_parse_operations, &c.wanted},
		{"values", 'v', "SIZE,...", "(default 256,1K,4K,16K,64K)",
			bench_parse_sizes, &c.sizes},
		{"threads", 't', "N,...", "(default 1,2)", bench_parse_threads,
			&c.threads},
		{"gets", 'g', "PERCENT", "gets among the mixed (default 90)",
			bench_parse_count, &c.gets},
		{"rounds", 'r', "N", "at least 5 (default 7)",
			bench_parse_count, &c.rounds},
	};

	bench_options(command, options, sizeof(options) / sizeof(*options),
		&c.common, argc, argv);
	check(&c);
	bench_check_rounds(command, c.rounds);
	bench_refuse_no_eviction(command, &c.common);
	bench_plot_check(c.common.plot);
	look_for_peers(&c);
	count_ahead(&c);
	c.pool = bench_fit_pool(&c.common, c.pool, (size_t)3 << 29, STORES);
	measure_all(&c);

	struct bench_report *r = bench_report_new(command->name);
	bench_setting_bytes(r, "pool", c.pool);
	bench_common_settings(r, &c.common);
	bench_setting_bytes(r, "key_size", KEY_SIZE);
	bench_setting_number(r, "rounds", c.rounds);
	if (c.wanted[BENCH_OP_MIXED])
		bench_setting_number(r, "gets_percent", c.gets);
	report_all(r, &c);
	bench_finish(r, &c.common, bench_plot_compare);
	free(c.outcomes);
	return 0;
}

const struct bench_command bench_compare = {
	.name = "compare",
	.summary = "the cache beside what might be taken instead, in one run",
	.help = "Times gets, puts that evict, and a mix of both, by turns, "
		"with the same keys, sizes\nand budget, every value copied in "
		"and out, on\n"
		"  cache       this library\n"
		"  floor       random copies in a plain mapping: nothing is "
		"faster\n"
		"  HyperClock  RocksDB's HyperClockCache\n"
		"  LRUCache    RocksDB's LRUCache\n"
		"  by hand     hash table, list and malloc(), a lock a shard\n"
		"  memcached   the server, over a socket",
	.run = run,
};
