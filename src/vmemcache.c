/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmemcache.c -- the public calls of 0.8 and similar ones: check the arguments,
 * call the cache core, translate its result into -1 and errno
 *
 * No logic lives here. What each call means, and every errno, is in
 * libvmemcache.h.
 */
#include "cache.h"

#include "base/cancel.h"
#include "base/error.h"
#include "public.h"
#include "room.h"
#include "space.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_LIMIT ((size_t)1 << 56)

ssize_t
vmc_cache_failed(ssize_t rc)
{
	return vmc_operation_result(rc);
}

/* 0 if the cache can still be configured. */
static int
check_configurable(const VMEMcache *cache)
{
	if (!cache)
		return vmc_fail_const(EINVAL, "invalid (NULL) cache");
	if (vmc_cache_is_open(cache))
		return vmc_fail_const(EALREADY, "the cache is in use already");
	return 0;
}

__attribute__((cold, noinline)) int
vmc_why_unusable(VMEMcache *cache)
{
	if (!cache)
		return vmc_fail_const(EINVAL, "invalid (NULL) cache");
	if (!vmc_cache_is_open(cache))
		return vmc_fail_const(EINVAL, "the cache has no medium yet");
	if (vmc_cache_is_foreign(cache))
		return vmc_cache_inherit(cache);
	return vmc_fail_const(EINVAL, "invalid key (NULL, or of a size that "
				      "no object has)");
}

__attribute__((cold, noinline)) bool
vmc_cache_inherits(VMEMcache *cache)
{
	return cache && vmc_cache_is_open(cache) &&
	       vmc_cache_is_foreign(cache) && vmc_cache_inherit(cache) == 0;
}

VMC_EXPORT VMEMcache *
vmemcache_new(void)
{
	VMEMcache *cache;

	/*
	 * From malloc() at an aligned address within: a program that puts its
	 * own malloc() and free() in their place, to count, has not thought of
	 * posix_memalign(), and free() must get what malloc() gave.
	 */
	void *allocated = malloc(sizeof(*cache) + alignof(VMEMcache) - 1);

	if (!allocated) {
		errno = -vmc_fail_const(ENOMEM, "out of memory");
		return NULL;
	}
	cache = (VMEMcache *)(((uintptr_t)allocated + alignof(VMEMcache) - 1) &
			      -alignof(VMEMcache));
	memset(cache, 0, sizeof(*cache));
	cache->allocated = allocated;
	cache->root = cache;
	vmc_store_relaxed(&cache->usable_in, VMC_OF_NO_PROCESS);
	cache->block_size = VMEMCACHE_MIN_EXTENT;
	cache->policy_ops = &vmc_policy_lru;
	cache->index_kind = VMC_INDEX_LINEAR;
	strcpy(cache->name, "vmemcache");
	return cache;
}

VMC_EXPORT int
vmemcache_set_size(VMEMcache *cache, size_t size)
{
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	if (size < VMEMCACHE_MIN_POOL || size >= SIZE_LIMIT)
		return (int)vmc_result(
			vmc_fail(EINVAL, "size %zu is not from %zu to 2^56 - 1",
				size, VMEMCACHE_MIN_POOL));
	cache->size = size;
	return 0;
}

VMC_EXPORT int
vmemcache_set_most(VMEMcache *cache, size_t size)
{
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	if (size >= SIZE_LIMIT)
		return (int)vmc_result(
			vmc_fail(EINVAL, "size %zu is not below 2^56", size));
	cache->most = size;
	return 0;
}

VMC_EXPORT int
vmemcache_resize(VMEMcache *cache, size_t size)
{
	int rc;

	if (!vmc_is_usable(cache, NULL, 0))
		rc = vmc_why_unusable(cache);
	else if (size < VMEMCACHE_MIN_POOL || size >= SIZE_LIMIT)
		rc = vmc_fail(EINVAL, "size %zu is not from %zu to 2^56 - 1",
			size, VMEMCACHE_MIN_POOL);
	else
		rc = vmc_is_space(cache)
			     ? vmc_fail_const(EINVAL, "a space has no pool")
			     : vmc_cache_resize(cache, size);
	return (int)vmc_result(rc);
}

VMC_EXPORT int
vmemcache_set_extent_size(VMEMcache *cache, size_t extent_size)
{
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	if (extent_size < VMEMCACHE_MIN_EXTENT)
		return (int)vmc_result(
			vmc_fail(EINVAL, "extent size %zu is below %zu",
				extent_size, VMEMCACHE_MIN_EXTENT));
	cache->block_size = extent_size;
	return 0;
}

VMC_EXPORT int
vmemcache_set_eviction_policy(VMEMcache *cache, enum vmemcache_repl_p policy)
{
	static const struct vmc_policy_ops *const policies[] = {
		[VMEMCACHE_REPLACEMENT_NONE] = &vmc_policy_none,
		[VMEMCACHE_REPLACEMENT_LRU] = &vmc_policy_lru,
		[VMEMCACHE_REPLACEMENT_SIEVE] = &vmc_policy_sieve,
		[VMEMCACHE_REPLACEMENT_S3FIFO] = &vmc_policy_s3fifo,
		[VMEMCACHE_REPLACEMENT_ADAPTIVE] = &vmc_policy_adaptive,
	};
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	if ((unsigned)policy >= sizeof(policies) / sizeof(*policies) ||
		!policies[policy])
		return (int)vmc_result(vmc_fail(
			EINVAL, "unknown eviction policy %d", (int)policy));
	cache->policy_ops = policies[policy];
	return 0;
}

VMC_EXPORT int
vmemcache_set_metadata(VMEMcache *cache, enum vmemcache_metadata where)
{
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	if ((unsigned)where > VMEMCACHE_METADATA_KMEM)
		return (int)vmc_result(vmc_fail(
			EINVAL, "unknown place of metadata %d", (int)where));
	cache->metadata = where;
	return 0;
}

VMC_EXPORT int
vmemcache_set_metadata_limit(VMEMcache *cache, uint64_t bytes)
{
	if (!cache ||
		(vmc_cache_is_open(cache) && !vmc_is_usable(cache, NULL, 0)))
		return (int)vmc_result(vmc_why_unusable(cache));
	vmc_limit_set(cache->root, bytes);
	return 0;
}

VMC_EXPORT int
vmemcache_set_index(VMEMcache *cache, enum vmemcache_index index)
{
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	if ((unsigned)index > VMEMCACHE_INDEX_HASH)
		return (int)vmc_result(
			vmc_fail(EINVAL, "unknown index %d", (int)index));
	cache->index_kind = index == VMEMCACHE_INDEX_HASH ? VMC_INDEX_LINEAR
							  : VMC_INDEX_CRITNIB;
	return 0;
}

VMC_EXPORT int
vmemcache_set_ordered(VMEMcache *cache, int ordered)
{
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	cache->ordered = ordered != 0;
	return 0;
}

VMC_EXPORT int
vmemcache_set_prefault(VMEMcache *cache, unsigned threads,
	vmemcache_on_progress *on_progress, void *arg)
{
	int rc = check_configurable(cache);

	if (rc)
		return (int)vmc_result(rc);
	cache->prefault_threads = threads;
	cache->on_progress = on_progress;
	cache->on_progress_arg = arg;
	return 0;
}

VMC_EXPORT int
vmemcache_add(VMEMcache *cache, const char *path)
{
	VMC_NO_CANCEL;

	if (!cache)
		return (int)vmc_result(
			vmc_fail_const(EINVAL, "invalid (NULL) cache"));
	if (vmc_cache_is_open(cache))
		return (int)vmc_result(vmc_fail_const(
			EBUSY, "the cache has a medium already"));
	int saved = errno;
	int rc = vmc_cache_open(cache, path);

	if (rc == 0) /* whatever was tried on the way */
		errno = saved;
	return (int)vmc_result(rc);
}

VMC_EXPORT void
vmemcache_delete(VMEMcache *cache)
{
	VMC_NO_CANCEL;
	int saved = errno;

	if (!cache)
		return;
	if (cache->publisher.object)
		vmc_withdraw(cache);
	if (vmc_is_space(cache)) {
		vmc_space_delete(cache);
	} else {
		vmc_cache_close(cache);
		free(cache->allocated);
	}
	errno = saved;
}

VMC_EXPORT void
vmemcache_callback_on_evict(
	VMEMcache *cache, vmemcache_on_evict *evict, void *arg)
{
	if (!cache)
		return;
	cache->on_evict = evict;
	cache->on_evict_arg = arg;
	vmc_space_may_call(cache);
}

VMC_EXPORT void
vmemcache_callback_on_miss(VMEMcache *cache, vmemcache_on_miss *miss, void *arg)
{
	if (!cache)
		return;
	cache->on_miss = miss;
	cache->on_miss_arg = arg;
}

VMC_EXPORT int
vmemcache_put(VMEMcache *cache, const void *key, size_t key_size,
	const void *value, size_t value_size)
{
	int rc;

	if (!vmc_is_usable(cache, key, key_size))
		rc = vmc_why_unusable(cache);
	else if (!value && value_size > 0)
		rc = vmc_fail_const(EINVAL, "invalid (NULL) value");
	else
		rc = vmc_cache_put(cache, key, key_size, value, value_size);
	return (int)vmc_operation_result(rc);
}

/* By itself: the other way would have to keep the arguments in vain. */
static __attribute__((cold, noinline)) ssize_t
get_if_inherited(VMEMcache *cache, const void *key, size_t key_size, void *vbuf,
	size_t vbufsize, size_t offset, size_t *vsize)
{
	if (!vmc_is_usable(cache, key, key_size))
		return vmc_operation_result(vmc_why_unusable(cache));
	return (vmc_is_space(cache) ? vmc_cache_get_of_space : vmc_cache_get)(
		cache, key, key_size, vbuf, vbufsize, offset, vsize);
}

VMC_EXPORT ssize_t
vmemcache_get(VMEMcache *cache, const void *key, size_t key_size, void *vbuf,
	size_t vbufsize, size_t offset, size_t *vsize)
{
	if (__builtin_expect(!vmc_is_usable_here(cache, key, key_size), 0))
		return get_if_inherited(
			cache, key, key_size, vbuf, vbufsize, offset, vsize);
	/* a jump: what it returns goes to the program as it is */
	if (__builtin_expect(vmc_is_space(cache), 0))
		return vmc_cache_get_of_space(
			cache, key, key_size, vbuf, vbufsize, offset, vsize);
	return vmc_cache_get(
		cache, key, key_size, vbuf, vbufsize, offset, vsize);
}

VMC_EXPORT ssize_t
vmemcache_get_many(
	VMEMcache *cache, struct vmemcache_request *requests, size_t count)
{
	if (!vmc_is_usable(cache, NULL, 0))
		return vmc_operation_result(vmc_why_unusable(cache));
	if ((!requests && count > 0) || count > SSIZE_MAX)
		return vmc_result(vmc_fail_const(EINVAL, "invalid requests"));
	for (size_t i = 0; i < count; i++)
		if (!vmc_is_usable(
			    cache, requests[i].key, requests[i].key_size))
			return vmc_operation_result(vmc_why_unusable(cache));
	return vmc_operation_result(vmc_cache_get_many(cache, requests, count));
}

VMC_EXPORT int
vmemcache_exists(
	VMEMcache *cache, const void *key, size_t key_size, size_t *vsize)
{
	int rc;

	if (vmc_is_usable(cache, key, key_size))
		rc = vmc_cache_exists(cache, key, key_size, vsize);
	else
		rc = vmc_why_unusable(cache);
	return (int)vmc_operation_result(rc);
}

VMC_EXPORT int
vmemcache_evict(VMEMcache *cache, const void *key, size_t key_size)
{
	int rc;

	if (!vmc_is_usable(cache, key, key ? key_size : 0))
		rc = vmc_why_unusable(cache);
	else if (key)
		rc = vmc_cache_evict(cache, key, key_size, 0);
	else
		rc = vmc_cache_evict_victim(cache);
	return (int)vmc_operation_result(rc);
}

VMC_EXPORT void
vmemcache_bench_set(VMEMcache *cache, enum vmemcache_bench_cfg cfg, size_t val)
{
	VMC_NO_CANCEL;

	if (!cache || (unsigned)cfg > VMEMCACHE_BENCH_PREFAULT)
		return;
	cache = cache->root;
	cache->bench[cfg] = val != 0;
	cache->without_blocks = cache->bench[VMEMCACHE_BENCH_INDEX_ONLY] ||
				cache->bench[VMEMCACHE_BENCH_NO_ALLOC];
	if (vmc_cache_is_open(cache) && cache->bench[VMEMCACHE_BENCH_PREFAULT])
		vmc_cache_prefault(cache);
}

VMC_EXPORT const char *
vmemcache_errormsg(void)
{
	return vmc_error_message();
}

VMC_EXPORT const char *
vmemcache_version(void)
{
	/* that of the project: utils/check-interface */
	return "vmemcache 1.0.0";
}
