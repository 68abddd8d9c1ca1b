/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * traffic.h -- what simul and replay share: requests served by a cache, a
 * miss being followed by a put
 */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include "crew.h"
#include "report.h"

struct bench_traffic {
	/* Up to n requests of that thread; returns their number. */
	size_t (*fill)(
		unsigned thread, struct bench_request *requests, size_t n);
	/* Back to the first request. */
	void (*restart)(void);
	unsigned threads;
	uint64_t warm_up;  /* requests that only fill the cache */
	uint64_t requests; /* that are measured, by all threads together */
	size_t key_size;
	/*
	 * Every value takes an extent: a pool below the least size is made of
	 * as many larger extents.
	 */
	bool small;
};

/*
 * Serve it with the policy, or each of them, and a pool of each of these
 * sizes: a table "traffic", a row a pool.
 */
void bench_traffic_run(const struct bench_traffic *t,
	const struct bench_list *pools, struct bench_report *r);

#endif
