/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * progress.h -- a bar on the terminal while a run lasts
 *
 * Drawn on stderr, and only if that is a terminal: output into files and
 * pipes is never touched. Called between slices, so it costs no measurement
 * anything.
 */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

/* Part is 0 to 1 of the whole run; what tells what is under way. */
void bench_progress(double part, const char *what);

/* Wipe the bar. */
void bench_progress_end(void);

#endif
