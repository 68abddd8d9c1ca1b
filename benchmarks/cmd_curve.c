/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_curve.c -- misses over the size of the cache, for each policy
 *
 * One thread serves the whole trace once for each policy and size: the misses
 * are a property of the policy then. Values take their blocks, but are not
 * copied, so it takes no longer than the calls do.
 *
 * A pool has a least size. Where a trace needs less, the blocks are larger, and
 * the values with them: what counts is how many blocks there are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "progress.h"
#include "random.h"
#include "store.h"
#include "trace.h"

static const struct bench_column columns[] = {
	{"size", "size", BENCH_TEXT},
	{"blocks", "blocks", BENCH_WHOLE},
	{"lru", "lru", BENCH_THREE_DIGITS},
	{"sieve", "sieve", BENCH_THREE_DIGITS},
	{"s3fifo", "s3fifo", BENCH_THREE_DIGITS},
	{"adaptive", "adaptive", BENCH_THREE_DIGITS},
};

struct sizes {
	size_t n;
	struct size {
		char text[24];
		double percent; /* of all objects; 0: bytes */
		uint64_t bytes;
	} at[BENCH_LIST_MAX];
};

static struct sizes sizes;
static struct bench_trace *trace;
static uint64_t unit; /* bytes of a value that take a block */

static const char *
parse_size(const char *text, struct size *size)
{
	char *end;

	if (strlen(text) >= sizeof(size->text))
		return "has a size that is too long";
	strcpy(size->text, text);
	size->percent = strtod(text, &end);
	if (end != text && strcmp(end, "%") == 0)
		return size->percent > 0 && size->percent <= 100
			       ? NULL
			       : "has a percentage that is not from 0 to 100";
	size->percent = 0;
	return bench_parse_number(text, 1024, &size->bytes);
}

/* bench_parse */
static const char *
parse_sizes(const char *text, void *into)
{
	struct sizes *list = into;
	char *copy = strdup(text), *rest = copy;
	const char *wrong = NULL;

	list->n = 0;
	while (rest != NULL && wrong == NULL)
		wrong = list->n == BENCH_LIST_MAX
				? "has more than 16 sizes"
				: parse_size(strsep(&rest, ","),
					  &list->at[list->n++]);
	free(copy);
	return wrong;
}

static uint64_t
blocks_of(uint64_t size)
{
	return size / unit + (size % unit != 0);
}

/* --- the objects --- */

struct objects {
	struct object {
		uint64_t id;
		uint64_t blocks; /* 0: nothing is here */
	} * table;
	uint64_t room; /* a power of two */
	uint64_t count;
};

static struct object *
find(const struct objects *o, uint64_t id)
{
	uint64_t i = bench_mix(id);

	while (o->table[i & (o->room - 1)].blocks > 0 &&
		o->table[i & (o->room - 1)].id != id)
		i++;
	return &o->table[i & (o->room - 1)];
}

static void
make_room(struct objects *o)
{
	struct objects larger = {
		.room = o->room ? 2 * o->room : 1024, .count = o->count};

	larger.table = bench_zeroed(larger.room, sizeof(*o->table));
	for (uint64_t i = 0; i < o->room; i++)
		if (o->table[i].blocks > 0)
			*find(&larger, o->table[i].id) = o->table[i];
	free(o->table);
	*o = larger;
}

static uint64_t
blocks_of_all(void)
{
	struct objects objects = {.count = 0};
	struct bench_trace_request r;
	uint64_t sum = 0;

	while (bench_trace_next(trace, &r)) {
		if (2 * objects.count >= objects.room)
			make_room(&objects);
		struct object *o = find(&objects, r.id);
		/* one of no bytes is an object, too, for the table */
		uint64_t blocks = blocks_of(r.size ? r.size : 1);
		objects.count += o->blocks == 0;
		o->id = r.id;
		if (blocks > o->blocks) {
			sum += blocks - o->blocks;
			o->blocks = blocks;
		}
	}
	free(objects.table);
	return sum;
}

/* --- serving --- */

/* The part of all requests that miss. */
static double
serve(enum vmemcache_repl_p policy, uint64_t blocks)
{
	struct bench_trace_request r;
	uint64_t misses = 0, requests = 0;
	const char nothing = 0;

	bench.policy = policy;
	bench.extent = unit > 1 ? unit : VMEMCACHE_MIN_EXTENT;
	if (blocks * bench.extent < VMEMCACHE_MIN_POOL)
		bench.extent = VMEMCACHE_MIN_POOL / blocks + 1;
	VMEMcache *cache = bench_cache_configure(blocks * bench.extent);
	bench_cache_add(cache);
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_NO_MEMCPY, 1);
	bench_trace_rewind(trace);
	for (; bench_trace_next(trace, &r); requests++) {
		if (vmemcache_get(
			    cache, &r.id, sizeof(r.id), NULL, 0, 0, NULL) >= 0)
			continue;
		misses++;
		if (vmemcache_put(cache, &r.id, sizeof(r.id), &nothing,
			    blocks_of(r.size) * bench.extent) &&
			errno != ENOSPC)
			bench_fail("%s", vmemcache_errormsg());
	}
	bench_cache_delete(cache);
	return (double)misses / (double)requests;
}

static void
serve_all(uint64_t all, struct bench_table *table)
{
	for (size_t i = 0; i < sizes.n; i++) {
		const struct size *size = &sizes.at[i];
		double misses[BENCH_POLICIES];
		uint64_t blocks =
			size->percent > 0
				? (uint64_t)((double)all * size->percent / 100)
				: size->bytes / unit;
		if (blocks == 0)
			bench_refuse("%s is less than a block of %llu bytes",
				size->text, (unsigned long long)unit);
		for (size_t p = 0; p < BENCH_POLICIES; p++) {
			bench_progress(
				(double)(i * BENCH_POLICIES + p) /
					(double)(sizes.n * BENCH_POLICIES),
				size->text);
			misses[p] = serve(bench_policies[p], blocks);
		}
		BENCH_ROW(table, size->text, (double)blocks, misses[0],
			misses[1], misses[2], misses[3]);
	}
}

static void
run(struct bench_report *r, char **arguments)
{
	trace = bench_trace_of(arguments);
	if (sizes.n == 0)
		parse_sizes("1%,2%,5%,10%,20%", &sizes);
	const struct bench_trace_summary *summary = bench_trace_summary(trace);
	unit = summary->largest > 1 ? bench.extent : 1;
	uint64_t all = blocks_of_all();
	bench_setting(r, "trace", arguments[0]);
	bench_setting_number(r, "requests", summary->requests);
	bench_setting_number(r, "block_bytes", unit);
	bench_setting_number(r, "blocks_of_all", all);
	serve_all(all, BENCH_TABLE(r, "curve", columns));
	bench_note(r, "misses: of all requests, for each policy.");
	bench_trace_close(trace);
}

static const struct bench_option options[] = {
	{"sizes", 's', "SIZE,...",
		"of the cache, as 1% or 64M (default 1%,2%,5%,10%,20%)",
		parse_sizes, &sizes},
	{0},
};

const struct bench_command bench_curve = {
	.name = "curve",
	.arguments = "TRACE",
	.summary = "misses over the size of the cache, for each policy",
	.help = "Serves the recorded requests of TRACE as replay does, once "
		"for each policy and each size of the cache, and prints how "
		"many miss. Nothing is copied, so times are not told.\n\n"
		"A size is in bytes, or a percentage of the bytes of all "
		"objects of the trace, each at its largest. Where no object is "
		"larger than a byte, each takes a block: a size is their "
		"number.",
	.options = options,
	.run = run,
};
