/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soak.h -- between what works (works.c, holds.c, tenants.c) and what watches
 * it (soak.c)
 */
#ifndef VMC_SOAK_H
#define VMC_SOAK_H

#include "items.h"

#include <pthread.h>

enum { SOAK_CACHES = 3, SOAK_WORKS = 6 };

struct soak {
	/* [0] misses ask [1]; [2] has its metadata in a file */
	VMEMcache *cache[SOAK_CACHES];
	_Atomic bool stop;
	/*
	 * Works hold it for reading during a batch, who checks holds it for
	 * writing: then nothing is under way.
	 */
	pthread_rwlock_t gate;
};

/* How often each was done, for the log. */
struct soak_counts {
	_Atomic uint64_t puts, hits, misses, evicted, depth, lives, kinds,
		forks, threads, pins, reservations, loads, clears, resizes;
};

extern struct soak_counts soak_counts;

/* Callbacks of the caches, and one thread a work that goes on until stop. */
void soak_prepare(struct soak *soak);
void soak_start(struct soak *soak, pthread_t threads[SOAK_WORKS]);
unsigned long soak_failures(void);

/* A random number of the thread's; of values, mostly small, now and then large
 */
uint64_t soak_below(uint64_t bound);
size_t soak_size_of(uint64_t key);

/*
 * Pin or unpin, reserve, commit or abort; or load. Then, while nothing is under
 * way: is what is held all that the caches say, and as it was? Give it back.
 */
void soak_hold(VMEMcache *cache, uint64_t key, bool loads);
bool soak_holds_agree(struct soak *soak);
void soak_let_go(void);
unsigned long soak_hold_failures(void);

/* Operations on spaces; while nothing is under way: is their cache whole? */
void soak_tenants_open(void);
void soak_tenants(void);
bool soak_tenants_are_whole(void);
void soak_tenants_close(void);

#endif
