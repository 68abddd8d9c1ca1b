/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broken.c -- a test of the tests: a cache with one rule broken (break.h) is
 * found to be broken
 *
 * Successful as soon as a violation is found: what a broken cache does after
 * that is anybody's guess. Where nothing is broken nothing may be found.
 */
#include "testing.h"
#include "workload.h"

#include <unistd.h>

#ifdef BREAK_NOTHING
enum { BROKEN = 0, ROUNDS = 300 };
#else
enum { BROKEN = 1, ROUNDS = 30000 };
#endif

#if defined(BREAK_GAP) || defined(BREAK_VERSION) || defined(BREAK_REUSED)
#define WORKLOAD workload_stores
#elif defined(BREAK_OLD_ERA) || defined(BREAK_NOT_AT_ONCE)
#define WORKLOAD workload_spaces
#elif defined(BREAK_RUNS_FIRST)
#define WORKLOAD workload_resizes
#else
#define WORKLOAD workload_tight
#endif

static void
found(void)
{
	_exit(BROKEN ? EXIT_SUCCESS : EXIT_FAILURE);
}

int
main(void)
{
	workload_violated = found;
	workload_run(&WORKLOAD, testing_seed(), ROUNDS);
	if (BROKEN)
		fprintf(stderr, "the broken rule was not found\n");
	return BROKEN ? EXIT_FAILURE : EXIT_SUCCESS;
}
