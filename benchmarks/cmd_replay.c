/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_replay.c -- recorded traffic
 *
 * One thread, in the order of the trace: the misses are then a property of
 * the policy, to be compared with what simulators tell of it. Traces of blocks
 * that are shared by prefix are another thing: prefixes.c.
 */
#include "commands.h"
#include "prefixes.h"
#include "room.h"
#include "sample.h"
#include "traffic.h"

static struct bench_list pools;
static struct bench_sizes sizes;
static struct bench_trace *trace;
static struct bench_prefixes prefixes; /* 0: the default */

static size_t
fill(unsigned thread, struct bench_request *requests, size_t n)
{
	struct bench_trace_request from;
	size_t i = 0;

	(void)thread;
	while (i < n && bench_trace_next(trace, &from))
		requests[i++] = (struct bench_request){.id = from.id,
			.size = from.size,
			.kind = BENCH_GET_OR_PUT};
	return i;
}

static void
restart(void)
{
	bench_trace_rewind(trace);
}

/* Pools of those sizes; of a trace with many objects parts are estimated. */
static void
pools_of_sizes(void)
{
	struct bench_sample whole = bench_sample_take(trace, 1, 1, false);

	for (pools.n = 0; pools.n < sizes.n; pools.n++) {
		const struct bench_size *size = &sizes.at[pools.n];
		uint64_t blocks = (uint64_t)bench_blocks_of(&whole, size);

		pools.at[pools.n] =
			size->percent > 0 ? blocks * bench.extent : size->bytes;
		if (pools.at[pools.n] < bench.extent)
			bench_refuse("%s is less than a block of %llu bytes",
				size->text, (unsigned long long)bench.extent);
	}
}

static void
replay_prefixes(struct bench_report *r, const char *path)
{
	if (bench.plot)
		bench_refuse("there is no --plot of requests for blocks");
	if (pools.n == 0 && sizes.n == 0)
		pools = (struct bench_list){
			1, {bench_fit_pool(0, (size_t)512 << 20, 1)}};
	if (prefixes.block == 0)
		prefixes.block = 4096;
	if (prefixes.threads.n == 0)
		prefixes.threads = (struct bench_list){1, {1}};
	bench_setting_common(r);
	bench_setting(r, "trace", path);
	bench_setting(r, "format", "hash_ids");
	bench_setting_bytes(r, "block", prefixes.block);
	bench_prefixes_run(&prefixes, path, &pools, &sizes, r);
}

static void
run(struct bench_report *r, char **arguments)
{
	if (pools.n > 0 && sizes.n > 0)
		bench_refuse("--pool and --sizes exclude each other");
	if (arguments[0] && !arguments[1] &&
		bench_prefixes_recognised(arguments[0])) {
		replay_prefixes(r, arguments[0]);
		return;
	}
	trace = bench_trace_of(arguments);
	if (prefixes.block > 0 || prefixes.threads.n > 0)
		bench_refuse("--block and --threads are for requests for "
			     "blocks, of which %s has none",
			arguments[0]);
	if (sizes.n > 0)
		pools_of_sizes();
	if (pools.n == 0)
		pools = (struct bench_list){
			1, {bench_fit_pool(0, (size_t)512 << 20, 2)}};
	const struct bench_trace_summary *summary = bench_trace_summary(trace);
	bench_setting_common(r);
	bench_setting(r, "trace", arguments[0]);
	bench_setting(r, "format", summary->format);
	bench_setting_number(r, "requests", summary->requests);
	bench_setting_bytes(r, "requested_bytes", summary->bytes);
	bench_setting_bytes(r, "largest_value", summary->largest);
	const struct bench_traffic traffic = {.fill = fill,
		.restart = restart,
		.threads = 1,
		.requests = summary->requests,
		.key_size = 8,
		.small = sizes.n > 0 && summary->largest <= bench.extent};
	bench_traffic_run(&traffic, &pools, r);
	bench_trace_close(trace);
}

/* bench_parse */
static const char *
parse_block(const char *text, void *into)
{
	uint64_t *block = into;
	const char *wrong = bench_parse_size(text, into);

	return wrong ? wrong
	       : *block < sizeof(uint64_t) || *block > 1 << 24
		       ? "is 8 bytes to 16 MiB"
		       : NULL;
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE,...", "a run for each (default 512M)",
		bench_parse_sizes, &pools},
	{"sizes", 'S', "SIZE,...",
		"the same, as 1% of the bytes of all objects or "
		"blocks, or 64M",
		bench_parse_cache_sizes, &sizes},
	{"block", 'b', "SIZE", "of a trace of blocks: their bytes (default 4K)",
		parse_block, &prefixes.block},
	{"threads", 't', "N,...",
		"of a trace of blocks: as many serve it, each in turn "
		"(default 1)",
		bench_parse_threads, &prefixes.threads},
	{0},
};

const struct bench_command bench_replay = {
	.name = "replay",
	.arguments = "TRACE",
	.summary = "serve the requests of a trace: get, on a miss put",
	.help = "Serves the recorded requests of TRACE in order, by one "
		"thread: "
		"a get, and if it misses a put of the recorded size. Prints "
		"how many missed, how fast it was, and beside that the floor: "
		"the time that only copying the same bytes takes.\n\n"
		"TRACE is in the format oracleGeneral (records of 24 bytes: "
		"u32 time, u64 object, u32 size, i64 next request; "
		"little-endian), or CSV (lines time,id,size[,...]; a line of "
		"headings may come first). Which one, its content tells.\n\n"
		"With --policy all --sizes 1%,2%,5%,10%,20% it prints what "
		"each policy misses at these parts of the bytes of all "
		"objects; curve tells that sooner.\n\n"
		"Or TRACE has a JSON object a line, whose hash_ids name blocks "
		"that are shared by prefix: the leading ones that are there "
		"are pinned, the missing ones made in place. Such a trace can "
		"be served by several --threads.",
	.options = options,
	.without = {"seed"},
	.all_policies = true,
	.run = run,
};
