/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.h -- what is measured: anything that takes and gives values by key
 *
 * The cache is one, the floor another. All are driven by the same loop
 * through the same indirect call, so that the harness costs each the same and
 * a ratio between two of them is of themselves alone.
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "options.h"

struct bench_store;

enum bench_result {
	BENCH_DONE,
	BENCH_MISS,    /* of a get */
	BENCH_REFUSED, /* a put: no space, or somebody else put that key */
	BENCH_FAILED   /* anything else; errno tells */
};

/* A key: its number, and the bytes made of it. */
struct bench_key {
	uint64_t id;
	const void *bytes;
	size_t size;
};

struct bench_store_type {
	const char *name;
	/* Any number of threads at once. A get fills size bytes of buffer. */
	enum bench_result (*put)(struct bench_store *, const struct bench_key *,
		const void *value, size_t size);
	enum bench_result (*get)(struct bench_store *, const struct bench_key *,
		void *buffer, size_t size);
	/*
	 * Gets of keys that begin with the 8 bytes of their number, as
	 * vmemcache_get_many(). NULL: the store has none.
	 */
	ssize_t (*get_many)(
		struct bench_store *, struct vmemcache_request *, size_t n);
	/* Pins the value, and unpins it. NULL: the store has no pins. */
	enum bench_result (*pin)(
		struct bench_store *, const struct bench_key *);
	/* What went wrong, on the thread where it did. NULL: errno tells. */
	const char *(*message)(void);
	void (*close)(struct bench_store *);
};

/* The head of every store. */
struct bench_store {
	const struct bench_store_type *type;
};

/* Opening; a failure ends the run. The pool has all its pages touched. */
struct bench_store *bench_cache_open(size_t pool_size);
struct bench_store *bench_floor_open(size_t size);

static inline void
bench_store_close(struct bench_store *s)
{
	s->type->close(s);
}

/* That statistic; a failure ends the run. */
uint64_t bench_statistic(VMEMcache *cache, enum vmemcache_statistic stat);
/* The same of a store from bench_cache_open(). */
uint64_t bench_cache_statistic(
	struct bench_store *s, enum vmemcache_statistic stat);

/* A cache with these settings, not yet added; or the end of the run. */
VMEMcache *bench_cache_configure(size_t pool_size);
/* Make its pool; or the end of the run. */
void bench_cache_add(VMEMcache *cache);
/* Its end: a line for --statistics before, if that was given. */
void bench_cache_delete(VMEMcache *cache);

#endif
