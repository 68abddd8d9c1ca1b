/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_micro.c -- one kind of operation at a time, on a full pool
 *
 * For each size of values: fill a fresh cache until it is full, then measure
 *
 *	get    a key drawn uniformly from all that are there: always a hit
 *	hot    the same, of few keys
 *	zipf   of a million keys, some of which are drawn far more often
 *	many   as get, by vmemcache_get_many(), in batches
 *	pin    as get, by vmemcache_pin() and vmemcache_unpin(): it copies
 *	       nothing, so without a floor
 *	miss   a key that was never put; it copies nothing either
 *	put    a key never used before: always evicts
 *	mixed  gets of keys drawn uniformly from the newer half, and puts
 *
 * in this order, because puts throw out what the gets look for. What is there
 * is the last `full` values, as long as nothing but puts happened since the
 * filling (load.h). Mixed gets stay within the newest half, every key of which
 * has been used more recently than those that are evicted.
 *
 * The cache, the floor, and beside many and pin the cache with single gets,
 *take turns (contest.h).
 */
#include <stdio.h>

#include "commands.h"
#include "contest.h"
#include "random.h"
#include "room.h"

enum { CACHE, FLOOR, SINGLE, LOADS };

static uint64_t pool;
static uint64_t key_size = 8;
static uint64_t rounds = 7;
static uint64_t gets = 90;
static bool wanted[BENCH_OPERATIONS] = {
	[BENCH_OP_GET] = true, [BENCH_OP_PUT] = true};
static struct bench_list sizes = {4, {256, 1024, 4096, 16384}};
static struct bench_list threads = {2, {1, 2}};

static struct bench_column columns[] = {
	{"value_bytes", "value", BENCH_BYTES},
	{"operation", "op", BENCH_TEXT},
	{"threads", "threads", BENCH_WHOLE},
	{"ns_per_op", "ns/op", BENCH_ONE_DIGIT},
	{"floor_ns", "floor", BENCH_ONE_DIGIT},
	{"ratio", "ratio", BENCH_TWO_DIGITS},
	{"times_get", NULL, BENCH_TWO_DIGITS},
	{"scaling", "scaling", BENCH_TWO_DIGITS},
	{"floor_scaling", NULL, BENCH_TWO_DIGITS},
	{"ops_per_second", NULL, BENCH_WHOLE},
	{"bytes_per_second", NULL, BENCH_WHOLE},
	{"misses", NULL, BENCH_WHOLE},
	{"cpu_share", NULL, BENCH_TWO_DIGITS},
	{"distance_ns", "apart", BENCH_DURATION},
	BENCH_TAIL_COLUMNS,
};

/* Fill the cache with values of that size; returns how many it holds. */
static uint64_t
fill(struct bench_load *l, uint64_t size)
{
	uint64_t each = (size + bench.extent - 1) / bench.extent * bench.extent;

	l->store = bench_cache_open(pool);
	l->sizes = bench_distribution_fixed(size);
	l->next_id = 0;
	bench_load_run(l, BENCH_OP_PUT, 1, pool / each);
	uint64_t full = bench_cache_statistic(l->store, VMEMCACHE_STAT_ENTRIES);
	if (full < 2)
		bench_refuse("a pool of %llu bytes does not hold two values of "
			     "%llu",
			(unsigned long long)pool, (unsigned long long)size);
	return full;
}

static void
add_row(struct bench_table *table, const struct bench_contest *c, size_t t,
	uint64_t size, const char *operation,
	const struct bench_histogram *latency)
{
	const struct bench_series *s = bench_series_of(c, t, CACHE);
	const struct bench_series *plain = bench_series_of(c, t, FLOOR);
	const struct bench_series *single = bench_series_of(c, t, SINGLE);
	double ns = bench_over_rounds(c, s->ns);

	BENCH_ROW(table, operation, (double)size, (double)threads.at[t], ns,
		bench_over_rounds(c, plain->ns),
		bench_ratio(c, s->ns, plain->ns),
		bench_ratio(c, single->ns, s->ns),
		t ? bench_ratio(c, bench_series_of(c, 0, CACHE)->ns, s->ns)
		  : NAN,
		t ? bench_ratio(c, bench_series_of(c, 0, FLOOR)->ns, plain->ns)
		  : NAN,
		1e9 / ns, s->bytes_per_op * 1e9 / ns,
		(double)(s->gets - s->hits), bench_over_rounds(c, s->cpu_share),
		bench_over_rounds(c, s->distance), BENCH_TAIL(latency));
}

static void
measure(struct bench_contest *c, enum bench_operation op, uint64_t size,
	uint64_t full, struct bench_table *table)
{
	struct bench_load *l = &c->loads[CACHE];

	l->recent = op == BENCH_OP_MIXED ? full / 2 : full;
	if (op == BENCH_OP_MIXED)
		bench_load_run(l, BENCH_OP_PUT, 1, full / 2 + 1);
	for (int k = FLOOR; k < LOADS; k++) {
		struct bench_store *store =
			k == FLOOR ? c->loads[k].store : l->store;
		c->loads[k] = *l;
		c->loads[k].store = store;
		c->loads[k].plain = k == FLOOR;
		c->loads[k].single = k == SINGLE;
	}
	bench_contest_run(c, op);
	for (size_t t = 0; t < threads.n; t++) {
		struct bench_histogram *latency =
			bench_series_of(c, t, CACHE)->latency;

		if (op == BENCH_OP_MIXED) {
			add_row(table, c, t, size, "mixed get",
				&latency[BENCH_GET]);
			add_row(table, c, t, size, "mixed put",
				&latency[BENCH_PUT]);
		} else {
			add_row(table, c, t, size, bench_operation_name[op],
				&latency[op == BENCH_OP_PUT]);
		}
	}
}

static void
measure_all(struct bench_contest *c, struct bench_report *r)
{
	struct bench_load *l = &c->loads[CACHE];
	struct bench_table *table = BENCH_TABLE(r, "speed", columns);

	for (enum bench_operation op = 0; op < BENCH_OPERATIONS; op++)
		c->runs += wanted[op] * (unsigned)sizes.n;
	*l = (struct bench_load){
		.crew = bench_crew_new(
			(unsigned)bench_list_max(&threads), key_size),
		.random = bench_mix(bench.seed),
		.gets = gets};
	c->loads[FLOOR].store = bench_floor_open(pool);
	for (size_t i = 0; i < sizes.n; i++) {
		uint64_t full = fill(l, sizes.at[i]);

		if (i == 0)
			bench_setting_bytes(r, "page_size",
				bench_cache_statistic(
					l->store, VMEMCACHE_STAT_PAGE_SIZE));
		for (enum bench_operation op = 0; op < BENCH_OPERATIONS; op++)
			if (wanted[op])
				measure(c, op, sizes.at[i], full, table);
		bench_store_close(l->store);
	}
	bench_store_close(c->loads[FLOOR].store);
	bench_crew_free(l->crew);
}

static void
run(struct bench_report *r, char **arguments)
{
	struct bench_load loads[LOADS] = {0};
	struct bench_contest c = {.loads = loads,
		.n = LOADS,
		.threads = threads,
		.rounds = (unsigned)rounds,
		.latencies = 1};

	(void)arguments;
	if (bench_list_max(&sizes) > UINT32_MAX)
		bench_refuse("--values are below 4 GiB");
	pool = bench_fit_pool(pool, (size_t)3 << 29, 2);
	bench_setting_bytes(r, "pool", pool);
	bench_setting_common(r);
	bench_setting_bytes(r, "key_size", key_size);
	bench_setting_number(r, "rounds", rounds);
	if (wanted[BENCH_OP_MIXED])
		bench_setting_number(r, "gets_percent", gets);
	if (wanted[BENCH_OP_MANY])
		bench_setting_number(r, "batch", BENCH_BATCH);
	if (wanted[BENCH_OP_MANY] || wanted[BENCH_OP_PIN])
		columns[6].heading = "x get";
	measure_all(&c, r);
	bench_note(r, "get: of a random key of a full pool. put: of a new key "
		      "into a full pool, so\nthat it evicts. ns/op: wall "
		      "time, all threads together. floor: the same copies\n"
		      "in a plain mapping of the same size; ratio: times the "
		      "floor, the figure that\ncan be compared between "
		      "machines. apart: the time a word takes from one\n"
		      "processor to another. p50 to max: latencies.");
	if (wanted[BENCH_OP_MANY])
		bench_note(r, "many: gets by calls of 16; its floor copies to "
			      "16 buffers in turn. x get: how many\ntimes as "
			      "fast as single gets in the same rounds. Its "
			      "latencies are of calls.");
	if (wanted[BENCH_OP_PIN])
		bench_note(r, "pin: with its unpin. x get: how many times as "
			      "fast as gets in the same rounds.");
	bench_note_busy(&c, r);
	bench_contest_free(&c);
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE", "(default 1.5G, less where memory is short)",
		bench_parse_size, &pool},
	{"ops", 'o', "OP,...",
		"of get, hot, zipf, many, pin, miss, put, mixed "
		"(default get,put)",
		bench_parse_operations, &wanted},
	{"values", 'v', "SIZE,...", "(default 256,1K,4K,16K)",
		bench_parse_sizes, &sizes},
	{"threads", 't', "N,...",
		"scaling is relative to the first (default 1,2)",
		bench_parse_threads, &threads},
	{"gets", 'g', "PERCENT", "gets among the mixed (default 90)",
		bench_parse_percent, &gets},
	{"rounds", 'r', "N", "at least 5 (default 7)", bench_parse_rounds,
		&rounds},
	{"key-size", 0, "SIZE", "bytes of a key (default 8)",
		bench_parse_key_size, &key_size},
	{0},
};

const struct bench_command bench_micro = {
	.name = "micro",
	.summary = "time gets and puts on a full pool, beside the floor",
	.help = "Fills a pool and times one operation at a time, for each "
		"size of values and each number of threads:\n"
		"  get    of a key drawn at random: always a hit\n"
		"  hot    the same, of 2000 keys only\n"
		"  zipf   of a million, the k-th as likely as 1 / k^0.99\n"
		"  many   as get, 16 by a call\n"
		"  pin    as get, but the value is pinned and unpinned\n"
		"  miss   a get of a key that was never put\n"
		"  put    of a new key: evicts, as the pool is full\n"
		"  mixed  both, gets of keys used recently\n"
		"Beside each time stands the floor, the same random copies in "
		"a plain mapping of the same size, measured in the same "
		"seconds, and the ratio of the two.",
	.options = options,
	.evicts = true,
	.run = run,
};
