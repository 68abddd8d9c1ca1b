/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plot.h -- a picture of a report, drawn by gnuplot
 */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include "report.h"

/*
 * With --plot: end the run (exit 2) before anything is measured if there is
 * no gnuplot, or the file cannot be written, or is neither .png nor .svg.
 */
void bench_plot_check(void);

/* With --plot: draw the report as plots.gnuplot says for its command. */
void bench_plot(const struct bench_report *r);

#endif
