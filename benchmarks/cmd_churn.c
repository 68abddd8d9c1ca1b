/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_churn.c -- whether a cache becomes slower with age
 *
 * Values of random sizes are put until their bytes have made up the pool many
 * times over; before each put a get of a key put lately, which takes the order
 * of evictions away from that of the puts, so that what becomes free lies
 * scattered. After one, two, five, ten, ... turnovers the clock is taken out:
 * gets and puts of the same sizes, in turns with the floor. The pieces that
 * values are in are counted then, too.
 */
#include <math.h>
#include <stdio.h>

#include "commands.h"
#include "load.h"
#include "plot.h"
#include "progress.h"
#include "room.h"

struct churn {
	struct bench_common common;
	uint64_t pool;
	uint64_t turnovers;
	uint64_t rounds;
	struct bench_distribution sizes;
};

static const struct bench_column columns[] = {
	{"turnovers", "turnovers", BENCH_WHOLE},
	{"values", "values", BENCH_WHOLE},
	{"runs_per_value", "runs/value", BENCH_THREE_DIGITS},
	{"free_runs", "free runs", BENCH_WHOLE},
	{"get_ns", "get", BENCH_WHOLE},
	{"get_floor_ns", "floor", BENCH_WHOLE},
	{"get_ratio", "ratio", BENCH_TWO_DIGITS},
	{"put_ns", "put", BENCH_WHOLE},
	{"put_floor_ns", "floor", BENCH_WHOLE},
	{"put_ratio", "ratio", BENCH_TWO_DIGITS},
};

static const char *
parse_sizes(const char *text, void *into)
{
	struct bench_distribution *d = into;
	const char *wrong = bench_distribution_parse(d, text, 1024);

	if (wrong == NULL && (d->high > 16 << 20 || d->low == 0)) {
		bench_distribution_free(d);
		wrong = "sizes are 1 byte to 16 MiB here";
	}
	return wrong;
}

/* 1, 2, 5, 10, 20, ...; the last one is as far as it goes. */
static uint64_t
next_stop(uint64_t stop, uint64_t last)
{
	uint64_t leading = stop;

	while (leading >= 10)
		leading /= 10;
	stop = leading == 2 ? stop / 2 * 5 : stop * 2;
	return stop < last ? stop : last;
}

static void
add_row(const struct churn *c, struct bench_load *l, struct bench_store *plain,
	uint64_t turnovers, struct bench_report *r)
{
	unsigned rounds = (unsigned)c->rounds;
	double values =
		(double)bench_cache_statistic(l->store, VMEMCACHE_STAT_ENTRIES);
	double runs =
		(double)bench_cache_statistic(l->store, VMEMCACHE_STAT_EXTENTS);
	double free_runs = (double)bench_cache_statistic(
		l->store, VMEMCACHE_STAT_HEAP_ENTRIES);

	struct bench_pair get =
		bench_load_measure(l, plain, BENCH_OP_GET, 1, rounds);
	struct bench_pair put =
		bench_load_measure(l, plain, BENCH_OP_PUT, 1, rounds);
	bench_row(r);
	bench_cell(r, (double)turnovers);
	bench_cell(r, values);
	bench_cell(r, runs / values);
	bench_cell(r, free_runs);
	bench_load_cells(r, &get);
	bench_load_cells(r, &put);
}

/* Untimed traffic until values of so many bytes have been put. */
static void
turn_over(struct bench_load *l, double bytes)
{
	enum { SOME = 2048 };

	for (double put = 0; put < bytes;) {
		uint64_t from = l->next_id;

		bench_load_run(l, BENCH_OP_MIXED, 1, SOME);
		for (uint64_t id = from; id < l->next_id; id++) {
			uint64_t seed = id;

			put += (double)bench_draw(&l->sizes, &seed);
		}
		/* the newer half: what is evicted was used longer ago */
		l->recent = bench_cache_statistic(
				    l->store, VMEMCACHE_STAT_ENTRIES) /
				    2 +
			    1;
	}
}

static void
measure(const struct churn *c, struct bench_report *r)
{
	struct bench_load l = {.crew = bench_crew_new(1, sizeof(uint64_t)),
		.store = bench_cache_open(&c->common, c->pool),
		.sizes = c->sizes,
		.random = c->common.seed,
		.gets = 50};
	struct bench_store *plain = bench_floor_open(&c->common, c->pool);
	uint64_t done = 0;
	uint64_t stop = 1;

	bench_load_run(&l, BENCH_OP_PUT, 1, 2);
	l.recent = 2;
	/* the filling is not a turnover yet */
	turn_over(&l, (double)c->pool);
	for (;;) {
		for (; done < stop; done++) {
			turn_over(&l, (double)c->pool);
			bench_progress((double)done / (double)c->turnovers,
				"turnovers");
		}
		add_row(c, &l, plain, done, r);
		if (stop == c->turnovers)
			break;
		stop = next_stop(stop, c->turnovers);
	}
	bench_store_close(plain);
	bench_store_close(l.store);
	bench_crew_free(l.crew);
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct churn c = {
		.common = BENCH_COMMON_DEFAULTS,
		.turnovers = 200,
		.rounds = 7,
	};

	bench_distribution_parse(&c.sizes, "log-uniform:256:64K", 1024);
	const struct bench_option options[] = {
		{"pool", 's', "SIZE", "(default 512M)", bench_parse_size,
			&c.pool},
		{"turnovers", 'n', "N",
			"how often the pool is filled (default 200)",
			bench_parse_count, &c.turnovers},
		{"sizes", 'v', "DIST",
			"of the values, written as for simul\n"
			"(default log-uniform:256:64K)",
			parse_sizes, &c.sizes},
		{"rounds", 'r', "N", "at least 5 (default 7)",
			bench_parse_count, &c.rounds},
	};

	bench_options(command, options, sizeof(options) / sizeof(*options),
		&c.common, argc, argv);
	if (c.turnovers < 1)
		bench_refuse("churn: --turnovers is at least 1");
	bench_check_rounds(command, c.rounds);
	bench_refuse_no_eviction(command, &c.common);
	bench_plot_check(c.common.plot);
	c.pool = bench_fit_pool(&c.common, c.pool, (size_t)512 << 20, 2);
	if (c.sizes.high > c.pool / 16)
		bench_refuse("churn: --pool is at least 16 of the largest "
			     "values");

	struct bench_report *r = bench_report_new(command->name);
	bench_setting_bytes(r, "pool", c.pool);
	bench_common_settings(r, &c.common);
	bench_setting(r, "sizes", "%s", c.sizes.spec);
	bench_setting_number(r, "rounds", c.rounds);
	bench_table(r, "churn", columns, sizeof(columns) / sizeof(*columns));
	measure(&c, r);
	bench_note(r, "turnovers: how often the pool has been filled after the "
		      "first time, with as many\ngets as puts. runs/value: "
		      "pieces that a value is in. get, put: ns of one thread.\n"
		      "floor: copying the same bytes in a plain mapping.");
	bench_finish(r, &c.common, bench_plot_churn);
	bench_distribution_free(&c.sizes);
	return 0;
}

const struct bench_command bench_churn = {
	.name = "churn",
	.summary = "whether gets and puts become slower as a cache ages",
	.help = "Puts values of random sizes, with as many gets in between, "
		"until the pool has been\nfilled many times over; after 1, 2, "
		"5, 10, ... times counts the pieces that values\nare in, and "
		"times gets and puts beside the floor.",
	.run = run,
};
