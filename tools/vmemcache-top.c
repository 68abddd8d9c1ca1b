/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmemcache-top.c -- what programs publish with vmemcache_publish(): in a
 * terminal, as a table, as JSON; and removing what they have left
 *
 * Compiled with the files of the library that know the objects; it needs no
 * library of ours, and no program that it looks at notices anything.
 */
#include "screen.h"
#include "table.h"

#include "statistics_format.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As vmemcache-bench: a mistake in the arguments. */
#define MISTAKE 2

enum action { SCREEN_OF_ALL, ONCE, JSON, CLEAN };

struct arguments {
	enum action action;
	int interval; /* milliseconds */
	char *const *patterns;
};

static const struct argp_option options[] = {
	{"once", 'o', NULL, 0, "Print the table once, as text", 0},
	{"json", 'j', NULL, 0, "Print everything once, as an array of JSON", 0},
	{"interval", 'i', "SECONDS", 0,
		"Look again after so many seconds, from 0.1 (default 1)", 0},
	{"clean", 'c', NULL, 0, "Remove what processes that have gone left", 0},
	{0},
};

static void
set_action(struct argp_state *state, enum action action)
{
	struct arguments *arguments = state->input;

	if (arguments->action != SCREEN_OF_ALL && arguments->action != action)
		argp_error(
			state, "--once, --json and --clean exclude each other");
	arguments->action = action;
}

static void
set_interval(struct argp_state *state, const char *text)
{
	struct arguments *arguments = state->input;
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600))
		argp_error(
			state, "--interval %s: seconds from 0.1 to 3600", text);
	arguments->interval = (int)(seconds * 1000);
}

static error_t
parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'o':
		set_action(state, ONCE);
		break;
	case 'j':
		set_action(state, JSON);
		break;
	case 'c':
		set_action(state, CLEAN);
		break;
	case 'i':
		set_interval(state, value);
		break;
	case ARGP_KEY_ARGS: /* NULL stands after the last */
		arguments->patterns = state->argv + state->next;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.args_doc = "[NAME...]",
	.doc = "Show the caches that programs publish with "
	       "vmemcache_publish().\v"
	       "NAME is a pattern as of a shell; without one, all are shown.",
};

/* What the screen says in its first line. */
static void
tell_what_is_not_shown(const struct top_caches *caches)
{
	if (caches->of_others > 0)
		fprintf(stderr, "vmemcache-top: not shown: %u of other users\n",
			caches->of_others);
	if (caches->of_other_versions > 0)
		fprintf(stderr,
			"vmemcache-top: not shown: %u of other versions of the "
			"library\n",
			caches->of_other_versions);
}

static void
print_table(const struct top_caches *caches)
{
	struct top_layout layout = top_layout(caches, TOP_LINE - 1);
	char line[TOP_LINE];

	top_line(line, &layout, NULL);
	puts(line);
	for (size_t i = 0; i < caches->count; i++) {
		top_line(line, &layout, &caches->all[i]);
		puts(line);
	}
}

static void
print_json_sample(const char *title, const struct vmc_sample *sample)
{
	char text[16384];
	size_t length = vmc_statistics_format(&sample->statistics, sample->name,
		VMEMCACHE_FORMAT_JSON, text, sizeof(text));

	text[strcspn(text, "\n")] = '\0';
	/* cannot be: names and numbers have most lengths */
	if (length < sizeof(text))
		printf(",\"%s\":{\"time\":%" PRIu64 ".%09" PRIu64
		       ",\"clock\":%" PRIu64 ".%09" PRIu64
		       ",\"statistics\":%s}",
			title, sample->time_ns / 1000000000,
			sample->time_ns % 1000000000,
			sample->clock_ns / 1000000000,
			sample->clock_ns % 1000000000, text);
}

/* Both samples: who wants rates divides what he likes. */
static void
print_json(const struct top_caches *caches)
{
	putchar('[');
	for (size_t i = 0; i < caches->count; i++) {
		const struct top_cache *cache = &caches->all[i];

		printf("%s\n{\"file\":\"%s\",\"pid\":%d,\"state\":\"%s\"",
			i ? "," : "", cache->file, cache->published.pid,
			top_state_name(cache->state));
		print_json_sample("now", &cache->published.now);
		print_json_sample("before", &cache->published.before);
		putchar('}');
	}
	puts(caches->count ? "\n]" : "]");
}

static int
print_once(const struct arguments *arguments)
{
	struct top_caches caches = {.all = NULL};
	int rc = top_caches_read(&caches, arguments->patterns);

	if (rc == 0) {
		tell_what_is_not_shown(&caches);
		if (arguments->action == JSON)
			print_json(&caches);
		else
			print_table(&caches);
	}
	free(caches.all);
	return rc;
}

static void
tell_removed(const char *file, const char *name)
{
	printf("removed %s%s%s\n", file, name ? ": " : "", name ? name : "");
}

int
main(int argc, char **argv)
{
	static char *none[] = {NULL};
	struct arguments arguments = {.interval = 1000, .patterns = none};
	int rc;

	argp_program_version = "vmemcache " VMC_VERSION;
	argp_err_exit_status = MISTAKE;
	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if (arguments.action == CLEAN)
		rc = top_clean(arguments.patterns, tell_removed);
	else if (arguments.action != SCREEN_OF_ALL)
		rc = print_once(&arguments);
	else
		rc = top_screen(arguments.patterns, arguments.interval);
	if (rc > 0) {
		fprintf(stderr,
			"vmemcache-top: no terminal that can be used: see "
			"--once and --json\n");
		return MISTAKE;
	}
	if (rc == 0 && (fflush(stdout) || ferror(stdout)))
		rc = -errno;
	if (rc)
		fprintf(stderr, "vmemcache-top: %s: %s\n", VMC_PUBLICATION_DIR,
			strerror(-rc));
	return rc ? 1 : 0;
}
