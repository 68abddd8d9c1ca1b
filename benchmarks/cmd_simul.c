/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_simul.c -- made-up traffic: keys and sizes from distributions
 *
 * Every thread draws keys from a generator of its own. The size of a value
 * follows from its key: the size's distribution is drawn from a generator
 * seeded with the key, so that an object that comes back has the size it had.
 */
#include "commands.h"
#include "distribution.h"
#include "random.h"
#include "room.h"
#include "traffic.h"

enum { MAX_THREADS = 64 };

static struct bench_distribution keys;
static struct bench_distribution sizes;
static struct bench_list pools;
static uint64_t threads = 1;
static uint64_t warm_up = 2000000;
static uint64_t requests = 4000000;
static uint64_t key_size = 8;
static uint64_t generators[MAX_THREADS];

static size_t
fill(unsigned thread, struct bench_request *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t id = bench_draw(&keys, &generators[thread]);
		uint64_t size_seed = id + bench.seed;

		to[i] = (struct bench_request){.id = id,
			.size = (uint32_t)bench_draw(&sizes, &size_seed),
			.kind = BENCH_GET_OR_PUT};
	}
	return n;
}

static void
restart(void)
{
	for (unsigned i = 0; i < threads; i++)
		generators[i] = bench_mix(bench.seed + i);
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

static const char *
parse_threads(const char *text, void *into)
{
	const char *wrong = bench_parse_count(text, into);

	return wrong                                  ? wrong
	       : threads < 1 || threads > MAX_THREADS ? "is 1 to 64"
						      : NULL;
}

static void
run(struct bench_report *r, char **arguments)
{
	(void)arguments;
	if (keys.draw == NULL)
		bench_parse_distribution("zipf:0.99:1:1M", &keys);
	if (sizes.draw == NULL)
		parse_sizes("log-uniform:256:16K", &sizes);
	if (pools.n == 0)
		pools = (struct bench_list){
			1, {bench_fit_pool(0, (size_t)1 << 30, 2)}};

	const struct bench_traffic traffic = {.fill = fill,
		.restart = restart,
		.threads = (unsigned)threads,
		.warm_up = warm_up,
		.requests = requests,
		.key_size = key_size};
	bench_setting_common(r);
	bench_setting(r, "keys", keys.spec);
	bench_setting(r, "sizes", sizes.spec);
	bench_setting_number(r, "threads", threads);
	bench_setting_number(r, "warmup", warm_up);
	bench_setting_bytes(r, "key_size", key_size);
	bench_traffic_run(&traffic, &pools, r);
	bench_distribution_free(&keys);
	bench_distribution_free(&sizes);
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE,...", "a run for each (default 1G)",
		bench_parse_sizes, &pools},
	{"keys", 'k', "DIST", "numbers of keys (default zipf:0.99:1:1M)",
		bench_parse_distribution, &keys},
	{"sizes", 'v', "DIST", "sizes of values (default log-uniform:256:16K)",
		parse_sizes, &sizes},
	{"threads", 't', "N", "(default 1)", parse_threads, &threads},
	{"requests", 'n', "N", "measured (default 4M)", bench_parse_positive,
		&requests},
	{"warmup", 'w', "N", "before them (default 2M)", bench_parse_count,
		&warm_up},
	{"key-size", 0, "SIZE", "bytes of a key (default 8)",
		bench_parse_key_size, &key_size},
	{0},
};

const struct bench_command bench_simul = {
	.name = "simul",
	.summary = "serve made-up requests: get, on a miss put",
	.help = "Serves requests for keys of one distribution whose values "
		"have sizes of another: a get, and if it misses a put. "
		"Prints how many hit, how fast it was, and beside that the "
		"floor: the time that only copying the same bytes takes.\n\n"
		"A distribution DIST is one of\n"
		"  N or fixed:N           always N\n"
		"  uniform:LOW:HIGH       all alike likely\n"
		"  log-uniform:LOW:HIGH   all orders of magnitude alike "
		"likely\n"
		"  zipf:SKEW:LOW:HIGH     the k-th as likely as 1 / k^SKEW\n"
		"  file:PATH              the lines of a file, all alike "
		"likely",
	.options = options,
	.all_policies = true,
	.run = run,
};
