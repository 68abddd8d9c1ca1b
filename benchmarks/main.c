/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c -- vmemcache-bench: which subcommand, and the frame of all of them
 *
 * The tool is a user of the library like any other: it includes the public
 * header only and links the shared library, so what it measures is what a
 * program gets. To add a subcommand, write cmd_<name>.c and list it here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
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
	&bench_resize,
	&bench_prefault,
	&bench_util,
	&bench_clients,
	&bench_serve,
	NULL,
};

static void
print_usage(FILE *out)
{
	fputs("usage: vmemcache-bench COMMAND [options]\n\n", out);
	for (const struct bench_command *const *c = commands; *c; c++)
		fprintf(out, "  %-8s %s\n", (*c)->name, (*c)->summary);
	fputs("\nvmemcache-bench COMMAND -h lists the command's options.\n",
		out);
}

static void
run(const struct bench_command *command, int argc, char **argv)
{
	static char name[64];

	snprintf(name, sizeof(name), "vmemcache-bench %s", command->name);
	program_invocation_name = argv[0] = name;
	char **arguments = bench_options(command, argc, argv);
	bench_plot_check();
	struct bench_report *r = bench_report_new(command->name);
	command->run(r, arguments);
	bench_progress_end();
	bench_report_print(r, stdout);
	if (fflush(stdout) || ferror(stdout))
		error(1, errno, "output");
	bench_plot(r);
	bench_report_free(r);
}

int
main(int argc, char **argv)
{
	static char self[] = "vmemcache-bench";

	program_invocation_name = program_invocation_short_name = self;
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
	for (const struct bench_command *const *c = commands; *c; c++) {
		if (strcmp(argv[1], (*c)->name) == 0) {
			run(*c, argc - 1, argv + 1);
			return 0;
		}
	}
	bench_refuse("unknown command %s (-h lists all)", argv[1]);
}
