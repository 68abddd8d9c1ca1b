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
 * All stores are open at once, and take turns (contest.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "contest.h"
#include "peers.h"
#include "progress.h"
#include "room.h"

enum { KEY_SIZE = 16 };
#define LOOKING_NS UINT64_C(6000000000)

static struct bench_store *
open_cache(const struct bench_budget *b)
{
	return bench_cache_open(b->bytes);
}

static struct bench_store *
open_floor(const struct bench_budget *b)
{
	return bench_floor_open(b->bytes);
}

#ifndef BENCH_ROCKSDB
#define bench_hyper_clock_open NULL
#define bench_lru_cache_open NULL
#endif

enum { CACHE, FLOOR, HYPER_CLOCK, MEMCACHED = 5, STORES };
static const struct {
	const char *name;    /* for machines */
	const char *heading; /* for people */
	struct bench_store *(*open)(const struct bench_budget *);
} stores[STORES] = {
	[CACHE] = {"cache", "cache", open_cache},
	[FLOOR] = {"floor", "floor", open_floor},
	[HYPER_CLOCK] = {"hyper_clock", "HyperClock", bench_hyper_clock_open},
	{"lru_cache", "LRUCache", bench_lru_cache_open},
	{"handmade", "by hand", bench_handmade_open},
	[MEMCACHED] = {"memcached", "memcached", bench_memcached_open},
};

static uint64_t pool;
static uint64_t rounds = 7;
static uint64_t gets = 90;
static bool wanted[BENCH_OPERATIONS] = {[BENCH_OP_GET] = true,
	[BENCH_OP_HOT] = true,
	[BENCH_OP_ZIPF] = true,
	[BENCH_OP_PUT] = true,
	[BENCH_OP_MIXED] = true};
static struct bench_list sizes = {5, {256, 1024, 4096, 16384, 65536}};
static struct bench_list threads = {2, {1, 2}};

static bool there[STORES];
static double held[STORES]; /* values, once the store is full */

enum { SPEED, RELATIVE, TAILS, CONTENT, TABLES };
static struct bench_table *tables[TABLES];

/* --- a size of values --- */

/* Without a common divisor with n, near its golden section. */
static uint64_t
step_through(uint64_t n)
{
	uint64_t step = (uint64_t)((double)n * 0.618) | 1;

	for (;; step += 2) {
		uint64_t a = n, b = step;

		while (b != 0) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return step;
	}
}

/* Which of the n keys put are there. */
static void
look_for_all(struct bench_load *l, int store, uint64_t size, uint64_t n)
{
	char *buffer = bench_realloc(NULL, size);
	char bytes[KEY_SIZE];
	uint64_t start = bench_now();
	uint64_t step = step_through(n);
	uint64_t looked = 0;

	memset(bytes, 'k', sizeof(bytes));
	l->known = bench_realloc(NULL, n * sizeof(*l->known));
	l->n_known = 0;
	for (uint64_t id = 0; looked < n; looked++, id = (id + step) % n) {
		struct bench_key key = {id, bytes, sizeof(bytes)};

		memcpy(bytes, &id, sizeof(id));
		if (l->store->type->get(l->store, &key, buffer, size) ==
			BENCH_DONE)
			l->known[l->n_known++] = id;
		if (looked % 1024 == 0 && bench_now() - start > LOOKING_NS)
			break;
	}
	free(buffer);
	if (l->n_known < 4)
		bench_refuse("%s holds less than four values of %llu bytes in "
			     "the budget",
			stores[store].heading, (unsigned long long)size);
	held[store] = (double)l->n_known * (double)n / (double)looked;
}

static void
open_all(struct bench_load *loads, struct bench_crew *crew, uint64_t size)
{
	unsigned most = (unsigned)bench_list_max(&threads);
	struct bench_budget budget = {pool, size, most};
	uint64_t fit = pool / size;

	for (int s = 0; s < STORES; s++) {
		struct bench_load *l = &loads[s];

		held[s] = NAN;
		if (!there[s])
			continue;
		bench_progress(0, stores[s].heading);
		*l = (struct bench_load){.crew = crew,
			.store = stores[s].open(&budget),
			.sizes = bench_distribution_fixed(size),
			.random = bench.seed,
			.gets = gets,
			.plain = s == FLOOR};
		bench_load_run(l, BENCH_OP_PUT, most, (fit + fit / 4) / most);
		held[s] = (double)fit;
		l->recent = fit;
		if (!l->plain)
			look_for_all(l, s, size, l->next_id);
	}
}

/* From here on gets are of what was put lately. */
static void
turn_to_recent(struct bench_load *loads)
{
	unsigned most = (unsigned)bench_list_max(&threads);

	for (int s = 0; s < STORES; s++) {
		if (!there[s])
			continue;
		free(loads[s].known);
		loads[s].known = NULL;
		loads[s].recent = (uint64_t)held[s] / 2;
		bench_load_run(&loads[s], BENCH_OP_PUT, most,
			loads[s].recent / most + 1);
	}
}

/* --- what is printed --- */

/* What a row is of, then a column a store, of which people see those there. */
static void
start_tables(struct bench_report *r)
{
	static const char *const names[TABLES] = {
		"speed", "relative", "tails", "content"};
	static const enum bench_form forms[TABLES] = {
		BENCH_WHOLE, BENCH_TWO_DIGITS, BENCH_DURATION, BENCH_WHOLE};
	static struct bench_column columns[TABLES][3 + STORES];

	for (int i = 0; i < TABLES; i++) {
		struct bench_column *c = columns[i];

		c[0] = (struct bench_column){
			"value_bytes", "value", BENCH_BYTES};
		c[1] = (struct bench_column){"operation", names[i], BENCH_TEXT};
		c[2] = (struct bench_column){"threads", "threads", BENCH_WHOLE};
		for (int s = 0; s < STORES; s++)
			c[3 + s] = (struct bench_column){stores[s].name,
				there[s] ? stores[s].heading : NULL, forms[i]};
		tables[i] = BENCH_TABLE(r, names[i], columns[i]);
	}
}

enum figure { NS, RATIO, GET_TAIL, PUT_TAIL, HITS, HELD };

static double
figure_of(const struct bench_contest *c, size_t t, size_t store, enum figure f)
{
	const struct bench_series *s = bench_series_of(c, t, store);

	if (f == HELD)
		return held[store];
	if (s->slice == 0)
		return NAN;
	switch (f) {
	case NS:
		return bench_over_rounds(c, s->ns);
	case RATIO:
		return bench_ratio(c, s->ns, bench_series_of(c, t, CACHE)->ns);
	case HITS:
		return 100 * (double)s->hits / (double)s->gets;
	default:
		return (double)bench_histogram_quantile(
			&s->latency[f == PUT_TAIL], 0.999);
	}
}

static void
add_row(int table, const struct bench_contest *c, size_t t, const char *what,
	enum figure f)
{
	double row[2 + STORES] = {
		(double)c->loads[CACHE].sizes.low, (double)threads.at[t]};

	for (size_t s = 0; s < STORES; s++)
		row[2 + s] = figure_of(c, t, s, f);
	bench_row(tables[table], what, row, 2 + STORES);
}

static void
report(const struct bench_contest *c, enum bench_operation op, bool first)
{
	const char *name = bench_operation_name[op];
	bool mixed = op == BENCH_OP_MIXED;

	for (size_t t = 0; t < threads.n; t++) {
		add_row(SPEED, c, t, name, NS);
		add_row(RELATIVE, c, t, name, RATIO);
		if (op != BENCH_OP_PUT)
			add_row(TAILS, c, t, mixed ? "mixed get" : name,
				GET_TAIL);
		if (op == BENCH_OP_PUT || mixed)
			add_row(TAILS, c, t, mixed ? "mixed put" : name,
				PUT_TAIL);
		if (first && t == 0)
			add_row(CONTENT, c, t, "values", HELD);
		if (op == BENCH_OP_GET || mixed)
			add_row(CONTENT, c, t,
				mixed ? "mixed hits %" : "get hits %", HITS);
	}
}

/* --- the command --- */

static void
look_for_peers(void)
{
	for (int s = 0; s < STORES; s++)
		there[s] = stores[s].open != NULL;
	if (!there[HYPER_CLOCK])
		error(0, 0,
			"built without librocksdb-dev (7.7 to 7.10), so its "
			"caches are left out");
	there[MEMCACHED] = bench_memcached_installed();
	if (!there[MEMCACHED])
		error(0, 0, "memcached is not installed, so it is left out");
}

static void
measure_size(struct bench_contest *c, struct bench_crew *crew, uint64_t size)
{
	bool first = true;

	open_all(c->loads, crew, size);
	for (enum bench_operation op = 0; op < BENCH_OPERATIONS; op++) {
		if (!wanted[op])
			continue;
		if (op == BENCH_OP_MIXED)
			turn_to_recent(c->loads);
		bench_contest_run(c, op);
		report(c, op, first);
		first = false;
	}
	for (int s = 0; s < STORES; s++) {
		if (there[s])
			bench_store_close(c->loads[s].store);
		free(c->loads[s].known);
	}
}

static void
run(struct bench_report *r, char **arguments)
{
	struct bench_load loads[STORES] = {0};
	struct bench_contest c = {.loads = loads,
		.n = STORES,
		.threads = threads,
		.rounds = (unsigned)rounds,
		.latencies = STORES};

	(void)arguments;
	if (wanted[BENCH_OP_MANY] || wanted[BENCH_OP_PIN])
		bench_refuse(
			"only micro has many and pin, as not all peers do");
	if (bench_list_max(&sizes) > 512 << 10)
		bench_refuse("--values are at most 512K, for memcached's sake");
	look_for_peers();
	pool = bench_fit_pool(pool, (size_t)3 << 29, STORES);
	bench_setting_bytes(r, "pool", pool);
	bench_setting_common(r);
	bench_setting_bytes(r, "key_size", KEY_SIZE);
	bench_setting_number(r, "rounds", rounds);
	if (wanted[BENCH_OP_MIXED])
		bench_setting_number(r, "gets_percent", gets);
	for (int op = 0; op < BENCH_OPERATIONS; op++)
		c.runs += wanted[op] * (unsigned)sizes.n;
	start_tables(r);
	struct bench_crew *crew =
		bench_crew_new((unsigned)bench_list_max(&threads), KEY_SIZE);
	for (size_t i = 0; i < sizes.n; i++)
		measure_size(&c, crew, sizes.at[i]);
	bench_crew_free(crew);
	bench_note(r, "speed: wall time in ns by operations of all threads "
		      "together. relative: to the\ncache in the same round; "
		      "above 1 the cache is faster. tails: p99.9. content: "
		      "what\nthe same budget of value bytes holds, and how "
		      "many gets hit.");
	bench_note_busy(&c, r);
	bench_contest_free(&c);
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE",
		"budget of each store (default 1.5G, less where memory is "
		"short)",
		bench_parse_size, &pool},
	{"ops", 'o', "OP,...",
		"of get, hot, zipf, miss, put, mixed (default all but miss): "
		"hot gets are of 2000 keys, zipf ones of a million, the k-th "
		"as likely as 1 / k^0.99",
		bench_parse_operations, &wanted},
	{"values", 'v', "SIZE,...", "(default 256,1K,4K,16K,64K)",
		bench_parse_sizes, &sizes},
	{"threads", 't', "N,...", "(default 1,2)", bench_parse_threads,
		&threads},
	{"gets", 'g', "PERCENT", "gets among the mixed (default 90)",
		bench_parse_percent, &gets},
	{"rounds", 'r', "N", "at least 5 (default 7)", bench_parse_rounds,
		&rounds},
	{0},
};

const struct bench_command bench_compare = {
	.name = "compare",
	.summary = "the cache beside what might be taken instead, in one run",
	.help = "Times gets, puts that evict, and a mix of both, by turns, "
		"with the same keys, sizes and budget, every value copied in "
		"and out, on\n"
		"  cache       this library\n"
		"  floor       random copies in a plain mapping: nothing is "
		"faster\n"
		"  HyperClock  RocksDB's HyperClockCache\n"
		"  LRUCache    RocksDB's LRUCache\n"
		"  by hand     hash table, list and malloc(), a lock a shard\n"
		"  memcached   the server, over a socket",
	.options = options,
	.evicts = true,
	.run = run,
};
