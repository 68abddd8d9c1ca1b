/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_util.c -- how much of the memory the values get
 *
 * Space: put values of random sizes until the pool has been filled some
 * twenty times over, then compare the bytes that callers asked for with the
 * size of the pool. What is in the cache is known from the evictions: a key
 * carries the size of its value in its low bits, so the callback need not
 * look anything up. "With gets": before each put a get of a key put lately,
 * which takes the order of evictions away from the order of the puts, so that
 * what becomes free lies scattered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "distribution.h"
#include "dram.h"
#include "plot.h"
#include "progress.h"
#include "random.h"
#include "room.h"
#include "store.h"

enum {
	SIZE_BITS = 24,
	ENTRIES = 1000000 /* for their DRAM */
};

struct util {
	struct bench_common common;
	uint64_t pool;
	uint64_t turnovers;
	uint64_t entries;
	struct bench_distribution sizes; /* draw is NULL: the standard set */
};

static const struct {
	const char *sizes;
	bool gets;
} standard_set[] = {
	{"fixed:256", false},
	{"fixed:1K", false},
	{"fixed:4K", false},
	{"fixed:16K", false},
	{"uniform:1:64K", false},
	{"log-uniform:256:64K", false},
	{"log-uniform:256:64K", true},
};

#define N_STANDARD (sizeof(standard_set) / sizeof(standard_set[0]))

static const struct bench_column space_columns[] = {
	{"sizes", "sizes", BENCH_TEXT},
	{"gets_per_put", "gets/put", BENCH_WHOLE},
	{"used_percent", "used %", BENCH_TWO_DIGITS},
	{"allocated_percent", "allocated %", BENCH_TWO_DIGITS},
	{"entries", "values", BENCH_WHOLE},
	{"runs_per_value", "runs/value", BENCH_THREE_DIGITS},
	{"free_runs", "free runs", BENCH_WHOLE},
};

static const struct bench_column dram_columns[] = {
	{"entries", "entries", BENCH_WHOLE},
	{"key_bytes", "key bytes", BENCH_WHOLE},
	{"resident_per_entry", "resident B/entry", BENCH_ONE_DIGIT},
	{"counted_per_entry", "counted B/entry", BENCH_ONE_DIGIT},
};

/* --- space --- */

struct churn {
	VMEMcache *cache;
	uint64_t requested; /* bytes of the values that are in the cache */
	uint64_t *keys;     /* those put last, a ring */
	size_t ring;
	uint64_t puts;
};

static uint64_t
size_of_key(uint64_t key)
{
	return key & ((UINT64_C(1) << SIZE_BITS) - 1);
}

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct churn *c = arg;
	uint64_t number;

	(void)cache;
	memcpy(&number, key, key_size);
	c->requested -= size_of_key(number);
}

static void
get_recent(struct churn *c, char *buffer, size_t size, uint64_t *random)
{
	uint64_t known = c->puts < c->ring ? c->puts : c->ring;

	if (known == 0)
		return;
	uint64_t key = c->keys[bench_random_below(random, known)];
	vmemcache_get(c->cache, &key, sizeof(key), buffer, size, 0, NULL);
}

/* Put values of these sizes until their bytes make up so many pools. */
static void
turn_over(const struct util *u, struct churn *c,
	const struct bench_distribution *sizes, bool gets, double part)
{
	uint64_t random = bench_mix(u->common.seed);
	double all = (double)u->pool * (double)u->turnovers;
	char *buffer = bench_realloc(NULL, sizes->high + 1);

	memset(buffer, 0xa5, sizes->high + 1);
	for (double put = 0; put < all; c->puts++) {
		uint64_t size = bench_draw(sizes, &random);
		uint64_t key = c->puts << SIZE_BITS | size;

		if (gets)
			get_recent(c, buffer, size, &random);
		if (vmemcache_put(c->cache, &key, sizeof(key), buffer, size))
			bench_fail("util: put of %llu bytes: %s",
				(unsigned long long)size, vmemcache_errormsg());
		c->requested += size;
		c->keys[c->puts % c->ring] = key;
		put += (double)size;
		if (c->puts % 4096 == 0)
			bench_progress(part + put / all / (double)N_STANDARD,
				sizes->spec);
	}
	free(buffer);
}

static double
mean_of(const struct bench_distribution *sizes)
{
	enum { SAMPLES = 10000 };
	uint64_t random = 1;
	double sum = 0;

	for (int i = 0; i < SAMPLES; i++)
		sum += (double)bench_draw(sizes, &random);
	return sum / SAMPLES;
}

static void
measure_space(const struct util *u, const struct bench_distribution *sizes,
	bool gets, double part, struct bench_report *r)
{
	struct churn c = {.cache = bench_cache_configure(&u->common, u->pool)};

	/* About as many keys as the pool holds. */
	c.ring = (size_t)((double)u->pool / (mean_of(sizes) + 1)) + 16;
	c.keys = bench_realloc(NULL, c.ring * sizeof(*c.keys));
	vmemcache_callback_on_evict(c.cache, on_evict, &c);
	if (vmemcache_add(c.cache, u->common.path))
		bench_fail("no pool of %llu bytes in %s: %s",
			(unsigned long long)u->pool, u->common.path,
			vmemcache_errormsg());
	turn_over(u, &c, sizes, gets, part);

	double entries =
		(double)bench_statistic(c.cache, VMEMCACHE_STAT_ENTRIES);
	bench_row(r);
	bench_cell_text(r, "%s", sizes->spec);
	bench_cell(r, gets);
	bench_cell(r, 100 * (double)c.requested / (double)u->pool);
	bench_cell(r, 100 *
			      (double)bench_statistic(
				      c.cache, VMEMCACHE_STAT_POOL_SIZE_USED) /
			      (double)u->pool);
	bench_cell(r, entries);
	bench_cell(r, (double)bench_statistic(c.cache, VMEMCACHE_STAT_EXTENTS) /
			      entries);
	bench_cell(r,
		(double)bench_statistic(c.cache, VMEMCACHE_STAT_HEAP_ENTRIES));
	bench_cache_delete(c.cache);
	free(c.keys);
}

/* --- DRAM --- */

static void
report_dram(struct bench_report *r, const struct util *u,
	const struct bench_dram *d)
{
	bench_table(r, "dram", dram_columns,
		sizeof(dram_columns) / sizeof(*dram_columns));
	bench_row(r);
	bench_cell(r, (double)u->entries);
	bench_cell(r, BENCH_DRAM_KEY);
	bench_cell(r, d->resident);
	bench_cell(r, d->counted);
}

/* Fewer than wanted where there is no room for so many; 0 for hardly any. */
static uint64_t
default_entries(const struct util *u)
{
	size_t spare = bench_dram_pool(&u->common, 0);
	size_t room =
		bench_room(&u->common, bench_dram_pool(&u->common, ENTRIES), 1);

	return room > spare ? (room - spare) / u->common.extent : 0;
}

/* --- the command --- */

static const char *
parse_sizes(const char *text, void *into)
{
	struct bench_distribution *d = into;
	const char *wrong = bench_distribution_parse(d, text, 1024);

	if (wrong == NULL && (d->high >= 1 << SIZE_BITS || d->high == 0)) {
		bench_distribution_free(d);
		wrong = "sizes are 1 byte to 16 MiB here";
	}
	return wrong;
}

static void
measure_all_space(struct util *u, struct bench_report *r)
{
	bench_table(r, "space", space_columns,
		sizeof(space_columns) / sizeof(*space_columns));
	if (u->sizes.draw != NULL) {
		measure_space(u, &u->sizes, false, 0, r);
		measure_space(u, &u->sizes, true, 0.5, r);
		return;
	}
	for (size_t i = 0; i < N_STANDARD; i++) {
		struct bench_distribution d;

		bench_distribution_parse(&d, standard_set[i].sizes, 1024);
		measure_space(u, &d, standard_set[i].gets,
			(double)i / (double)N_STANDARD, r);
	}
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct util u = {
		.common = BENCH_COMMON_DEFAULTS,
		.turnovers = 20,
		.entries = UINT64_MAX,
	};
	struct bench_dram d;
	const struct bench_option options[] = {
		{"pool", 's', "SIZE", "(default 256M)", bench_parse_size,
			&u.pool},
		{"turnovers", 'n', "N",
			"how often the pool is filled "
			"(default 20)",
			bench_parse_count, &u.turnovers},
		{"sizes", 'v', "DIST",
			"these instead of the standard set; "
			"written as for simul",
			parse_sizes, &u.sizes},
		{"entries", 0, "N",
			"for the DRAM of an entry; 0: skip it "
			"(default 1M)",
			bench_parse_count, &u.entries},
	};

	bench_options(command, options, sizeof(options) / sizeof(*options),
		&u.common, argc, argv);
	if (u.turnovers < 1)
		bench_refuse("util: --turnovers is at least 1");
	bench_refuse_no_eviction(command, &u.common);
	bench_plot_check(u.common.plot);
	if (u.entries == UINT64_MAX)
		u.entries = default_entries(&u);
	u.pool = bench_fit_pool(&u.common, u.pool, (size_t)256 << 20, 1);
	if (u.entries > 0) {
		bench_progress(0, "entries for their DRAM");
		d = bench_dram_measure(&u.common, u.entries);
	}
	struct bench_report *r = bench_report_new(command->name);
	bench_setting_bytes(r, "pool", u.pool);
	bench_common_settings(r, &u.common);
	bench_setting_number(r, "turnovers", u.turnovers);
	measure_all_space(&u, r);
	if (u.entries > 0)
		report_dram(r, &u, &d);
	bench_note(r, "used: bytes of the values that are in the cache, of "
		      "the pool. allocated: their\nblocks. runs/value: pieces "
		      "that a value is in. resident: memory that an entry\n"
		      "adds to the process beside its key; counted: what the "
		      "library says of that.");
	bench_finish(r, &u.common, bench_plot_util);
	bench_distribution_free(&u.sizes);
	return 0;
}

const struct bench_command bench_util = {
	.name = "util",
	.summary = "the space that values get, and the DRAM that entries take",
	.help = "Puts values of random sizes until the pool has been filled "
		"many times over, then\ncompares the bytes asked for with the "
		"size of the pool: for sizes fixed, uniform\nand log-uniform, "
		"and with gets in between, which scatter what becomes free.\n"
		"Then fills a cache with small entries and looks how much "
		"memory the process grew.",
	.run = run,
};
