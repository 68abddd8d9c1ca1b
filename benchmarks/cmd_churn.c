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
#include <string.h>

#include "commands.h"
#include "contest.h"
#include "progress.h"
#include "room.h"

static uint64_t pool;
static uint64_t turnovers = 200;
static uint64_t rounds = 7;
static struct bench_distribution sizes;

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

/* 1, 2, 5, 10, 20, ...; the last one is as far as it goes. */
static uint64_t
next_stop(uint64_t stop)
{
	uint64_t leading = stop;

	while (leading >= 10)
		leading /= 10;
	stop = leading == 2 ? stop / 2 * 5 : stop * 2;
	return stop < turnovers ? stop : turnovers;
}

static void
add_row(struct bench_contest *c, uint64_t done, struct bench_table *table)
{
	struct bench_load *l = c->loads;
	struct bench_store *plain = l[1].store;
	double values =
		(double)bench_cache_statistic(l->store, VMEMCACHE_STAT_ENTRIES);
	double runs =
		(double)bench_cache_statistic(l->store, VMEMCACHE_STAT_EXTENTS);
	double free_runs = (double)bench_cache_statistic(
		l->store, VMEMCACHE_STAT_HEAP_ENTRIES);
	double get[3];

	l[1] = l[0];
	l[1].store = plain;
	l[1].plain = true;
	bench_contest_run(c, BENCH_OP_GET);
	memcpy(get, (double[]){BENCH_PAIR(c)}, sizeof(get));
	bench_contest_run(c, BENCH_OP_PUT);
	BENCH_ROW(table, NULL, (double)done, values, runs / values, free_runs,
		get[0], get[1], get[2], BENCH_PAIR(c));
}

/* Untimed traffic until values of the pool's bytes have been put. */
static void
turn_over(struct bench_load *l)
{
	enum { SOME = 2048 };

	for (double put = 0; put < (double)pool;) {
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
measure(struct bench_contest *c, struct bench_table *table)
{
	struct bench_load *l = c->loads;

	l[0] = (struct bench_load){.crew = bench_crew_new(1, sizeof(uint64_t)),
		.store = bench_cache_open(pool),
		.sizes = sizes,
		.random = bench.seed,
		.gets = 50};
	l[1].store = bench_floor_open(pool);
	bench_load_run(l, BENCH_OP_PUT, 1, 2);
	l->recent = 2;
	/* the filling is not a turnover yet */
	turn_over(l);
	for (uint64_t done = 0, stop = 1;; stop = next_stop(stop)) {
		for (; done < stop; done++) {
			turn_over(l);
			bench_progress(
				(double)done / (double)turnovers, "turnovers");
		}
		add_row(c, done, table);
		if (stop == turnovers)
			break;
	}
	bench_store_close(l[1].store);
	bench_store_close(l[0].store);
	bench_crew_free(l[0].crew);
}

static void
run(struct bench_report *r, char **arguments)
{
	struct bench_load loads[2] = {0};
	struct bench_contest c = {.loads = loads,
		.n = 2,
		.threads = {1, {1}},
		.rounds = (unsigned)rounds};

	(void)arguments;
	if (sizes.draw == NULL)
		bench_parse_value_sizes("log-uniform:256:64K", &sizes);
	pool = bench_fit_pool(pool, (size_t)512 << 20, 2);
	if (sizes.high > pool / 16)
		bench_refuse("--pool is at least 16 of the largest values");
	bench_setting_bytes(r, "pool", pool);
	bench_setting_common(r);
	bench_setting(r, "sizes", sizes.spec);
	bench_setting_number(r, "rounds", rounds);
	measure(&c, BENCH_TABLE(r, "churn", columns));
	bench_contest_free(&c);
	bench_distribution_free(&sizes);
	bench_note(r, "turnovers: how often the pool has been filled after the "
		      "first time, with as many\ngets as puts. runs/value: "
		      "pieces that a value is in. get, put: ns of one thread.\n"
		      "floor: copying the same bytes in a plain mapping.");
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE", "(default 512M)", bench_parse_size, &pool},
	{"turnovers", 'n', "N", "how often the pool is filled (default 200)",
		bench_parse_positive, &turnovers},
	{"sizes", 'v', "DIST",
		"of the values, written as for simul (default "
		"log-uniform:256:64K)",
		bench_parse_value_sizes, &sizes},
	{"rounds", 'r', "N", "at least 5 (default 7)", bench_parse_rounds,
		&rounds},
	{0},
};

const struct bench_command bench_churn = {
	.name = "churn",
	.summary = "whether gets and puts become slower as a cache ages",
	.help = "Puts values of random sizes, with as many gets in between, "
		"until the pool has been filled many times over; after 1, 2, "
		"5, 10, ... times counts the pieces that values are in, and "
		"times gets and puts beside the floor.",
	.options = options,
	.evicts = true,
	.run = run,
};
