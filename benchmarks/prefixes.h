/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefixes.h -- recorded requests of blocks that are shared by prefix
 */
#ifndef BENCH_PREFIXES_H
#define BENCH_PREFIXES_H

#include "options.h"
#include "report.h"
#include "sample.h"

/* The bytes of a block, and how many threads serve. */
struct bench_prefixes {
	uint64_t block;
	struct bench_list threads;
};

/* Does the file begin as such a trace does? */
bool bench_prefixes_recognised(const char *path);

/* Serve it with pools of these sizes, or, if there are none, of so much of all
   blocks: a table, a row for each. */
void bench_prefixes_run(const struct bench_prefixes *how, const char *path,
	const struct bench_list *pools, const struct bench_sizes *sizes,
	struct bench_report *r);

#endif
