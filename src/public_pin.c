/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * public_pin.c -- the public calls of pins: check the arguments, translate
 */
#include "public.h"

#include "item.h"

#include <limits.h>

#define READ_FLAGS ((unsigned)(VMEMCACHE_PEEK | VMEMCACHE_NO_CALLBACK))

VMC_EXPORT int
vmemcache_pin(VMEMcache *cache, const void *key, size_t key_size,
	unsigned flags, struct vmemcache_item *item)
{
	int rc;

	if (item)
		vmc_item_clear(item);
	if (__builtin_expect(!vmc_is_usable(cache, key, key_size), 0))
		rc = vmc_why_unusable(cache);
	else if (__builtin_expect(!item, 0))
		rc = vmc_fail_const(EINVAL, "invalid (NULL) item");
	else if (__builtin_expect((flags & ~READ_FLAGS) != 0, 0))
		rc = vmc_fail(EINVAL, "unknown flags %#x", flags);
	else
		rc = vmc_cache_pin(cache, key, key_size, flags, item);
	return (int)vmc_operation_result(rc);
}

VMC_EXPORT ssize_t
vmemcache_pin_many(VMEMcache *cache, const struct vmemcache_key *keys,
	size_t count, unsigned flags, struct vmemcache_item *items)
{
	if (!vmc_is_usable(cache, NULL, 0))
		return vmc_operation_result(vmc_why_unusable(cache));
	if (((!keys || !items) && count > 0) || count > SSIZE_MAX)
		return vmc_result(
			vmc_fail_const(EINVAL, "invalid keys or items"));
	if (flags & ~(READ_FLAGS | VMEMCACHE_LEADING))
		return vmc_result(vmc_fail(EINVAL, "unknown flags %#x", flags));
	for (size_t i = 0; i < count; i++)
		vmc_item_clear(&items[i]);
	for (size_t i = 0; i < count; i++)
		if (!vmc_is_usable(cache, keys[i].key, keys[i].key_size))
			return vmc_operation_result(vmc_why_unusable(cache));
	return vmc_operation_result(
		vmc_cache_pin_many(cache, keys, count, flags, items));
}

VMC_EXPORT void
vmemcache_unpin(VMEMcache *cache, struct vmemcache_item *item)
{
	if (!cache || !item || item->iov_count < 0)
		return;
	if (!vmc_is_usable(cache, NULL, 0))
		vmc_item_clear(item);
	else if (item->kind == VMC_ITEM_RESERVED)
		vmc_cache_abort(cache->root, item);
	else
		vmc_cache_unpin(cache->root, item);
}

VMC_EXPORT int
vmemcache_region(VMEMcache *cache, void **base, size_t *size, int *fd)
{
	int rc = 0;

	if (!vmc_is_usable(cache, NULL, 0))
		return (int)vmc_operation_result(vmc_why_unusable(cache));
	const struct vmc_pool *pool = &cache->root->pool;
	if (fd)
		rc = vmc_pool_descriptor(pool, fd);
	if (rc)
		return (int)vmc_result(vmc_fail(-rc, "!region: no descriptor"));
	if (base)
		*base = pool->base;
	if (size)
		*size = vmc_load_relaxed(&pool->size);
	return 0;
}
