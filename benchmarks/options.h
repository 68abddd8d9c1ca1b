/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h -- command lines, and the two ways in which a run ends early
 *
 * A subcommand lists its options once; parsing and the help page both come
 * from that list.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmemcache.h>

/* Text into *into; returns NULL, or what is wrong with the text. */
typedef const char *bench_parse(const char *text, void *into);

struct bench_option {
	const char *name;     /* "pool": --pool */
	char letter;          /* 's': -s as well; 0: none */
	const char *argument; /* its name in the help; NULL: a switch, a bool */
	const char *help;
	bench_parse *parse; /* unless it is a switch */
	void *into;
};

struct bench_command {
	const char *name;
	const char *arguments; /* after the options, in the usage line */
	const char *summary;   /* a line in the list of all commands */
	const char *help;      /* what it does and how to read its result */
	int (*run)(const struct bench_command *, int argc, char **argv);
};

/* What every command understands. */
struct bench_common {
	const char *path;
	size_t extent;
	enum vmemcache_repl_p policy;
	uint64_t seed;
	bool json;
	bool csv;
	const char *plot;
	const char *statistics; /* a file for what the caches tell */
};

#define BENCH_LIST_MAX 16
struct bench_list {
	size_t n;
	uint64_t at[BENCH_LIST_MAX];
};

/*
 * Parse argv; options into where they point, the defaults being there
 * already. Prints the help and exits if asked. Returns the index of the first
 * argument that is not an option.
 */
int bench_options(const struct bench_command *command,
	const struct bench_option *options, size_t n_options,
	struct bench_common *common, int argc, char **argv);

/* A number with an optional fraction and suffix K, M, G or T. */
const char *bench_parse_number(const char *text, unsigned kilo, uint64_t *n);

bench_parse bench_parse_size;    /* uint64_t, suffixes of 1024 */
bench_parse bench_parse_count;   /* uint64_t, suffixes of 1000 */
bench_parse bench_parse_sizes;   /* struct bench_list, comma-separated */
bench_parse bench_parse_counts;  /* the same, suffixes of 1000 */
bench_parse bench_parse_threads; /* struct bench_list, 1 to 64 each */
bench_parse bench_parse_text;    /* const char * */

/* The policy's name, as --policy takes it. */
const char *bench_policy_name(enum vmemcache_repl_p policy);

/* The user's mistake: "vmemcache-bench: <sentence>", exit 2. */
_Noreturn void bench_refuse(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* The library's or the system's failure: the same, exit 1. */
_Noreturn void bench_fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Refuse a policy with which a full pool takes no puts. */
void bench_refuse_no_eviction(
	const struct bench_command *command, const struct bench_common *common);

/* Memory, or bench_fail(). */
void *bench_realloc(void *old, size_t size);

#endif
