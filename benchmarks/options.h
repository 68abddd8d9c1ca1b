/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h -- subcommands, their command lines, and how a run ends early
 *
 * A subcommand lists its options once, beside where their values go; the
 * parser and the help page both come from that list.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <libvmemcache.h>

/* Text into *into; returns NULL, or what is wrong with the text. */
typedef const char *bench_parse(const char *text, void *into);

struct bench_option {
	const char *name;     /* "pool": --pool; NULL: the end of the list */
	char letter;          /* 's': -s as well; 0: none */
	const char *argument; /* its name in the help; NULL: a switch, a bool */
	const char *help;
	bench_parse *parse; /* unless it is a switch */
	void *into;
};

struct bench_report;

struct bench_command {
	const char *name;
	const char *arguments; /* after the options; NULL: none */
	const char *summary;   /* a line in the list of all commands */
	const char *help;      /* what it does and how to read its result */
	const struct bench_option *options;
	const char *without[6]; /* common options that change nothing */
	bool evicts;            /* takes no policy that evicts nothing */
	bool all_policies;      /* takes --policy all */
	/* Measure; the arguments end with NULL. */
	void (*run)(struct bench_report *, char **arguments);
};

/* What every command understands, unless it is without. */
struct bench_settings {
	const char *path;
	uint64_t extent;
	enum vmemcache_repl_p policy;
	enum vmemcache_index index;
	bool all_policies; /* each in turn */
	uint64_t seed;
	bool json;
	bool csv;
	const char *plot;
	const char *statistics; /* a file for what the caches tell */
};

extern struct bench_settings bench;

/*
 * Parse argv, whose first word names the program in messages, into bench and
 * where the command's options point. The defaults are there already. Ends the
 * process after the help page, or a mistake. Returns what is not an option.
 */
char **bench_options(
	const struct bench_command *command, int argc, char **argv);

#define BENCH_LIST_MAX 16
struct bench_list {
	size_t n;
	uint64_t at[BENCH_LIST_MAX];
};

uint64_t bench_list_max(const struct bench_list *list);

/* A number with an optional fraction and suffix K, M, G or T. */
const char *bench_parse_number(const char *text, unsigned kilo, uint64_t *n);

bench_parse bench_parse_size;     /* uint64_t, suffixes of 1024 */
bench_parse bench_parse_count;    /* uint64_t, suffixes of 1000 */
bench_parse bench_parse_positive; /* the same, at least 1 */
bench_parse bench_parse_percent;  /* uint64_t, 0 to 100 */
bench_parse bench_parse_rounds;   /* uint64_t, 5 to BENCH_MAX_ROUNDS */
bench_parse bench_parse_key_size; /* uint64_t, 8 to 4096 */
bench_parse bench_parse_value;    /* uint64_t, 1 to 1M */
bench_parse bench_parse_sizes;    /* struct bench_list, comma-separated */
bench_parse bench_parse_counts;   /* the same, suffixes of 1000 */
bench_parse bench_parse_threads;  /* struct bench_list, 1 to 64 each */
bench_parse bench_parse_text;     /* const char * */

enum { BENCH_MAX_ROUNDS = 99 };

/* The policies, for --policy all in this order, and their names. */
enum { BENCH_POLICIES = 4 };
extern const enum vmemcache_repl_p bench_policies[BENCH_POLICIES];
const char *bench_policy_name(enum vmemcache_repl_p policy);

/* The user's mistake, or the failure of the library or the system. */
#define bench_refuse(...) (error(2, 0, __VA_ARGS__), abort())
#define bench_fail(...) (error(1, 0, __VA_ARGS__), abort())

/* Memory, or bench_fail(); the second is all zero. */
void *bench_realloc(void *old, size_t size);
void *bench_zeroed(size_t n, size_t size);

#endif
