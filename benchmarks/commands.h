/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands.h -- the subcommands
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
extern const struct bench_command bench_resize;
extern const struct bench_command bench_prefault;
extern const struct bench_command bench_util;
extern const struct bench_command bench_clients;
extern const struct bench_command bench_serve;

#endif
