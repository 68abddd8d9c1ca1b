/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * progress.c -- the bar
 *
 * Redrawn over itself, at most ten times a second: a terminal at the other
 * end of a slow line must not hold the benchmark up.
 */
#include "progress.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "crew.h"

/* With the percents, all of it is below 60 columns. */
enum { WIDTH = 20, WHAT = 28 };

static uint64_t drawn_at;

void
bench_progress(double part, const char *what)
{
	uint64_t now = bench_now();

	if (!isatty(STDERR_FILENO) || now - drawn_at < 100000000)
		return;
	drawn_at = now;
	int full = part < 0 ? 0 : part > 1 ? WIDTH : (int)(part * WIDTH);
	fprintf(stderr, "\r[%.*s%*s] %3.0f %% %-*.*s", full,
		"####################", WIDTH - full, "", 100 * part, WHAT,
		WHAT, what);
	fflush(stderr);
}

void
bench_progress_end(void)
{
	if (drawn_at != 0)
		fprintf(stderr, "\r%*s\r", WIDTH + 9 + WHAT, "");
	drawn_at = 0;
}
