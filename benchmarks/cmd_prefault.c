/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_prefault.c -- who pays for the pages of a pool, and when
 *
 * For each directory and each number of threads, none among them: make a cache,
 * which is ready when vmemcache_add() returns, then fill its pool once with
 * puts, each of them timed: each is the first to touch its blocks. All go round
 * robin. The floor of being ready is a plain mapping of the same size there,
 * written once by one thread.
 *
 * Pages are huge or not as the directory's file system has them: what was
 * obtained is told, and two directories show the difference.
 */
#include <string.h>

#include "commands.h"
#include "crew.h"
#include "progress.h"
#include "room.h"
#include "store.h"

enum { MAX_PATHS = 4 };

static uint64_t pool;
static uint64_t value = 4096;
static uint64_t rounds = 5;
static struct bench_list threads = {2, {1, 2}};
static double done; /* for the progress bar */
static double all;

/* One directory, one number of threads. */
struct one_case {
	const char *path;
	unsigned threads; /* 0: no prefault */
	double ready[BENCH_MAX_ROUNDS];
	double ratio[BENCH_MAX_ROUNDS];
	double fill[BENCH_MAX_ROUNDS]; /* ns a put */
	uint64_t huge;
	uint64_t page_size;
	struct bench_histogram latency;
};

static const struct bench_column columns[] = {
	{"path", "path", BENCH_TEXT},
	{"threads", "prefault", BENCH_WHOLE},
	{"ready_ns", "ready", BENCH_DURATION},
	{"ready_ratio", "x floor", BENCH_TWO_DIGITS},
	{"page_size", "page", BENCH_BYTES},
	{"huge_bytes", "in huge pages", BENCH_BYTES},
	{"first_put_ns", "ns/put", BENCH_WHOLE},
	BENCH_TAIL_COLUMNS,
};

/* vmemcache_on_progress */
static int
on_progress(VMEMcache *cache, size_t part, size_t total, void *arg)
{
	(void)cache, (void)arg;
	bench_progress((done + (double)part / (double)total) / all, "prefault");
	return 0;
}

/* Every put is of a new key, until the pool is full. */
static void
fill(VMEMcache *cache, struct one_case *c, unsigned round)
{
	uint64_t extent = bench.extent;
	uint64_t n = pool / ((value + extent - 1) / extent * extent);
	char *bytes = bench_zeroed(1, value);
	uint64_t start = bench_now();
	uint64_t before = start;

	for (uint64_t key = 0; key < n; key++) {
		if (vmemcache_put(cache, &key, sizeof(key), bytes, value))
			bench_fail("put: %s", vmemcache_errormsg());
		uint64_t after = bench_now();
		bench_histogram_record(&c->latency, after - before);
		before = after;
	}
	c->fill[round] = (double)(before - start) / (double)n;
	free(bytes);
}

static void
measure(struct one_case *c, unsigned round)
{
	bench.path = c->path;
	uint64_t start = bench_now();
	struct bench_store *plain = bench_floor_open(pool);
	double floor_ns = (double)(bench_now() - start);
	bench_store_close(plain);

	VMEMcache *cache = bench_cache_configure(pool);
	if (vmemcache_set_prefault(cache, c->threads, on_progress, NULL))
		bench_fail("prefault: %s", vmemcache_errormsg());
	start = bench_now();
	bench_cache_add(cache);
	c->ready[round] = (double)(bench_now() - start);
	c->ratio[round] = c->ready[round] / floor_ns;
	c->page_size = bench_statistic(cache, VMEMCACHE_STAT_PAGE_SIZE);
	fill(cache, c, round);
	c->huge = bench_statistic(cache, VMEMCACHE_STAT_POOL_SIZE_HUGE);
	bench_cache_delete(cache);
	bench_progress(++done / all, "prefault");
}

static void
measure_all(char **paths, size_t n_paths, struct bench_table *table)
{
	size_t each = threads.n + 1;
	size_t n = n_paths * each;
	struct one_case *cases = bench_zeroed(n, sizeof(*cases));

	for (size_t i = 0; i < n; i++) {
		cases[i].path = paths[i / each];
		if (i % each > 0)
			cases[i].threads = (unsigned)threads.at[i % each - 1];
	}
	all = (double)(n * rounds);
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < n; i++)
			measure(&cases[(round + i) % n], round);
	for (struct one_case *c = cases; c < cases + n; c++)
		BENCH_ROW(table, c->path, c->threads ? (double)c->threads : NAN,
			bench_median(c->ready, rounds),
			bench_median(c->ratio, rounds), (double)c->page_size,
			(double)c->huge, bench_median(c->fill, rounds),
			BENCH_TAIL(&c->latency));
	free(cases);
}

static void
run(struct bench_report *r, char **paths)
{
	char *own[] = {(char *)(uintptr_t)bench.path, NULL};
	size_t n = 0;

	if (paths[0] == NULL)
		paths = own;
	while (paths[n] != NULL)
		n++;
	if (n > MAX_PATHS)
		bench_refuse("more than %d directories", MAX_PATHS);
	for (size_t i = 0; i < n; i++) {
		bench.path = paths[i];
		pool = bench_fit_pool(pool, (size_t)1 << 30, 2);
	}
	bench_setting_bytes(r, "pool", pool);
	bench_setting_bytes(r, "value", value);
	bench_setting_number(r, "rounds", rounds);
	measure_all(paths, n, BENCH_TABLE(r, "prefault", columns));
	bench_note(r, "prefault: threads that make the pages present; -: none, "
		      "they come when touched.\nready: the time of "
		      "vmemcache_add(); x floor: times that of writing a plain "
		      "mapping\nonce. ns/put to max: puts that fill the pool "
		      "for the first time.");
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE", "(default 1G, less where memory is short)",
		bench_parse_size, &pool},
	{"prefault", 't', "N,...", "threads that prefault (default 1,2)",
		bench_parse_threads, &threads},
	{"value", 'v', "SIZE", "of all values (default 4K)", bench_parse_value,
		&value},
	{"rounds", 'r', "N", "at least 5 (default 5)", bench_parse_rounds,
		&rounds},
	{0},
};

const struct bench_command bench_prefault = {
	.name = "prefault",
	.arguments = "[DIR...]",
	.summary = "how soon a pool is ready, and what its first puts take",
	.help = "Makes caches in each directory (default: that of --path), "
		"with the pages of the pool made present beforehand by so many "
		"threads, and without; tells how soon they are ready, what "
		"they got in huge pages, and what the puts take that fill them "
		"for the first time.",
	.options = options,
	.without = {"seed"},
	.run = run,
};
