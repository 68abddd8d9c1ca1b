/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c -- vmemcache-bench: which subcommand, and the ends of all of them
 *
 * The tool is a user of the library like any other: it includes the public
 * header only and links the shared library, so what it measures is what a
 * program gets. To add a subcommand, write cmd_<name>.c and list it here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "load.h"
#include "plot.h"
#include "progress.h"

static const struct bench_command *const commands[] = {
	&bench_micro,
	&bench_compare,
	&bench_simul,
	&bench_replay,
	&bench_curve,
	&bench_growth,
	&bench_churn,
	&bench_prefault,
	&bench_util,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

void
bench_common_settings(struct bench_report *r, const struct bench_common *common)
{
	bench_setting(r, "path", "%s", common->path);
	bench_setting(r, "policy", "%s", bench_policy_name(common->policy));
	bench_setting_bytes(r, "extent", common->extent);
	bench_setting_number(r, "seed", common->seed);
}

void
bench_check_rounds(const struct bench_command *command, uint64_t rounds)
{
	if (rounds < 5 || rounds > BENCH_MAX_ROUNDS)
		bench_refuse("%s: --rounds is 5 to %d", command->name,
			BENCH_MAX_ROUNDS);
}

void
bench_note_busy(struct bench_report *r, double least_share)
{
	if (least_share < 0.9)
		bench_note(r, "This machine was busy with something else: the "
			      "threads had to wait for a\nprocessor, so times "
			      "are too long and ratios rough.");
}

void
bench_finish(struct bench_report *r, const struct bench_common *common,
	void (*plot)(const struct bench_report *, const char *path))
{
	bench_progress_end();
	bench_report_print(r,
		common->json  ? BENCH_JSON
		: common->csv ? BENCH_CSV
			      : BENCH_FOR_PEOPLE,
		stdout);
	if (fflush(stdout) || ferror(stdout))
		bench_fail("output: %s", strerror(errno));
	if (common->plot != NULL)
		plot(r, common->plot);
	bench_report_free(r);
}

static void
print_usage(FILE *out)
{
	fputs("usage: vmemcache-bench COMMAND [options]\n\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name,
			commands[i]->summary);
	fputs("\nvmemcache-bench COMMAND -h lists the command's options.\n",
		out);
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return 2;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
		print_usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts(vmemcache_version());
		return 0;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i]->name) == 0)
			return commands[i]->run(
				commands[i], argc - 1, argv + 1);
	}
	bench_refuse("unknown command %s (-h lists all)", argv[1]);
}
