/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands.h -- the subcommands, and what all of them do the same way
 */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

#include "options.h"
#include "report.h"

extern const struct bench_command bench_micro;
extern const struct bench_command bench_compare;
extern const struct bench_command bench_simul;
extern const struct bench_command bench_replay;
extern const struct bench_command bench_curve;
extern const struct bench_command bench_growth;
extern const struct bench_command bench_churn;
extern const struct bench_command bench_prefault;
extern const struct bench_command bench_util;

/* The defaults of all commands. */
#define BENCH_COMMON_DEFAULTS                                                  \
	{                                                                      \
		.path = "/dev/shm", .extent = VMEMCACHE_MIN_EXTENT,            \
		.policy = VMEMCACHE_REPLACEMENT_LRU, .seed = 1                 \
	}

/* Settings that a reader of any result needs. */
void bench_common_settings(
	struct bench_report *r, const struct bench_common *common);

/* Refuse less than 5 rounds, or more than there is room for. */
void bench_check_rounds(const struct bench_command *command, uint64_t rounds);

/* Say so if the threads had less than they could have of the CPUs. */
void bench_note_busy(struct bench_report *r, double least_share);

/* Print the report as asked for, draw it if asked for, and free it. */
void bench_finish(struct bench_report *r, const struct bench_common *common,
	void (*plot)(const struct bench_report *, const char *path));

#endif
