/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_replay.c -- recorded traffic
 *
 * One thread, in the order of the trace: the misses are then a property of
 * the policy, to be compared with what simulators tell of it.
 */
#include "commands.h"
#include "plot.h"
#include "room.h"
#include "trace.h"
#include "traffic.h"

struct replay {
	struct bench_traffic traffic;
	struct bench_trace *trace;
};

static size_t
fill(struct bench_traffic *t, unsigned thread, struct bench_request *requests,
	size_t n)
{
	struct replay *p = (struct replay *)t;
	struct bench_trace_request from;
	size_t i = 0;

	(void)thread;
	while (i < n && bench_trace_next(p->trace, &from))
		requests[i++] = (struct bench_request){.id = from.id,
			.size = from.size,
			.kind = BENCH_GET_OR_PUT};
	return i;
}

static void
restart(struct bench_traffic *t)
{
	bench_trace_rewind(((struct replay *)t)->trace);
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct bench_common common = BENCH_COMMON_DEFAULTS;
	struct bench_list pools = {0};
	char error[512];
	const struct bench_option options[] = {
		{"pool", 's', "SIZE,...", "a run for each (default 512M)",
			bench_parse_sizes, &pools},
	};

	int first = bench_options(command, options, 1, &common, argc, argv);
	if (first + 1 != argc)
		bench_refuse(
			"replay: takes one trace, but got %d", argc - first);
	bench_plot_check(common.plot);
	struct replay p = {
		.trace = bench_trace_open(argv[first], error, sizeof(error))};
	if (p.trace == NULL)
		bench_refuse("replay: %s", error);
	if (pools.n == 0)
		pools = (struct bench_list){.n = 1,
			.at = {bench_fit_pool(
				&common, 0, (size_t)512 << 20, 2)}};

	const struct bench_trace_summary *summary =
		bench_trace_summary(p.trace);
	struct bench_report *r = bench_report_new(command->name);
	bench_common_settings(r, &common);
	bench_setting(r, "trace", "%s", argv[first]);
	bench_setting(r, "format", "%s", summary->format);
	bench_setting_number(r, "requests", summary->requests);
	bench_setting_bytes(r, "requested_bytes", summary->bytes);
	bench_setting_bytes(r, "largest_value", summary->largest);
	p.traffic = (struct bench_traffic){.common = &common,
		.fill = fill,
		.restart = restart,
		.threads = 1,
		.requests = summary->requests,
		.key_size = 8};
	bench_traffic_run(&p.traffic, &pools, r);
	bench_finish(r, &common, bench_plot_traffic);
	bench_trace_close(p.trace);
	return 0;
}

const struct bench_command bench_replay = {
	.name = "replay",
	.arguments = "TRACE",
	.summary = "serve the requests of a trace: get, on a miss put",
	.help = "Serves the recorded requests of TRACE, one thread, in order: "
		"a get, and if it\nmisses a put of the recorded size. Prints "
		"how many missed, how fast it was, and\nbeside that the floor: "
		"the time that only copying the same bytes takes.\n\n"
		"TRACE is in the format oracleGeneral (records of 24 bytes: "
		"u32 time, u64 object,\nu32 size, i64 next request; "
		"little-endian), or CSV (lines time,id,size[,...];\na line of "
		"headings may come first). Which one, its content tells.",
	.run = run,
};
