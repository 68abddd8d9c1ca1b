/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_cache.c -- the library as a store
 *
 * The pool is prefaulted at once: what the kernel takes to find a page the
 * first time is not the cache's, and the floor's pages are all there too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

struct cache {
	struct bench_store head;
	VMEMcache *cache;
};

static enum bench_result
cache_put(struct bench_store *s, const struct bench_key *key, const void *value,
	size_t size)
{
	struct cache *c = (struct cache *)s;

	if (vmemcache_put(c->cache, key->bytes, key->size, value, size) == 0)
		return BENCH_DONE;
	return errno == ENOSPC || errno == EEXIST ? BENCH_REFUSED
						  : BENCH_FAILED;
}

static enum bench_result
cache_get(struct bench_store *s, const struct bench_key *key, void *buffer,
	size_t size)
{
	struct cache *c = (struct cache *)s;

	if (vmemcache_get(c->cache, key->bytes, key->size, buffer, size, 0,
		    NULL) >= 0)
		return BENCH_DONE;
	return errno == ENOENT ? BENCH_MISS : BENCH_FAILED;
}

static ssize_t
cache_get_many(
	struct bench_store *s, struct vmemcache_request *requests, size_t n)
{
	return vmemcache_get_many(((struct cache *)s)->cache, requests, n);
}

static enum bench_result
cache_pin(struct bench_store *s, const struct bench_key *key)
{
	struct cache *c = (struct cache *)s;
	struct vmemcache_item item;

	if (vmemcache_pin(c->cache, key->bytes, key->size, 0, &item))
		return errno == ENOENT ? BENCH_MISS : BENCH_FAILED;
	vmemcache_unpin(c->cache, &item);
	return BENCH_DONE;
}

static void
cache_close(struct bench_store *s)
{
	struct cache *c = (struct cache *)s;

	bench_cache_delete(c->cache);
	free(c);
}

static const struct bench_store_type cache_type = {
	.name = "cache",
	.put = cache_put,
	.get = cache_get,
	.get_many = cache_get_many,
	.pin = cache_pin,
	.message = vmemcache_errormsg,
	.close = cache_close,
};

/* Opened with the first cache: a mistake ends the run before it begins. */
static FILE *statistics;

void
bench_cache_delete(VMEMcache *cache)
{
	char text[16384];
	ssize_t n;

	if (statistics) {
		n = vmemcache_format_statistics(
			cache, VMEMCACHE_FORMAT_JSON, text, sizeof(text));
		if (n < 0 || (size_t)n >= sizeof(text))
			bench_fail("statistics: %s", vmemcache_errormsg());
		if (fputs(text, statistics) == EOF || fflush(statistics))
			bench_fail("statistics: %s", strerror(errno));
	}
	vmemcache_delete(cache);
}

VMEMcache *
bench_cache_configure(size_t pool_size)
{
	VMEMcache *cache = vmemcache_new();

	if (bench.statistics && !statistics)
		statistics = fopen(bench.statistics, "ae");
	if (bench.statistics && !statistics)
		bench_refuse("%s: %s", bench.statistics, strerror(errno));
	if (cache == NULL)
		bench_fail("no cache: %s", vmemcache_errormsg());
	if (vmemcache_set_size(cache, pool_size))
		bench_refuse("a pool of %zu bytes: %s", pool_size,
			vmemcache_errormsg());
	if (vmemcache_set_extent_size(cache, bench.extent))
		bench_refuse("extents of %llu bytes: %s",
			(unsigned long long)bench.extent, vmemcache_errormsg());
	if (vmemcache_set_eviction_policy(cache, bench.policy))
		bench_fail("policy: %s", vmemcache_errormsg());
	if (vmemcache_set_index(cache, bench.index))
		bench_fail("index: %s", vmemcache_errormsg());
	return cache;
}

void
bench_cache_add(VMEMcache *cache)
{
	if (vmemcache_add(cache, bench.path))
		bench_fail(
			"no pool in %s: %s", bench.path, vmemcache_errormsg());
}

struct bench_store *
bench_cache_open(size_t pool_size)
{
	struct cache *c = bench_realloc(NULL, sizeof(*c));

	c->head.type = &cache_type;
	c->cache = bench_cache_configure(pool_size);
	bench_cache_add(c->cache);
	vmemcache_bench_set(c->cache, VMEMCACHE_BENCH_PREFAULT, 1);
	return &c->head;
}

uint64_t
bench_statistic(VMEMcache *cache, enum vmemcache_statistic stat)
{
	unsigned long long value;

	if (vmemcache_get_stat(cache, stat, &value, sizeof(value)))
		bench_fail("statistic: %s", vmemcache_errormsg());
	return value;
}

uint64_t
bench_cache_statistic(struct bench_store *s, enum vmemcache_statistic stat)
{
	return bench_statistic(((struct cache *)s)->cache, stat);
}
