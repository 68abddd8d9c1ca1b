/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * on_ordered.c -- every cache of a test keeps its keys in order, too
 */
#include "cache.h"

int __real_vmc_cache_open(struct vmemcache *cache, const char *path);
int __wrap_vmc_cache_open(struct vmemcache *cache, const char *path);

int
__wrap_vmc_cache_open(struct vmemcache *cache, const char *path)
{
	cache->ordered = true;
	return __real_vmc_cache_open(cache, path);
}
