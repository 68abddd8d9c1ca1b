/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_simul.c -- made-up traffic: keys and sizes from distributions
 *
 * Every thread draws keys from a generator of its own. The size of a value
 * follows from its key: the size's distribution is drawn from a generator
 * seeded with the key, so that an object that comes back has the size it had.
 */
#include <stdlib.h>

#include "commands.h"
#include "distribution.h"
#include "plot.h"
#include "random.h"
#include "room.h"
#include "traffic.h"

enum { MAX_THREADS = 64 };

struct simul {
	struct bench_traffic traffic;
	struct bench_distribution keys;
	struct bench_distribution sizes;
	uint64_t random[MAX_THREADS];
};

static size_t
fill(struct bench_traffic *t, unsigned thread, struct bench_request *requests,
	size_t n)
{
	struct simul *s = (struct simul *)t;

	for (size_t i = 0; i < n; i++) {
		uint64_t id = bench_draw(&s->keys, &s->random[thread]);
		uint64_t size_seed = id + t->common->seed;

		requests[i] = (struct bench_request){.id = id,
			.size = (uint32_t)bench_draw(&s->sizes, &size_seed),
			.kind = BENCH_GET_OR_PUT};
	}
	return n;
}

static void
restart(struct bench_traffic *t)
{
	struct simul *s = (struct simul *)t;

	for (unsigned i = 0; i < t->threads; i++)
		s->random[i] = bench_mix(t->common->seed + i);
}

static const char *
parse_keys(const char *text, void *into)
{
	return bench_distribution_parse(into, text, 1000);
}

static const char *
parse_sizes(const char *text, void *into)
{
	const char *wrong = bench_distribution_parse(into, text, 1024);

	if (wrong == NULL &&
		((struct bench_distribution *)into)->high > UINT32_MAX) {
		bench_distribution_free(into);
		wrong = "values of 4 GiB and more are not simulated";
	}
	return wrong;
}

static int
run(const struct bench_command *command, int argc, char **argv)
{
	static struct bench_common common = BENCH_COMMON_DEFAULTS;
	static struct simul s;
	struct bench_list pools = {0};
	uint64_t threads = 1;
	uint64_t warm_up = 2000000;
	uint64_t requests = 4000000;
	uint64_t key_size = 8;

	bench_distribution_parse(&s.keys, "zipf:0.99:1:1M", 1000);
	bench_distribution_parse(&s.sizes, "log-uniform:256:16K", 1024);
	const struct bench_option options[] = {
		{"pool", 's', "SIZE,...", "a run for each (default 1G)",
			bench_parse_sizes, &pools},
		{"keys", 'k', "DIST",
			"numbers of keys "
			"(default zipf:0.99:1:1M)",
			parse_keys, &s.keys},
		{"sizes", 'v', "DIST",
			"sizes of values "
			"(default log-uniform:256:16K)",
			parse_sizes, &s.sizes},
		{"threads", 't', "N", "(default 1)", bench_parse_count,
			&threads},
		{"requests", 'n', "N", "measured (default 4M)",
			bench_parse_count, &requests},
		{"warmup", 'w', "N", "before them (default 2M)",
			bench_parse_count, &warm_up},
		{"key-size", 0, "SIZE", "bytes of a key (default 8)",
			bench_parse_size, &key_size},
	};

	bench_options(command, options, sizeof(options) / sizeof(*options),
		&common, argc, argv);
	if (threads < 1 || threads > MAX_THREADS)
		bench_refuse("simul: --threads is 1 to %d", MAX_THREADS);
	if (requests < 1)
		bench_refuse("simul: --requests is at least 1");
	if (key_size < 8 || key_size > 4096)
		bench_refuse("simul: --key-size is 8 to 4096");
	bench_plot_check(common.plot);
	if (pools.n == 0)
		pools = (struct bench_list){.n = 1,
			.at = {bench_fit_pool(&common, 0, (size_t)1 << 30, 2)}};

	s.traffic = (struct bench_traffic){.common = &common,
		.fill = fill,
		.restart = restart,
		.threads = (unsigned)threads,
		.warm_up = warm_up,
		.requests = requests,
		.key_size = key_size};
	struct bench_report *r = bench_report_new(command->name);
	bench_common_settings(r, &common);
	bench_setting(r, "keys", "%s", s.keys.spec);
	bench_setting(r, "sizes", "%s", s.sizes.spec);
	bench_setting_number(r, "threads", threads);
	bench_setting_number(r, "warmup", warm_up);
	bench_setting_bytes(r, "key_size", key_size);
	bench_traffic_run(&s.traffic, &pools, r);
	bench_finish(r, &common, bench_plot_traffic);
	bench_distribution_free(&s.keys);
	bench_distribution_free(&s.sizes);
	return 0;
}

const struct bench_command bench_simul = {
	.name = "simul",
	.summary = "serve made-up requests: get, on a miss put",
	.help = "Serves requests for keys of one distribution whose values "
		"have sizes of another:\na get, and if it misses a put. "
		"Prints how many hit, how fast it was, and beside\nthat the "
		"floor: the time that only copying the same bytes takes.\n\n"
		"A distribution DIST is one of\n"
		"  N or fixed:N           always N\n"
		"  uniform:LOW:HIGH       all alike likely\n"
		"  log-uniform:LOW:HIGH   all orders of magnitude alike "
		"likely\n"
		"  zipf:SKEW:LOW:HIGH     the k-th as likely as 1 / k^SKEW\n"
		"  file:PATH              the lines of a file, all alike "
		"likely",
	.run = run,
};
