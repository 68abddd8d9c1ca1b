/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_curve.c -- misses over the size of the cache, for each policy
 *
 * A cache of its own for each policy and size serves the requests, or a sample
 * of them (sample.h), in one thread: the misses are a property of the policy
 * then. Threads take the next such simulation until there are no more. Values
 * take their blocks, but are not copied, so it takes no longer than the calls
 * do.
 *
 * A pool has a least size. Where a trace needs less, the blocks are larger, and
 * the values with them: what counts is how many blocks there are.
 *
 * Of a sample the misses are divided by as many requests as its rate would
 * have given, not by those that it has: what it has too many or too few are
 * mostly requests of a few popular objects, which hit.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "commands.h"
#include "prefixes.h"
#include "progress.h"
#include "sample.h"
#include "store.h"

enum { MAX_THREADS = 64 };

static const struct bench_column columns[] = {
	{"size", "size", BENCH_TEXT},
	{"blocks", "blocks", BENCH_WHOLE},
	{"lru", "lru", BENCH_THREE_DIGITS},
	{"sieve", "sieve", BENCH_THREE_DIGITS},
	{"s3fifo", "s3fifo", BENCH_THREE_DIGITS},
	{"adaptive", "adaptive", BENCH_THREE_DIGITS},
};

static struct bench_sizes sizes;
static struct bench_list threads;
static uint64_t objects = 250000;
static double rate = 1;

/* Fixed while threads run. */
static struct bench_sample sample;
static double requests; /* that the rate would have given */

static _Atomic size_t next_job;
static _Atomic uint64_t served;
static _Atomic unsigned running;
static double misses[BENCH_LIST_MAX][BENCH_POLICIES]; /* by who has the job */

/* A cache takes its settings from bench. */
static VMEMcache *
open_cache(enum vmemcache_repl_p policy, uint64_t blocks, size_t *granule)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	bench.policy = policy;
	bench.extent = VMEMCACHE_MIN_EXTENT;
	if (blocks * bench.extent < VMEMCACHE_MIN_POOL)
		bench.extent = VMEMCACHE_MIN_POOL / blocks + 1;
	*granule = bench.extent;
	VMEMcache *cache = bench_cache_configure(blocks * bench.extent);
	bench_cache_add(cache);
	pthread_mutex_unlock(&lock);
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_NO_MEMCPY, 1);
	return cache;
}

/* How many of the sample miss. */
static uint64_t
serve(enum vmemcache_repl_p policy, uint64_t blocks)
{
	size_t granule;
	VMEMcache *cache = open_cache(policy, blocks, &granule);
	uint64_t missed = 0;
	const char nothing = 0;

	for (uint64_t i = 0; i < sample.n; i++) {
		const struct bench_sampled *r = &sample.requests[i];

		if (i % 4096 == 0)
			atomic_fetch_add(&served, 4096);
		if (vmemcache_get(cache, &r->id, sizeof(r->id), NULL, 0, 0,
			    NULL) >= 0)
			continue;
		missed++;
		if (vmemcache_put(cache, &r->id, sizeof(r->id), &nothing,
			    r->blocks * granule) &&
			errno != ENOSPC)
			bench_fail("%s", vmemcache_errormsg());
	}
	bench_cache_delete(cache);
	return missed;
}

static uint64_t
sampled_blocks(const struct bench_size *size)
{
	return (uint64_t)(bench_blocks_of(&sample, size) * sample.rate);
}

static void *
take_jobs(void *unused)
{
	size_t job;

	(void)unused;
	while ((job = atomic_fetch_add(&next_job, 1)) <
		sizes.n * BENCH_POLICIES) {
		size_t i = job / BENCH_POLICIES, p = job % BENCH_POLICIES;
		uint64_t missed =
			serve(bench_policies[p], sampled_blocks(&sizes.at[i]));

		misses[i][p] = (double)missed / requests;
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void
serve_all(void)
{
	pthread_t started[MAX_THREADS];
	unsigned n = (unsigned)threads.at[0];
	double all = (double)(sizes.n * BENCH_POLICIES * sample.n);

	running = n;
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&started[i], NULL, take_jobs, NULL))
			bench_fail("no thread");
	while (running > 0) {
		bench_progress((double)served / all, "serving");
		usleep(20000);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(started[i], NULL);
}

static const char *
parse_rate(const char *text, void *into)
{
	char *end;

	*(double *)into = strtod(text, &end);
	return *end || !(rate > 0 && rate <= 1) ? "is above 0, up to 1" : NULL;
}

static void
run(struct bench_report *r, char **arguments)
{
	if (arguments[0] && bench_prefixes_recognised(arguments[0]))
		bench_refuse("%s has requests for blocks: those are for replay",
			arguments[0]);
	struct bench_trace *trace = bench_trace_of(arguments);
	const struct bench_trace_summary *summary = bench_trace_summary(trace);
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (sizes.n == 0)
		bench_parse_cache_sizes("1%,2%,5%,10%,20%", &sizes);
	if (threads.n == 0)
		threads.at[0] = processors < MAX_THREADS ? (uint64_t)processors
							 : MAX_THREADS;
	sample = bench_sample_take(trace, rate, objects, true);
	requests = (double)summary->requests * sample.rate;
	for (size_t i = 0; i < sizes.n; i++)
		if (sampled_blocks(&sizes.at[i]) == 0)
			bench_refuse("%s is less than a block of %llu bytes "
				     "with a sample of %g",
				sizes.at[i].text,
				(unsigned long long)sample.unit, sample.rate);
	bench_setting(r, "trace", arguments[0]);
	bench_setting_number(r, "requests", summary->requests);
	bench_setting_number(r, "sampled_objects", sample.objects);
	bench_setting_number(r, "sampled_requests", sample.n);
	bench_setting_number(r, "block_bytes", sample.unit);
	bench_setting_number(r, "blocks_of_all", (uint64_t)sample.blocks);
	serve_all();
	struct bench_table *table = BENCH_TABLE(r, "curve", columns);
	for (size_t i = 0; i < sizes.n; i++)
		BENCH_ROW(table, sizes.at[i].text,
			floor(bench_blocks_of(&sample, &sizes.at[i])),
			misses[i][0], misses[i][1], misses[i][2], misses[i][3]);
	bench_note(r, "misses: of all requests, for each policy.");
	bench_sample_free(&sample);
	bench_trace_close(trace);
}

static const struct bench_option options[] = {
	{"sizes", 's', "SIZE,...",
		"of the cache, as 1% or 64M (default 1%,2%,5%,10%,20%)",
		bench_parse_cache_sizes, &sizes},
	{"objects", 'n', "N",
		"sample so few that there are at most N; 0: all (default 250K)",
		bench_parse_count, &objects},
	{"rate", 'r', "PART",
		"sample that part of the objects, as 0.01 (default 1)",
		parse_rate, &rate},
	{"threads", 't', "N", "simulate so many at once (default: processors)",
		bench_parse_threads, &threads},
	{0},
};

const struct bench_command bench_curve = {
	.name = "curve",
	.arguments = "TRACE",
	.summary = "misses over the size of the cache, for each policy",
	.help = "Serves the recorded requests of TRACE as replay does, once "
		"for each policy and each size of the cache, and prints how "
		"many miss. Nothing is copied, so times are not told. Of a "
		"trace with many objects, a sample chosen by a hash stands for "
		"all, with a cache as much smaller.\n\n"
		"A size is in bytes, or a percentage of the bytes of all "
		"objects of the trace, each at its largest. Where no object is "
		"larger than a byte, each takes a block: a size is their "
		"number. Each cache hashes keys with a random seed of its own, "
		"so "
		"s3fifo and adaptive differ by thousandths between runs.",
	.options = options,
	.without = {"policy", "seed"},
	.run = run,
};
