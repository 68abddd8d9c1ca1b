/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_clients.c -- vmemcached beside memcached and Redis, asked by the same
 * clients
 *
 * For each size of value the servers are started and filled alike. In each
 * round and for each kind of request each of them in turn is asked as fast as
 * it answers (closed loop), and then at half the rate that memcached reached
 * (open loop), for the latencies. What counts is the processor time of the
 * server's process, as the kernel tells it: the clients' is not in it.
 */
#include "clients.h"
#include "commands.h"
#include "crew.h"
#include "progress.h"
#include "random.h"
#include "server.h"

#include <stdio.h>
#include <string.h>

enum { SUBJECTS = 3, LOADS = 4, MAX_CONNECTIONS = 256, ARGUMENTS = 20 };
/* Bytes of values in a request of many keys at most. */
#define MOST_AT_ONCE (UINT64_C(4) << 20)

static const char *program = "vmemcached";
static const char *skew; /* NULL: uniform */
static uint64_t memory = UINT64_C(1) << 30;
static uint64_t threads = 1;
static uint64_t connections = 16;
static uint64_t batch = 100;
static uint64_t rounds = 5;
static uint64_t slice_ms = 500;
static struct bench_list values = {4, {100, 1024, 16384, 262144}};
static bool tcp;

/* What is measured of one server with one load. */
struct series {
	double cpu_ns[BENCH_MAX_ROUNDS]; /* a value */
	double per_second[BENCH_MAX_ROUNDS];
	uint64_t hits, keys;
	struct bench_histogram latency;
};

struct subject {
	const char *name;
	struct bench_server server;
	struct bench_clients *clients;
	bool redis;
	struct series series[LOADS];
};

static const struct load {
	const char *name;
	enum bench_request_kind kind, redis_kind;
	bool many, for_redis;
} loads[LOADS] = {
	{"get", BENCH_ASK_GET, BENCH_ASK_MGET, false, true},
	{"gets of many", BENCH_ASK_GET, BENCH_ASK_MGET, true, true},
	{"mg in a row", BENCH_ASK_META, BENCH_ASK_META, true, false},
	{"set", BENCH_ASK_SET, BENCH_ASK_MSET, false, true},
};

static const struct bench_column columns[] = {
	{"server", "server", BENCH_TEXT},
	{"value", "value", BENCH_BYTES},
	{"batch", "keys", BENCH_WHOLE},
	{"cpu_ns_per_value", "cpu/value", BENCH_DURATION},
	{"ratio", "x first", BENCH_TWO_DIGITS},
	{"requests_per_second", "requests/s", BENCH_WHOLE},
	{"hit_percent", "hit %", BENCH_ONE_DIGIT},
	BENCH_TAIL_COLUMNS,
};

static bool
is_installed(const char *name)
{
	char command[512];

	snprintf(command, sizeof(command), "'%s' --version >/dev/null 2>&1",
		name);
	return system(command) == 0;
}

static void
start(struct subject *s)
{
	char mebibytes[24], of_redis[24], workers[24];
	const char *const ours[ARGUMENTS] = {program, tcp ? "-p" : "-s",
		tcp ? "%p" : "%s", "-m", mebibytes, "-t", workers};
	/* -u is looked at for root alone, who would be refused without it */
	const char *const memcached[ARGUMENTS] = {"memcached",
		tcp ? "-p" : "-s", tcp ? "%p" : "%s", "-m", mebibytes, "-t",
		workers, "-u", "root", "-U", "0"};
	const char *const redis[ARGUMENTS] = {"redis-server", "--save", "",
		"--appendonly", "no", "--maxmemory-policy", "allkeys-lru",
		"--maxmemory", of_redis, "--port", tcp ? "%p" : "0",
		tcp ? NULL : "--unixsocket", tcp ? NULL : "%s"};
	int fds[MAX_CONNECTIONS];

	snprintf(mebibytes, sizeof(mebibytes), "%llu",
		(unsigned long long)memory >> 20);
	snprintf(of_redis, sizeof(of_redis), "%llumb",
		(unsigned long long)memory >> 20);
	snprintf(workers, sizeof(workers), "%llu", (unsigned long long)threads);
	bench_server_start(&s->server, s->redis ? redis
				       : strcmp(s->name, "memcached") == 0
					       ? memcached
					       : ours);
	for (unsigned i = 0; i < connections; i++)
		fds[i] = bench_server_connect(&s->server, s->name);
	bench_server_hide(&s->server);
	s->clients = bench_clients_new(fds, (unsigned)connections);
}

static void
stop(struct subject *s)
{
	bench_clients_free(s->clients);
	bench_server_stop(&s->server);
}

static unsigned
batch_of(const struct load *load, uint64_t value)
{
	uint64_t most = value < MOST_AT_ONCE ? MOST_AT_ONCE / value : 1;

	if (!load->many)
		return 1;
	return (unsigned)(batch < most ? batch : most);
}

static struct bench_ask
ask_of(const struct subject *s, const struct load *load, uint64_t value,
	uint64_t keys)
{
	static char spec[80];
	struct bench_ask ask = {
		.kind = s->redis ? load->redis_kind : load->kind,
		.batch = batch_of(load, value),
		.value = value,
	};

	/* sets are of four times what there is room for */
	if (load->kind == BENCH_ASK_SET)
		keys *= 8;
	if (skew)
		snprintf(spec, sizeof(spec), "zipf:%s:0:%llu", skew,
			(unsigned long long)keys - 1);
	else
		snprintf(spec, sizeof(spec), "uniform:0:%llu",
			(unsigned long long)keys - 1);
	const char *wrong = bench_distribution_parse(&ask.keys, spec, 1000);
	if (wrong)
		bench_refuse("keys %s: %s", spec, wrong);
	return ask;
}

/* A closed loop, and unless `rate` is 0 an open one. */
static void
measure(struct subject *s, const struct load *load, uint64_t value,
	uint64_t keys, unsigned round, double *rate, uint64_t *random)
{
	struct series *series = &s->series[load - loads];
	struct bench_ask ask = ask_of(s, load, value, keys);
	struct bench_answers answers;
	uint64_t cpu = bench_server_cpu(&s->server);

	bench_clients_run(
		s->clients, &ask, 0, slice_ms * 1000000, random, &answers);
	cpu = bench_server_cpu(&s->server) - cpu;
	uint64_t asked = answers.requests * ask.batch;
	series->cpu_ns[round] = (double)cpu / (double)asked;
	series->per_second[round] =
		(double)answers.requests * 1e9 / (double)answers.ns;
	series->hits += answers.hits;
	series->keys += asked;
	if (*rate == 0)
		*rate = series->per_second[round] / 2;
	bench_clients_run(
		s->clients, &ask, *rate, slice_ms * 1000000, random, &answers);
	bench_histogram_merge(&series->latency, &answers.latency);
	bench_distribution_free(&ask.keys);
}

/* The median; the values stay in the order of the rounds. */
static double
over_rounds(const double *numbers)
{
	double copy[BENCH_MAX_ROUNDS];

	memcpy(copy, numbers, rounds * sizeof(*copy));
	return bench_median(copy, rounds);
}

/* Their ratio in each round, and the median of these. */
static double
ratio(const struct series *of, const struct series *to)
{
	double ratios[BENCH_MAX_ROUNDS];

	for (unsigned i = 0; i < rounds; i++)
		ratios[i] = of->cpu_ns[i] / to->cpu_ns[i];
	return over_rounds(ratios);
}

static void
report(struct bench_table *table, const struct load *load, struct subject *s,
	const struct subject *first, uint64_t value)
{
	struct series *series = &s->series[load - loads];
	bool gets = load->kind != BENCH_ASK_SET;
	char name[64];

	if (s->redis && !load->for_redis)
		return;
	snprintf(name, sizeof(name), "%s: %s", load->name, s->name);
	BENCH_ROW(table, name, (double)value, batch_of(load, value),
		over_rounds(series->cpu_ns),
		ratio(&first->series[load - loads], series),
		over_rounds(series->per_second),
		gets ? 100 * (double)series->hits / (double)series->keys : NAN,
		BENCH_TAIL(&series->latency));
}

static void
run_value(struct bench_table *table, struct subject *subjects, size_t n,
	size_t which)
{
	uint64_t value = values.at[which], random = bench_mix(bench.seed);
	/* half of what there is room for, whatever a server adds to it */
	uint64_t keys = memory / 2 / (value + 256);
	double all = (double)(values.n * rounds * LOADS);

	for (size_t i = 0; i < n; i++) {
		struct bench_ask ask =
			ask_of(&subjects[i], &loads[LOADS - 1], value, keys);
		memset(subjects[i].series, 0, sizeof(subjects[i].series));
		start(&subjects[i]);
		bench_clients_fill(subjects[i].clients, &ask, 0, keys);
		bench_distribution_free(&ask.keys);
	}
	for (size_t l = 0; l < LOADS; l++) {
		for (unsigned round = 0; round < rounds; round++) {
			double rate = 0;

			bench_progress(
				(double)((which * LOADS + l) * rounds + round) /
					all,
				loads[l].name);
			for (size_t i = 0; i < n; i++)
				if (!subjects[i].redis || loads[l].for_redis)
					measure(&subjects[i], &loads[l], value,
						keys, round, &rate, &random);
		}
	}
	for (size_t i = 0; i < n; i++)
		stop(&subjects[i]);
	for (size_t l = 0; l < LOADS; l++)
		for (size_t i = 0; i < n; i++)
			report(table, &loads[l], &subjects[i], &subjects[0],
				value);
}

static void
run(struct bench_report *r, char **arguments)
{
	struct subject all[SUBJECTS] = {{.name = "memcached"},
		{.name = "vmemcached"},
		{.name = "redis-server", .redis = true}};
	struct subject *subjects = bench_zeroed(SUBJECTS, sizeof(*subjects));
	size_t n = 0;

	(void)arguments;
	if (connections > MAX_CONNECTIONS)
		bench_refuse("--connections: is 1 to %d", MAX_CONNECTIONS);
	if (batch > BENCH_ASK_MOST)
		bench_refuse("--batch: is 1 to %d", BENCH_ASK_MOST);
	if (!is_installed(program))
		bench_refuse("%s cannot be run: --server tells where it is",
			program);
	for (size_t i = 0; i < SUBJECTS; i++)
		if (i == 1 || is_installed(all[i].name))
			subjects[n++] = all[i];
	bench_setting_bytes(r, "memory", memory);
	bench_setting_number(r, "threads", threads);
	bench_setting_number(r, "connections", connections);
	bench_setting(r, "sockets", tcp ? "loopback TCP" : "Unix");
	bench_setting(r, "keys", skew ? skew : "uniform");
	bench_setting_number(r, "rounds", rounds);
	struct bench_table *table = BENCH_TABLE(r, "servers", columns);
	for (size_t i = 0; i < values.n; i++)
		run_value(table, subjects, n, i);
	bench_note(r,
		"cpu/value: processor time of the server's process; x first: "
		"values in a second of it,\nbeside the first server. "
		"Latencies: of requests that come at half the rate that the\n"
		"first server reached, whether those before are answered or "
		"not.");
	free(subjects);
}

/* bench_parse */
static const char *
parse_skew(const char *text, void *into)
{
	char *end;
	double number = strtod(text, &end);

	*(const char **)into = text;
	return end == text || *end || !(number > 0 && number <= 10)
		       ? "is above 0, up to 10"
		       : NULL;
}

static const struct bench_option options[] = {
	{"server", 0, "PROGRAM", "(default vmemcached)", bench_parse_text,
		&program},
	{"memory", 'm', "SIZE", "of each server (default 1G)", bench_parse_size,
		&memory},
	{"threads", 't', "N", "of each server (default 1)",
		bench_parse_positive, &threads},
	{"connections", 'c', "N", "of the clients, up to 256 (default 16)",
		bench_parse_positive, &connections},
	{"values", 'v', "SIZE,...", "(default 100,1K,16K,256K)",
		bench_parse_sizes, &values},
	{"batch", 'b', "N",
		"keys of a request of many, up to 1000 (default 100)",
		bench_parse_positive, &batch},
	{"zipf", 0, "SKEW", "of the keys, .99 for example (default uniform)",
		parse_skew, &skew},
	{"tcp", 0, NULL, "over loopback TCP, not Unix sockets", NULL, &tcp},
	{"rounds", 'r', "N", "at least 5 (default 5)", bench_parse_rounds,
		&rounds},
	{"slice", 0, "MS", "milliseconds of each measurement (default 500)",
		bench_parse_positive, &slice_ms},
	{0},
};

const struct bench_command bench_clients = {
	.name = "clients",
	.summary = "ask vmemcached, memcached and Redis over sockets",
	.help = "Starts vmemcached and, where they are installed, memcached "
		"and "
		"redis-server, fills them alike and asks each in turn: gets of "
		"one key and of many, meta gets in a row, and sets that evict.",
	.options = options,
	.without = {"path", "extent", "policy", "index", "statistics"},
	.run = run,
};
