/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peers.h -- what a user might take instead of the cache, as stores
 *
 * Each is an adapter of its own file. All count the bytes of values alone
 * against their budget, as a pool does, and copy values in and out.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "store.h"

struct bench_budget {
	size_t bytes;
	size_t value;     /* size of the values to come */
	unsigned threads; /* that will use it, at most */
};

/* Hash table, list in order of use and malloc(), under a lock a shard. */
struct bench_store *bench_handmade_open(const struct bench_budget *budget);

/*
 * The server, started for this store, behind a socket; to each thread a
 * connection of its own.
 */
struct bench_store *bench_memcached_open(const struct bench_budget *budget);
bool bench_memcached_installed(void);

/* Where the program was built with librocksdb. Keys have to have 16 bytes. */
struct bench_store *bench_lru_cache_open(const struct bench_budget *budget);
struct bench_store *bench_hyper_clock_open(const struct bench_budget *budget);

#endif
