/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c -- lists of options over argp(3)
 *
 * Two parsers of one kind: that of the options of all commands is a child of
 * the command's own. A mistake ends the process on the spot: the tool owns
 * nothing that outlives it, as pools and floors are unnamed files.
 */
#include "options.h"

#include <argp.h>
#include <ctype.h>
#include <string.h>

struct bench_settings bench = {
	.path = "/dev/shm",
	.extent = VMEMCACHE_MIN_EXTENT,
	.policy = VMEMCACHE_REPLACEMENT_LRU,
	.index = VMEMCACHE_INDEX_HASH,
	.seed = 1,
};

const enum vmemcache_repl_p bench_policies[BENCH_POLICIES] = {
	VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_SIEVE,
	VMEMCACHE_REPLACEMENT_S3FIFO, VMEMCACHE_REPLACEMENT_ADAPTIVE};

void *
bench_realloc(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (p == NULL && size > 0)
		bench_fail("out of memory: %zu bytes asked for", size);
	return p;
}

void *
bench_zeroed(size_t n, size_t size)
{
	return memset(bench_realloc(NULL, n * size), 0, n * size);
}

/* --- what stands after an option --- */

const char *
bench_parse_number(const char *text, unsigned kilo, uint64_t *n)
{
	static const char suffixes[] = "KMGT";
	char *end;

	/* strtold would take signs, blanks, hexadecimals, "inf". */
	if (!isdigit((unsigned char)text[0]) || strpbrk(text, "xXeE"))
		return "not a number (suffixes K, M, G, T are understood)";
	long double x = strtold(text, &end);
	const char *suffix = *end ? strchr(suffixes, toupper(*end)) : NULL;
	if (suffix != NULL) {
		for (const char *s = suffixes; s <= suffix; s++)
			x *= kilo;
		end++;
	}
	if (*end != '\0')
		return "not a number (suffixes K, M, G, T are understood)";
	if (x >= 0x1p63L)
		return "too large";
	*n = (uint64_t)x;
	return NULL;
}

static const char *
parse_within(const char *text, unsigned kilo, uint64_t min, uint64_t max,
	uint64_t *n, const char *otherwise)
{
	const char *wrong = bench_parse_number(text, kilo, n);

	return wrong ? wrong : *n < min || *n > max ? otherwise : NULL;
}

#define PARSE(what, kilo, min, max, otherwise)                                 \
	const char *bench_parse_##what(const char *text, void *into)           \
	{                                                                      \
		return parse_within(text, kilo, min, max, into, otherwise);    \
	}

PARSE(size, 1024, 0, UINT64_MAX, NULL)
PARSE(count, 1000, 0, UINT64_MAX, NULL)
PARSE(positive, 1000, 1, UINT64_MAX, "is at least 1")
PARSE(percent, 1000, 0, 100, "is 0 to 100")
PARSE(rounds, 1000, 5, BENCH_MAX_ROUNDS, "is 5 to 99")
PARSE(key_size, 1024, 8, 4096, "is 8 to 4096")
PARSE(value, 1024, 1, 1 << 20, "is 1 to 1M")

const char *
bench_parse_text(const char *text, void *into)
{
	*(const char **)into = text;
	return NULL;
}

static const char *
parse_list(
	const char *text, unsigned kilo, struct bench_list *list, uint64_t max)
{
	const char *wrong = NULL;
	char *copy = strdup(text), *rest = copy;

	list->n = 0;
	while (rest != NULL && wrong == NULL)
		wrong = list->n == BENCH_LIST_MAX
				? "more than 16 numbers"
				: parse_within(strsep(&rest, ","), kilo, 1, max,
					  &list->at[list->n++], "out of range");
	free(copy);
	return wrong;
}

const char *
bench_parse_sizes(const char *text, void *into)
{
	return parse_list(text, 1024, into, UINT64_C(1) << 55);
}

const char *
bench_parse_counts(const char *text, void *into)
{
	return parse_list(text, 1000, into, UINT64_C(1) << 40);
}

const char *
bench_parse_threads(const char *text, void *into)
{
	return parse_list(text, 1024, into, 64)
		       ? "threads are numbers from 1 to 64, such as 1,2"
		       : NULL;
}

uint64_t
bench_list_max(const struct bench_list *list)
{
	uint64_t most = 0;

	for (size_t i = 0; i < list->n; i++)
		most = list->at[i] > most ? list->at[i] : most;
	return most;
}

const char *
bench_policy_name(enum vmemcache_repl_p policy)
{
	switch ((int)policy) {
	case VMEMCACHE_REPLACEMENT_NONE:
		return "none";
	case VMEMCACHE_REPLACEMENT_LRU:
		return "lru";
	case VMEMCACHE_REPLACEMENT_SIEVE:
		return "sieve";
	case VMEMCACHE_REPLACEMENT_S3FIFO:
		return "s3fifo";
	default:
		return "adaptive";
	}
}

static const char *
parse_policy(const char *text, void *into)
{
	enum vmemcache_repl_p *policy = into;

	bench.all_policies = strcmp(text, "all") == 0;
	if (bench.all_policies)
		return NULL;
	*policy = VMEMCACHE_REPLACEMENT_NONE;
	for (int i = 0; strcmp(bench_policy_name(*policy), text) != 0; i++) {
		if (i == BENCH_POLICIES)
			return "policies are lru, sieve, s3fifo, adaptive and "
			       "none";
		*policy = bench_policies[i];
	}
	return NULL;
}

static const char *
parse_index(const char *text, void *into)
{
	bool hash = strcmp(text, "hash") == 0;

	*(enum vmemcache_index *)into =
		hash ? VMEMCACHE_INDEX_HASH : VMEMCACHE_INDEX_CRITNIB;
	return hash || strcmp(text, "critnib") == 0
		       ? NULL
		       : "indexes are hash and critnib";
}

/* --- argp --- */

static const struct bench_option common[] = {
	{"path", 'p', "DIR",
		"a directory or /dev/dax device for the pool (default "
		"/dev/shm)",
		bench_parse_text, &bench.path},
	{"extent", 'e', "SIZE", "allocation granule (default 256)",
		bench_parse_size, &bench.extent},
	{"policy", 'P', "NAME",
		"lru (default), sieve, s3fifo, adaptive or none; replay and "
		"simul take all, too",
		parse_policy, &bench.policy},
	{"index", 0, "NAME", "hash (default) or critnib", parse_index,
		&bench.index},
	{"seed", 0, "N", "of all random numbers of the load (default 1)",
		bench_parse_count, &bench.seed},
	{"json", 0, NULL, "print JSON instead of a table", NULL, &bench.json},
	{"csv", 0, NULL, "print CSV instead of a table", NULL, &bench.csv},
	{"plot", 0, "FILE", "draw the result too, as .png or .svg (by gnuplot)",
		bench_parse_text, &bench.plot},
	{"statistics", 0, "FILE",
		"append each cache's statistics, a line of JSON each",
		bench_parse_text, &bench.statistics},
	{0},
};

/* argp's key of option i: its letter, or what is no letter. */
static int
key_of(const struct bench_option *options, int i)
{
	return options[i].letter ? options[i].letter : 256 + i;
}

static bool
is_without(const struct bench_command *command, const char *name)
{
	for (const char *const *o = command->without; name && *o; o++)
		if (strcmp(*o, name) == 0)
			return true;
	return false;
}

static struct argp_option *
describe(
	const struct bench_option *options, const struct bench_command *command)
{
	struct argp_option *described = NULL;
	size_t n = 0;

	do {
		described =
			bench_realloc(described, (n + 2) * sizeof(*described));
		described[n] = (struct argp_option){.name = options[n].name,
			.key = key_of(options, (int)n),
			.arg = options[n].argument,
			.flags = is_without(command, options[n].name)
					 ? OPTION_HIDDEN
					 : 0,
			.doc = options[n].help};
	} while (options[n++].name != NULL);
	/* --help, --usage and -? are argp's own */
	described[n - 1] = (struct argp_option){
		.key = 'h', .flags = OPTION_HIDDEN, .doc = ""};
	described[n] = (struct argp_option){0};
	return described;
}

struct input {
	const struct bench_option *options;
	const struct bench_command *command;
	bool common;
	char **arguments;
};

static error_t
parse_option(int key, char *text, struct argp_state *state)
{
	static struct input shared = {.options = common, .common = true};
	struct input *in = state->input;

	if (key == 'h')
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
	if (!in->common && key == ARGP_KEY_INIT) {
		shared.command = in->command;
		state->child_inputs[0] = &shared;
	}
	if (!in->common && key == ARGP_KEY_ARG && !in->command->arguments)
		argp_error(state, "takes no argument, but got %s", text);
	if (!in->common && key == ARGP_KEY_ARGS)
		in->arguments = state->argv + state->next;
	for (int i = 0; in->options[i].name != NULL; i++) {
		const struct bench_option *o = &in->options[i];
		const char *wrong = NULL;

		if (key_of(in->options, i) != key)
			continue;
		if (in->common && is_without(in->command, o->name))
			argp_error(state, "--%s changes nothing here", o->name);
		if (o->argument)
			wrong = o->parse(text, o->into);
		else
			*(bool *)o->into = true;
		if (wrong != NULL)
			argp_error(state, "--%s %s: %s", o->name, text, wrong);
		return 0;
	}
	return key == ARGP_KEY_ARGS ? 0 : ARGP_ERR_UNKNOWN;
}

char **
bench_options(const struct bench_command *command, int argc, char **argv)
{
	static const struct bench_option none[1];
	struct input in = {command->options ? command->options : none, command,
		false, argv + argc};
	struct argp_option *own = describe(in.options, command);
	struct argp_option *shared = describe(common, command);
	const struct argp shared_argp = {
		shared, parse_option, NULL, NULL, NULL, NULL, NULL};
	const struct argp_child children[] = {
		{&shared_argp, 0, "Options of most commands:", 0}, {0}};
	const struct argp argp = {own, parse_option, command->arguments,
		command->help, children, NULL, NULL};

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &in);
	free(own);
	free(shared);
	if (bench.json && bench.csv)
		bench_refuse("--json and --csv exclude each other");
	if (bench.all_policies && !command->all_policies)
		bench_refuse("--policy all is for replay and simul");
	if (command->evicts && bench.policy == VMEMCACHE_REPLACEMENT_NONE)
		bench_refuse("--policy none evicts nothing, so there is no put "
			     "on a full pool");
	return in.arguments;
}
