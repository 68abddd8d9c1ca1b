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
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "distribution.h"
#include "dram.h"
#include "progress.h"
#include "random.h"
#include "room.h"
#include "store.h"

enum {
	SIZE_BITS = 25,
	ENTRIES = 1000000 /* for their DRAM */
};

static uint64_t pool;
static uint64_t turnovers = 20;
static uint64_t entries = UINT64_MAX;
static struct bench_distribution only; /* draw is NULL: the standard set */

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

enum { N_STANDARD = sizeof(standard_set) / sizeof(standard_set[0]) };

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

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct churn *c = arg;
	uint64_t number;

	(void)cache;
	memcpy(&number, key, key_size);
	c->requested -= number & ((UINT64_C(1) << SIZE_BITS) - 1);
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
turn_over(struct churn *c, const struct bench_distribution *sizes, bool gets,
	double part)
{
	uint64_t random = bench_mix(bench.seed);
	double all = (double)pool * (double)turnovers;
	char *buffer = bench_zeroed(1, sizes->high + 1);

	for (double put = 0; put < all; c->puts++) {
		uint64_t size = bench_draw(sizes, &random);
		uint64_t key = c->puts << SIZE_BITS | size;

		if (gets)
			get_recent(c, buffer, size, &random);
		if (vmemcache_put(c->cache, &key, sizeof(key), buffer, size))
			bench_fail("put of %llu bytes: %s",
				(unsigned long long)size, vmemcache_errormsg());
		c->requested += size;
		c->keys[c->puts % c->ring] = key;
		put += (double)size;
		if (c->puts % 4096 == 0)
			bench_progress(
				part + put / all / N_STANDARD, sizes->spec);
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
measure_space(const struct bench_distribution *sizes, bool gets, double part,
	struct bench_table *table)
{
	struct churn c = {.cache = bench_cache_configure(pool)};

	/* About as many keys as the pool holds. */
	c.ring = (size_t)((double)pool / (mean_of(sizes) + 1)) + 16;
	c.keys = bench_realloc(NULL, c.ring * sizeof(*c.keys));
	vmemcache_callback_on_evict(c.cache, on_evict, &c);
	bench_cache_add(c.cache);
	turn_over(&c, sizes, gets, part);

	double used =
		(double)bench_statistic(c.cache, VMEMCACHE_STAT_POOL_SIZE_USED);
	double values =
		(double)bench_statistic(c.cache, VMEMCACHE_STAT_ENTRIES);
	double runs = (double)bench_statistic(c.cache, VMEMCACHE_STAT_EXTENTS);
	BENCH_ROW(table, sizes->spec, gets,
		100 * (double)c.requested / (double)pool,
		100 * used / (double)pool, values, runs / values,
		(double)bench_statistic(c.cache, VMEMCACHE_STAT_HEAP_ENTRIES));
	bench_cache_delete(c.cache);
	free(c.keys);
}

static void
measure_all_space(struct bench_table *table)
{
	if (only.draw != NULL) {
		measure_space(&only, false, 0, table);
		measure_space(&only, true, 0.5, table);
		return;
	}
	for (size_t i = 0; i < N_STANDARD; i++) {
		struct bench_distribution d;

		bench_parse_value_sizes(standard_set[i].sizes, &d);
		measure_space(&d, standard_set[i].gets, (double)i / N_STANDARD,
			table);
	}
}

/* --- the command --- */

/* Fewer than wanted where there is no room for so many; 0 for hardly any. */
static uint64_t
default_entries(void)
{
	size_t spare = bench_dram_pool(0);
	size_t room = bench_room(bench_dram_pool(ENTRIES), 1);

	return room > spare ? (room - spare) / bench.extent : 0;
}

static void
run(struct bench_report *r, char **arguments)
{
	struct bench_dram d;

	(void)arguments;
	if (entries == UINT64_MAX)
		entries = default_entries();
	pool = bench_fit_pool(pool, (size_t)256 << 20, 1);
	if (entries > 0) {
		bench_progress(0, "entries for their DRAM");
		d = bench_dram_measure(entries);
	}
	bench_setting_bytes(r, "pool", pool);
	bench_setting_common(r);
	bench_setting_number(r, "turnovers", turnovers);
	measure_all_space(BENCH_TABLE(r, "space", space_columns));
	if (entries > 0)
		BENCH_ROW(BENCH_TABLE(r, "dram", dram_columns), NULL,
			(double)entries, BENCH_DRAM_KEY, d.resident, d.counted);
	bench_note(r, "used: bytes of the values that are in the cache, of "
		      "the pool. allocated: their\nblocks. runs/value: pieces "
		      "that a value is in. resident: memory that an entry\n"
		      "adds to the process beside its key; counted: what the "
		      "library says of that.");
	bench_distribution_free(&only);
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE", "(default 256M)", bench_parse_size, &pool},
	{"turnovers", 'n', "N", "how often the pool is filled (default 20)",
		bench_parse_positive, &turnovers},
	{"sizes", 'v', "DIST",
		"these instead of the standard set; written as for simul",
		bench_parse_value_sizes, &only},
	{"entries", 0, "N", "for the DRAM of an entry; 0: skip it (default 1M)",
		bench_parse_count, &entries},
	{0},
};

const struct bench_command bench_util = {
	.name = "util",
	.summary = "the space that values get, and the DRAM that entries take",
	.help = "Puts values of random sizes until the pool has been filled "
		"many times over, then compares the bytes asked for with the "
		"size of the pool: for sizes fixed, uniform and log-uniform, "
		"and with gets in between, which scatter what becomes free. "
		"Then fills a cache with small entries and looks how much "
		"memory the process grew.",
	.options = options,
	.evicts = true,
	.run = run,
};
