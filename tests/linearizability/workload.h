/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload.h -- random operations of several threads on one small cache, their
 * history recorded and checked
 */
#ifndef VMC_TESTS_WORKLOAD_H
#define VMC_TESTS_WORKLOAD_H

#include "checker.h"
#include "libvmemcache.h"

#include <stddef.h>

enum { WORKLOAD_KEYS = 16 };

struct workload {
	const char *name;
	enum vmemcache_repl_p policy;
	size_t extent;          /* the pool has 1 MiB */
	unsigned keys, threads; /* keys: of the cache and of each space */
	bool on_evict, on_miss;
	bool no_pressure; /* all keys fit in: nothing is evicted unasked */
	/* of values, by class; all different */
	size_t sizes[CHECKER_CLASSES];
	unsigned spaces; /* of the cache, beside itself */
	/* clears and removals by prefix are among it; without on_evict */
	bool wipes;
	bool resizes; /* up to 4 MiB, and back */
	bool ordered;
};

/*
 * Run it that many rounds. False if something was wrong, which has been
 * printed and, in the first place, told to workload_violated.
 */
bool workload_run(
	const struct workload *workload, uint64_t seed, uint64_t rounds);

/* Called at the first violation, from any thread, if not NULL. */
extern void (*workload_violated)(void);

/*
 * In a thread of a workload, once in that many calls: let the others get on
 * before it does.
 */
void workload_pause(unsigned one_in);

/* Small values and large ones, in a cache that has room for four. */
extern const struct workload workload_tight;
/* Two keys, for which there is always room: so stores are among it. */
extern const struct workload workload_stores;
/* Two keys of the cache and of each of two spaces; clears and the like. */
extern const struct workload workload_spaces;
/* Small values and large ones, in a pool that is resized. */
extern const struct workload workload_resizes;

#endif
