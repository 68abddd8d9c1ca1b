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
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "load.h"
#include "plot.h"
#include "progress.h"
#include "room.h"
#include "store.h"

enum { MAX_PATHS = 4, MAX_CASES = MAX_PATHS * (BENCH_LIST_MAX + 1) };

struct prefault {
	struct bench_common common;
	uint64_t pool;
	uint64_t value;
	uint64_t rounds;
	struct bench_list threads;
	double done; /* for the progress bar */
	double all;
};

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
	{"p50_ns", "p50", BENCH_DURATION},
	{"p99_ns", "p99", BENCH_DURATION},
	{"p99_9_ns", "p99.9", BENCH_DURATION},
	{"max_ns", "max", BENCH_DURATION},
};

/* vmemcache_on_progress */
static int
on_progress(VMEMcache *cache, size_t done, size_t total, void *arg)
{
	const struct prefault *p = arg;

	(void)cache;
	bench_progress(
		(p->done + (double)done / (double)total) / p->all, "prefault");
	return 0;
}

/* Every put is of a new key, until the pool is full. */
static void
fill(const struct prefault *p, VMEMcache *cache, struct one_case *c,
	unsigned round)
{
	uint64_t extent = p->common.extent;
	uint64_t n = p->pool / ((p->value + extent - 1) / extent * extent);
	char *value = bench_realloc(NULL, p->value);

	memset(value, 0xa5, p->value);
	uint64_t start = bench_now();
	uint64_t before = start;
	for (uint64_t key = 0; key < n; key++) {
		if (vmemcache_put(cache, &key, sizeof(key), value, p->value))
			bench_fail("prefault: put: %s", vmemcache_errormsg());
		uint64_t after = bench_now();
		bench_histogram_record(&c->latency, after - before);
		before = after;
	}
	c->fill[round] = (double)(before - start) / (double)n;
	free(value);
}

/* Returns how long it took. */
static double
open_floor(const struct bench_common *common, size_t size)
{
	uint64_t start = bench_now();
	struct bench_store *plain = bench_floor_open(common, size);
	double took = (double)(bench_now() - start);

	bench_store_close(plain);
	return took;
}

static void
measure(struct prefault *p, struct one_case *c, unsigned round)
{
	struct bench_common common = p->common;

	common.path = c->path;
	double floor_ns = open_floor(&common, p->pool);
	VMEMcache *cache = bench_cache_configure(&common, p->pool);
	if (vmemcache_set_prefault(cache, c->threads, on_progress, p))
		bench_fail("prefault: %s", vmemcache_errormsg());
	uint64_t start = bench_now();
	if (vmemcache_add(cache, c->path))
		bench_fail("no pool of %zu bytes in %s: %s", (size_t)p->pool,
			c->path, vmemcache_errormsg());
	c->ready[round] = (double)(bench_now() - start);
	c->ratio[round] = c->ready[round] / floor_ns;
	c->page_size = bench_statistic(cache, VMEMCACHE_STAT_PAGE_SIZE);
	fill(p, cache, c, round);
	c->huge = bench_statistic(cache, VMEMCACHE_STAT_POOL_SIZE_HUGE);
	bench_cache_delete(cache);
	bench_progress(++p->done / p->all, "prefault");
}

static void
add_row(struct bench_report *r, struct one_case *c, size_t rounds)
{
	bench_row(r);
	bench_cell_text(r, "%s", c->path);
	if (c->threads > 0)
		bench_cell(r, c->threads);
	else
		bench_cell_empty(r);
	bench_cell(r, bench_median(c->ready, rounds));
	bench_cell(r, bench_median(c->ratio, rounds));
	bench_cell(r, (double)c->page_size);
	bench_cell(r, (double)c->huge);
	bench_cell(r, bench_median(c->fill, rounds));
	bench_cell(r, (double)bench_histogram_quantile(&c->latency, 0.5));
	bench_cell(r, (double)bench_histogram_quantile(&c->latency, 0.99));
	bench_cell(r, (double)bench_histogram_quantile(&c->latency, 0.999));
	bench_cell(r, (double)c->latency.max);
}

static void
measure_all(struct prefault *p, const char *const *paths, size_t n_paths,
	struct bench_report *r)
{
	size_t each = p->threads.n + 1;
	size_t n = n_paths * each;
	struct one_case *cases = bench_realloc(NULL, n * sizeof(*cases));

	memset(cases, 0, n * sizeof(*cases));
	for (size_t i = 0; i < n; i++) {
		cases[i].path = paths[i / each];
		if (i % each > 0)
			cases[i].threads =
				(unsigned)p->threads.at[i % each - 1];
	}
	p->all = (double)(n * p->rounds);
	for (unsigned round = 0; round < p->rounds; round++)
		for (size_t i = 0; i < n; i++)
			measure(p, &cases[(round + i) % n], round);
	for (size_t i = 0; i < n; i++)
		add_row(r, &cases[i], p->rounds);
	free(cases);
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct prefault p = {
		.common = BENCH_COMMON_DEFAULTS,
		.value = 4096,
		.rounds = 5,
		.threads = {2, {1, 2}},
	};
	const struct bench_option options[] = {
		{"pool", 's', "SIZE",
			"(default 1G, less where memory is short)",
			bench_parse_size, &p.pool},
		{"prefault", 't', "N,...",
			"threads that prefault (default 1,2)",
			bench_parse_threads, &p.threads},
		{"value", 'v', "SIZE", "of all values (default 4K)",
			bench_parse_size, &p.value},
		{"rounds", 'r', "N", "at least 5 (default 5)",
			bench_parse_count, &p.rounds},
	};
	const char *paths[MAX_PATHS];
	size_t n = 0;
	int first = bench_options(command, options,
		sizeof(options) / sizeof(*options), &p.common, argc, argv);

	if (p.value < 1 || p.value > 1 << 20)
		bench_refuse("prefault: --value is 1 to 1M");
	bench_check_rounds(command, p.rounds);
	if (argc - first > MAX_PATHS)
		bench_refuse("prefault: more than %d directories", MAX_PATHS);
	while (first < argc)
		paths[n++] = argv[first++];
	if (n == 0)
		paths[n++] = p.common.path;
	bench_plot_check(p.common.plot);
	for (size_t i = 0; i < n; i++) {
		p.common.path = paths[i];
		p.pool = bench_fit_pool(&p.common, p.pool, (size_t)1 << 30, 2);
	}

	struct bench_report *r = bench_report_new(command->name);
	bench_setting_bytes(r, "pool", p.pool);
	bench_setting_bytes(r, "value", p.value);
	bench_setting_number(r, "rounds", p.rounds);
	bench_table(r, "prefault", columns, sizeof(columns) / sizeof(*columns));
	measure_all(&p, paths, n, r);
	bench_note(r, "prefault: threads that make the pages present; -: none, "
		      "they come when touched.\nready: the time of "
		      "vmemcache_add(); x floor: times that of writing a plain "
		      "mapping\nonce. ns/put to max: puts that fill the pool "
		      "for the first time.");
	bench_finish(r, &p.common, bench_plot_prefault);
	return 0;
}

const struct bench_command bench_prefault = {
	.name = "prefault",
	.arguments = "[DIR...]",
	.summary = "how soon a pool is ready, and what its first puts take",
	.help = "Makes caches in each directory (default: that of --path), "
		"with "
		"the pages of the pool\nmade present beforehand by so many "
		"threads, and without; tells how soon they are\nready, what "
		"they got in huge pages, and what the puts take that fill them "
		"for the\nfirst time.",
	.run = run,
};
