/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_growth.c -- what an operation costs as the entries become more
 *
 * For each number of entries a pool that holds just so many values is filled;
 * then one thread's gets that hit, gets that miss, and puts that evict are
 * measured in turns with the floor, whose mapping has the same size: what
 * memory itself takes longer when there is more of it is in both. What an
 * entry takes of DRAM is measured first, in a process of its own.
 */
#include <string.h>

#include "commands.h"
#include "contest.h"
#include "dram.h"
#include "progress.h"
#include "room.h"

static struct bench_list entries = {4, {10000, 100000, 1000000, 10000000}};
static uint64_t value = 256;
static uint64_t rounds = 7;

static const struct bench_column columns[] = {
	{"entries", "entries", BENCH_WHOLE},
	{"get_ns", "get", BENCH_WHOLE},
	{"get_floor_ns", "floor", BENCH_WHOLE},
	{"get_ratio", "ratio", BENCH_TWO_DIGITS},
	{"miss_ns", "miss", BENCH_WHOLE},
	{"put_ns", "put", BENCH_WHOLE},
	{"put_floor_ns", "floor", BENCH_WHOLE},
	{"put_ratio", "ratio", BENCH_TWO_DIGITS},
	{"resident_per_entry", "resident B/entry", BENCH_ONE_DIGIT},
	{"counted_per_entry", "counted B/entry", BENCH_ONE_DIGIT},
};

static size_t
pool_for(uint64_t n)
{
	uint64_t extent = bench.extent;
	uint64_t size = n * ((value + extent - 1) / extent * extent);

	return size < VMEMCACHE_MIN_POOL ? VMEMCACHE_MIN_POOL : size;
}

static void
measure(struct bench_contest *c, uint64_t n, const struct bench_dram *d,
	struct bench_table *table)
{
	static const enum bench_operation ops[] = {
		BENCH_OP_GET, BENCH_OP_MISS, BENCH_OP_PUT};
	struct bench_load *l = c->loads;
	double row[9];

	l[0] = (struct bench_load){.crew = bench_crew_new(1, BENCH_DRAM_KEY),
		.store = bench_cache_open(pool_for(n)),
		.sizes = bench_distribution_fixed(value),
		.random = bench.seed,
		.recent = n};
	bench_load_run(l, BENCH_OP_PUT, 1, n);
	l[1] = l[0];
	l[1].store = bench_floor_open(pool_for(n));
	l[1].plain = true;
	for (int i = 0; i < 3; i++) {
		bench_contest_run(c, ops[i]);
		memcpy(&row[3 * i], (double[]){BENCH_PAIR(c)},
			3 * sizeof(double));
	}
	bench_store_close(l[1].store);
	bench_store_close(l[0].store);
	bench_crew_free(l[0].crew);
	BENCH_ROW(table, NULL, (double)n, row[0], row[1], row[2], row[3],
		row[6], row[7], row[8], d->resident, d->counted);
}

static void
run(struct bench_report *r, char **arguments)
{
	struct bench_dram d[BENCH_LIST_MAX];
	struct bench_load loads[2] = {0};
	struct bench_contest c = {.loads = loads,
		.n = 2,
		.threads = {1, {1}},
		.rounds = (unsigned)rounds};
	size_t n = 0;

	(void)arguments;
	bench_setting_bytes(r, "value", value);
	bench_setting_common(r);
	bench_setting_bytes(r, "key_size", BENCH_DRAM_KEY);
	bench_setting_number(r, "rounds", rounds);
	struct bench_table *table = BENCH_TABLE(r, "growth", columns);
	/* All of it before there are threads and much memory in this process */
	for (; n < entries.n; n++) {
		size_t pool = pool_for(entries.at[n]);

		if (bench_room(pool, 3) < pool) {
			bench_note(r, "There was no room for more entries.");
			break;
		}
		bench_progress(0, "entries for their DRAM");
		d[n] = bench_dram_measure(entries.at[n]);
	}
	c.runs = 3 * (unsigned)n;
	for (size_t i = 0; i < n; i++)
		measure(&c, entries.at[i], &d[i], table);
	bench_contest_free(&c);
	bench_note(r,
		"get, miss, put: ns of one thread, on a full pool. floor: "
		"copying the same bytes\nin a plain mapping as large as "
		"the pool. resident: memory that an entry adds to\nthe "
		"process beside its key; counted: what the library says "
		"of that.");
}

static const struct bench_option options[] = {
	{"entries", 'n', "N,...", "(default 10K,100K,1M,10M)",
		bench_parse_counts, &entries},
	{"value", 'v', "SIZE", "of all values (default 256)", bench_parse_value,
		&value},
	{"rounds", 'r', "N", "at least 5 (default 7)", bench_parse_rounds,
		&rounds},
	{0},
};

const struct bench_command bench_growth = {
	.name = "growth",
	.summary = "what gets, puts and entries cost as entries become more",
	.help = "For each number of entries, fills a pool that holds just so "
		"many, and times gets that hit, gets that miss, and puts, "
		"beside the floor; and looks how much memory an entry takes in "
		"a process of its own.",
	.options = options,
	.evicts = true,
	.run = run,
};
