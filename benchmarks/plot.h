/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plot.h -- a picture of a report, drawn by gnuplot
 */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include "report.h"

/*
 * To be called before anything is measured: ends the run (exit 2) when there
 * is no gnuplot, or the file cannot be written. With path NULL does nothing.
 */
void bench_plot_check(const char *path);

/* A table "speed" of micro: time over size, a panel an operation. */
void bench_plot_micro(const struct bench_report *r, const char *path);

/* A table "speed" of compare: time over size, a panel an operation. */
void bench_plot_compare(const struct bench_report *r, const char *path);

/* A table "traffic" of simul or replay: miss ratio and time over pool size. */
void bench_plot_traffic(const struct bench_report *r, const char *path);

/* A table "curve": miss ratio of each policy over the size of the cache. */
void bench_plot_curve(const struct bench_report *r, const char *path);

/* A table "growth": time and memory over the number of entries. */
void bench_plot_growth(const struct bench_report *r, const char *path);

/* A table "churn": ratios and pieces over turnovers. */
void bench_plot_churn(const struct bench_report *r, const char *path);

/* A table "prefault": time until ready and latencies, a bar a row. */
void bench_plot_prefault(const struct bench_report *r, const char *path);

/* A table "space" of util: a bar a distribution. */
void bench_plot_util(const struct bench_report *r, const char *path);

#endif
