/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c -- option lists over getopt_long(3)
 *
 * getopt_long knows the syntax; everything it would print is printed here
 * instead, so that each mistake is one sentence which names the option as it
 * was written. A mistake ends the process on the spot: the tool owns nothing
 * that outlives it, as pools and floors are unnamed files.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	enum vmemcache_repl_p policy;
} policies[] = {
	{"adaptive", VMEMCACHE_REPLACEMENT_ADAPTIVE},
	{"lru", VMEMCACHE_REPLACEMENT_LRU},
	{"none", VMEMCACHE_REPLACEMENT_NONE},
	{"s3fifo", VMEMCACHE_REPLACEMENT_S3FIFO},
	{"sieve", VMEMCACHE_REPLACEMENT_SIEVE},
};

#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

static void
complain(const char *format, va_list arguments)
{
	fflush(stdout);
	fputs("vmemcache-bench: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

void
bench_refuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain(format, arguments);
	va_end(arguments);
	exit(2);
}

void
bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain(format, arguments);
	va_end(arguments);
	exit(1);
}

void *
bench_realloc(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (p == NULL && size > 0)
		bench_fail("out of memory: %zu bytes asked for", size);
	return p;
}

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

const char *
bench_parse_size(const char *text, void *into)
{
	return bench_parse_number(text, 1024, into);
}

const char *
bench_parse_count(const char *text, void *into)
{
	return bench_parse_number(text, 1000, into);
}

const char *
bench_parse_text(const char *text, void *into)
{
	*(const char **)into = text;
	return NULL;
}

static const char *
parse_list(const char *text, unsigned kilo, struct bench_list *list,
	uint64_t min, uint64_t max)
{
	char item[32];

	list->n = 0;
	for (const char *end; text != NULL; text = *end ? end + 1 : NULL) {
		end = strchrnul(text, ',');
		if (list->n == BENCH_LIST_MAX)
			return "more than 16 numbers";
		if ((size_t)(end - text) >= sizeof(item))
			return "not a list of numbers";
		memcpy(item, text, (size_t)(end - text));
		item[end - text] = '\0';
		uint64_t *n = &list->at[list->n++];
		const char *wrong = bench_parse_number(item, kilo, n);
		if (wrong != NULL)
			return wrong;
		if (*n < min || *n > max)
			return "out of range";
	}
	return NULL;
}

const char *
bench_parse_sizes(const char *text, void *into)
{
	return parse_list(text, 1024, into, 1, UINT64_C(1) << 55);
}

const char *
bench_parse_counts(const char *text, void *into)
{
	return parse_list(text, 1000, into, 1, UINT64_C(1) << 40);
}

const char *
bench_parse_threads(const char *text, void *into)
{
	const char *wrong = parse_list(text, 1024, into, 1, 64);

	return wrong ? "threads are numbers from 1 to 64, such as 1,2" : NULL;
}

static const char *
parse_policy(const char *text, void *into)
{
	for (size_t i = 0; i < N_POLICIES; i++) {
		if (strcmp(policies[i].name, text) == 0) {
			*(enum vmemcache_repl_p *)into = policies[i].policy;
			return NULL;
		}
	}
	return "policies are lru and none";
}

const char *
bench_policy_name(enum vmemcache_repl_p policy)
{
	for (size_t i = 0; i < N_POLICIES; i++) {
		if (policies[i].policy == policy)
			return policies[i].name;
	}
	return "?";
}

void
bench_refuse_no_eviction(
	const struct bench_command *command, const struct bench_common *common)
{
	if (common->policy == VMEMCACHE_REPLACEMENT_NONE)
		bench_refuse("%s: --policy none evicts nothing, so there is no "
			     "put on a full pool",
			command->name);
}

static void
print_help_of(const struct bench_option *o)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
		o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
		o->argument ? " " : "", o->argument ? o->argument : "");
	printf("  %-23s ", left);
	for (const char *h = o->help; *h; h++) {
		putchar(*h);
		if (*h == '\n')
			printf("%26s", "");
	}
	putchar('\n');
}

static void
print_help(const struct bench_command *command,
	const struct bench_option *options, size_t n_options,
	const struct bench_option *common, size_t n_common)
{
	printf("usage: vmemcache-bench %s [options]%s%s\n\n%s\n\noptions:\n",
		command->name, command->arguments ? " " : "",
		command->arguments ? command->arguments : "", command->help);
	for (size_t i = 0; i < n_options; i++)
		print_help_of(&options[i]);
	for (size_t i = 0; i < n_common; i++)
		print_help_of(&common[i]);
	puts("  -h, --help              this page");
}

/* Into the forms that getopt_long takes; val is 256 + the option's index. */
static void
describe(const struct bench_option *options, size_t n, struct option *longs,
	char *shorts)
{
	*shorts++ = ':';
	*shorts++ = 'h';
	for (size_t i = 0; i < n; i++) {
		const struct bench_option *o = &options[i];

		*longs++ = (struct option){.name = o->name,
			.has_arg = o->argument != NULL,
			.val = 256 + (int)i};
		if (o->letter) {
			*shorts++ = o->letter;
			if (o->argument)
				*shorts++ = ':';
		}
	}
	*longs++ = (struct option){.name = "help", .val = 'h'};
	*longs = (struct option){0};
	*shorts = '\0';
}

static void
apply(const struct bench_command *command, const struct bench_option *o,
	const char *text)
{
	if (o->argument == NULL) {
		*(bool *)o->into = true;
		return;
	}
	const char *wrong = o->parse(text, o->into);
	if (wrong != NULL)
		bench_refuse(
			"%s: --%s %s: %s", command->name, o->name, text, wrong);
}

static const struct bench_option *
find(const struct bench_option *all, size_t n, int value)
{
	for (size_t i = 0; i < n; i++) {
		if (value == 256 + (int)i ||
			(value != 0 && value == all[i].letter))
			return &all[i];
	}
	return NULL;
}

/* What getopt_long had to say: c, the option if it knows it, the word. */
static _Noreturn void
refuse_option(const struct bench_command *command, int c,
	const struct bench_option *o, const char *word)
{
	if (o != NULL)
		bench_refuse("%s: --%s %s", command->name, o->name,
			c == ':' ? "needs a value" : "takes no value");
	if (optopt > 0 && optopt < 256)
		bench_refuse("%s: unknown option -%c (-h lists all)",
			command->name, optopt);
	bench_refuse("%s: unknown or ambiguous option %s (-h lists all)",
		command->name, word);
}

int
bench_options(const struct bench_command *command,
	const struct bench_option *options, size_t n_options,
	struct bench_common *common, int argc, char **argv)
{
	enum { MAX = 32 };
	uint64_t extent = common->extent;
	const struct bench_option shared[] = {
		{"path", 'p', "DIR",
			"a directory or /dev/dax device for the pool\n"
			"(default /dev/shm)",
			bench_parse_text, &common->path},
		{"extent", 'e', "SIZE", "allocation granule (default 256)",
			bench_parse_size, &extent},
		{"policy", 'P', "NAME",
			"lru (default), adaptive, s3fifo, sieve or none",
			parse_policy, &common->policy},
		{"seed", 0, "N", "of all random numbers (default 1)",
			bench_parse_count, &common->seed},
		{"json", 0, NULL, "print JSON instead of a table", NULL,
			&common->json},
		{"csv", 0, NULL, "print CSV instead of a table", NULL,
			&common->csv},
		{"plot", 0, "FILE.png", "draw the result too (needs gnuplot)",
			bench_parse_text, &common->plot},
		{"statistics", 0, "FILE",
			"append what each cache tells at its end, as JSON",
			bench_parse_text, &common->statistics},
	};
	size_t n_shared = sizeof(shared) / sizeof(shared[0]);
	size_t n = n_options + n_shared;
	struct bench_option all[MAX];
	struct option longs[MAX + 2];
	char shorts[2 * MAX + 3];

	memcpy(all, options, n_options * sizeof(all[0]));
	memcpy(all + n_options, shared, sizeof(shared));
	describe(all, n, longs, shorts);
	opterr = 0;
	optind = 1;
	for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
		const struct bench_option *o = find(all, n, c);

		if (o != NULL) {
			apply(command, o, optarg);
		} else if (c == 'h') {
			print_help(
				command, options, n_options, shared, n_shared);
			exit(0);
		} else {
			refuse_option(command, c, find(all, n, optopt),
				argv[optind - 1]);
		}
	}
	common->extent = extent;
	if (common->json && common->csv)
		bench_refuse("%s: --json and --csv exclude each other",
			command->name);
	if (command->arguments == NULL && optind < argc)
		bench_refuse("%s: takes no argument, but got %s", command->name,
			argv[optind]);
	return optind;
}
