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
#include <math.h>
#include <stdio.h>

#include "commands.h"
#include "dram.h"
#include "load.h"
#include "plot.h"
#include "progress.h"
#include "room.h"

struct growth {
	struct bench_common common;
	struct bench_list entries;
	uint64_t value;
	uint64_t rounds;
};

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
pool_for(const struct growth *g, uint64_t entries)
{
	uint64_t extent = g->common.extent;
	uint64_t size = entries * ((g->value + extent - 1) / extent * extent);

	return size < VMEMCACHE_MIN_POOL ? VMEMCACHE_MIN_POOL : size;
}

static void
measure(const struct growth *g, uint64_t entries, const struct bench_dram *d,
	struct bench_report *r)
{
	unsigned rounds = (unsigned)g->rounds;
	struct bench_load l = {.crew = bench_crew_new(1, BENCH_DRAM_KEY),
		.store = bench_cache_open(&g->common, pool_for(g, entries)),
		.sizes = bench_distribution_fixed(g->value),
		.random = g->common.seed,
		.recent = entries};
	struct bench_store *plain =
		bench_floor_open(&g->common, pool_for(g, entries));

	bench_load_run(&l, BENCH_OP_PUT, 1, entries);
	struct bench_pair get =
		bench_load_measure(&l, plain, BENCH_OP_GET, 1, rounds);
	struct bench_pair miss =
		bench_load_measure(&l, plain, BENCH_OP_MISS, 1, rounds);
	struct bench_pair put =
		bench_load_measure(&l, plain, BENCH_OP_PUT, 1, rounds);
	bench_store_close(plain);
	bench_store_close(l.store);
	bench_crew_free(l.crew);

	bench_row(r);
	bench_cell(r, (double)entries);
	bench_load_cells(r, &get);
	bench_cell(r, miss.ns);
	bench_load_cells(r, &put);
	bench_cell(r, d->resident);
	bench_cell(r, d->counted);
}

static void
measure_all(const struct growth *g, struct bench_report *r)
{
	struct bench_dram d[BENCH_LIST_MAX];
	size_t n = 0;

	/* All of it before there are threads and much memory in this process */
	for (; n < g->entries.n; n++) {
		uint64_t entries = g->entries.at[n];
		size_t pool = pool_for(g, entries);

		if (bench_room(&g->common, pool, 3) < pool) {
			bench_note(r, "There was no room for more entries.");
			break;
		}
		bench_progress(0, "entries for their DRAM");
		d[n] = bench_dram_measure(&g->common, entries);
	}
	for (size_t i = 0; i < n; i++) {
		bench_progress((double)i / (double)n, "entries");
		measure(g, g->entries.at[i], &d[i], r);
	}
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct growth g = {
		.common = BENCH_COMMON_DEFAULTS,
		.entries = {4, {10000, 100000, 1000000, 10000000}},
		.value = 256,
		.rounds = 7,
	};
	const struct bench_option options[] = {
		{"entries", 'n', "N,...", "(default 10K,100K,1M,10M)",
			bench_parse_counts, &g.entries},
		{"value", 'v', "SIZE", "of all values (default 256)",
			bench_parse_size, &g.value},
		{"rounds", 'r', "N", "at least 5 (default 7)",
			bench_parse_count, &g.rounds},
	};

	bench_options(command, options, sizeof(options) / sizeof(*options),
		&g.common, argc, argv);
	if (g.value < 1 || g.value > 1 << 20)
		bench_refuse("growth: --value is 1 to 1M");
	bench_check_rounds(command, g.rounds);
	bench_refuse_no_eviction(command, &g.common);
	bench_plot_check(g.common.plot);

	struct bench_report *r = bench_report_new(command->name);
	bench_setting_bytes(r, "value", g.value);
	bench_common_settings(r, &g.common);
	bench_setting_bytes(r, "key_size", BENCH_DRAM_KEY);
	bench_setting_number(r, "rounds", g.rounds);
	bench_table(r, "growth", columns, sizeof(columns) / sizeof(*columns));
	measure_all(&g, r);
	bench_note(r,
		"get, miss, put: ns of one thread, on a full pool. floor: "
		"copying the same bytes\nin a plain mapping as large as "
		"the pool. resident: memory that an entry adds to\nthe "
		"process beside its key; counted: what the library says "
		"of that.");
	bench_finish(r, &g.common, bench_plot_growth);
	return 0;
}

const struct bench_command bench_growth = {
	.name = "growth",
	.summary = "what gets, puts and entries cost as entries become more",
	.help = "For each number of entries, fills a pool that holds just so "
		"many, and times gets\nthat hit, gets that miss, and puts, "
		"beside the floor; and looks how much memory an\nentry takes "
		"in a process of its own.",
	.run = run,
};
