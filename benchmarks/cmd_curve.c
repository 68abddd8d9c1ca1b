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
#include "plot.h"
#include "progress.h"
#include "random.h"
#include "trace.h"

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE};

#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

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

struct curve {
	struct bench_common common;
	struct bench_trace *trace;
	uint64_t unit; /* bytes of a value that take a block */
	uint64_t all;  /* blocks of all objects, each at its largest */
};

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
	struct sizes *sizes = into;
	char *copy = strdup(text), *rest = NULL;
	const char *wrong = NULL;

	sizes->n = 0;
	for (char *part = strtok_r(copy, ",", &rest); part && !wrong;
		part = strtok_r(NULL, ",", &rest))
		wrong = sizes->n == BENCH_LIST_MAX
				? "has too many sizes"
				: parse_size(part, &sizes->at[sizes->n++]);
	free(copy);
	return wrong ? wrong : sizes->n == 0 ? "has no size" : NULL;
}

static uint64_t
blocks_of(const struct curve *c, uint64_t size)
{
	return size / c->unit + (size % c->unit != 0);
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

	larger.table = bench_realloc(NULL, larger.room * sizeof(*o->table));
	memset(larger.table, 0, larger.room * sizeof(*o->table));
	for (uint64_t i = 0; i < o->room; i++)
		if (o->table[i].blocks > 0)
			*find(&larger, o->table[i].id) = o->table[i];
	free(o->table);
	*o = larger;
}

static uint64_t
blocks_of_all(const struct curve *c)
{
	struct objects objects = {.count = 0};
	struct bench_trace_request r;
	uint64_t sum = 0;

	while (bench_trace_next(c->trace, &r)) {
		if (2 * objects.count >= objects.room)
			make_room(&objects);
		struct object *o = find(&objects, r.id);
		/* one of no bytes is an object, too, for the table */
		uint64_t blocks = blocks_of(c, r.size ? r.size : 1);
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

static VMEMcache *
open_cache(const struct curve *c, enum vmemcache_repl_p policy, uint64_t blocks,
	size_t granule)
{
	VMEMcache *cache = vmemcache_new();

	if (!cache || vmemcache_set_extent_size(cache, granule) ||
		vmemcache_set_size(cache, blocks * granule) ||
		vmemcache_set_eviction_policy(cache, policy) ||
		vmemcache_add(cache, c->common.path))
		bench_fail("curve: %s", vmemcache_errormsg());
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_NO_MEMCPY, 1);
	return cache;
}

/* The part of all requests that miss. */
static double
serve(const struct curve *c, enum vmemcache_repl_p policy, uint64_t blocks)
{
	size_t granule = c->common.extent;
	struct bench_trace_request r;
	uint64_t misses = 0, requests = 0;
	const char nothing = 0;

	if (blocks * granule < VMEMCACHE_MIN_POOL)
		granule = VMEMCACHE_MIN_POOL / blocks + 1;
	VMEMcache *cache = open_cache(c, policy, blocks, granule);
	bench_trace_rewind(c->trace);
	for (; bench_trace_next(c->trace, &r); requests++) {
		if (vmemcache_get(
			    cache, &r.id, sizeof(r.id), NULL, 0, 0, NULL) >= 0)
			continue;
		misses++;
		if (vmemcache_put(cache, &r.id, sizeof(r.id), &nothing,
			    blocks_of(c, r.size) * granule) &&
			errno != ENOSPC)
			bench_fail("curve: %s", vmemcache_errormsg());
	}
	vmemcache_delete(cache);
	return (double)misses / (double)requests;
}

static void
serve_all(struct curve *c, const struct sizes *sizes, struct bench_report *r)
{
	bench_table(r, "curve", columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < sizes->n; i++) {
		const struct size *size = &sizes->at[i];
		uint64_t blocks = size->percent > 0
					  ? (uint64_t)((double)c->all *
						       size->percent / 100)
					  : size->bytes / c->unit;
		if (blocks == 0)
			bench_refuse("curve: %s is less than a block of %llu "
				     "bytes",
				size->text, (unsigned long long)c->unit);
		bench_row(r);
		bench_cell_text(r, "%s", size->text);
		bench_cell(r, (double)blocks);
		for (size_t p = 0; p < N_POLICIES; p++) {
			bench_progress((double)(i * N_POLICIES + p) /
					       (double)(sizes->n * N_POLICIES),
				size->text);
			bench_cell(r, serve(c, policies[p], blocks));
		}
	}
	bench_progress_end();
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct curve c = {.common = BENCH_COMMON_DEFAULTS};
	static struct sizes sizes;
	char error[512];
	const struct bench_option options[] = {
		{"sizes", 's', "SIZE,...",
			"of the cache, as 1% or 64M (default 1%,2%,5%,10%,20%)",
			parse_sizes, &sizes},
	};

	parse_sizes("1%,2%,5%,10%,20%", &sizes);
	int first = bench_options(command, options, 1, &c.common, argc, argv);
	if (first + 1 != argc)
		bench_refuse(
			"curve: takes one trace, but got %d", argc - first);
	bench_plot_check(c.common.plot);
	c.trace = bench_trace_open(argv[first], error, sizeof(error));
	if (c.trace == NULL)
		bench_refuse("curve: %s", error);
	const struct bench_trace_summary *summary =
		bench_trace_summary(c.trace);
	c.unit = summary->largest > 1 ? c.common.extent : 1;
	c.all = blocks_of_all(&c);
	struct bench_report *r = bench_report_new(command->name);
	bench_setting(r, "trace", "%s", argv[first]);
	bench_setting_number(r, "requests", summary->requests);
	bench_setting_number(r, "block_bytes", c.unit);
	bench_setting_number(r, "blocks_of_all", c.all);
	serve_all(&c, &sizes, r);
	bench_note(r, "misses: of all requests, for each policy.");
	bench_finish(r, &c.common, bench_plot_curve);
	bench_trace_close(c.trace);
	return 0;
}

const struct bench_command bench_curve = {
	.name = "curve",
	.arguments = "TRACE",
	.summary = "misses over the size of the cache, for each policy",
	.help = "Serves the recorded requests of TRACE as replay does, once "
		"for "
		"each policy and\neach size of the cache, and prints how many "
		"miss. Nothing is copied, so times are\nnot told.\n\n"
		"A size is in bytes, or a percentage of the bytes of all "
		"objects "
		"of the trace,\neach at its largest. Where no object is larger "
		"than a byte, each takes a block:\na size is their number.",
	.run = run,
};
