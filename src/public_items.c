/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * public_items.c -- the public calls on single items that 0.8 does not have:
 * store, remove, fetch, touch
 */
#include "public.h"

#include "item.h"

VMC_EXPORT int
vmemcache_remove(
	VMEMcache *cache, const void *key, size_t key_size, uint64_t if_version)
{
	int rc = vmc_is_usable(cache, key, key_size)
			 ? vmc_cache_evict(cache, key, key_size, if_version)
			 : vmc_why_unusable(cache);

	return (int)vmc_operation_result(rc);
}

int
vmc_check_how(const struct vmemcache_store **how, unsigned flags)
{
	static const struct vmemcache_store defaults = {
		.struct_size = sizeof(defaults)};
	const struct vmemcache_store *given = *how;

	if (!given) {
		*how = &defaults;
		return 0;
	}
	if (given->struct_size != sizeof(*given))
		return vmc_fail(EINVAL,
			"struct vmemcache_store: unknown size %zu",
			given->struct_size);
	if ((unsigned)given->mode > VMEMCACHE_IF_VERSION)
		return vmc_fail(
			EINVAL, "store: unknown mode %d", (int)given->mode);
	if (given->flags & ~flags)
		return vmc_fail(
			EINVAL, "store: unknown flags 0x%x", given->flags);
	return 0;
}

VMC_EXPORT int
vmemcache_store(VMEMcache *cache, const void *key, size_t key_size,
	const void *value, size_t value_size, const struct vmemcache_store *how,
	uint64_t *version)
{
	int rc;

	if (!vmc_is_usable(cache, key, key_size))
		rc = vmc_why_unusable(cache);
	else if (!value && value_size > 0)
		rc = vmc_fail_const(EINVAL, "invalid (NULL) value");
	else
		rc = vmc_check_how(&how, VMEMCACHE_KEEP_TTL);
	if (rc == 0)
		rc = vmc_cache_store(
			cache, key, key_size, value, value_size, how, version);
	return (int)vmc_operation_result(rc);
}

VMC_EXPORT ssize_t
vmemcache_store_many(VMEMcache *cache, struct vmemcache_store_request *requests,
	size_t count)
{
	if (!vmc_is_usable(cache, NULL, 0))
		return vmc_operation_result(vmc_why_unusable(cache));
	if ((!requests && count > 0) || count > SSIZE_MAX)
		return vmc_result(vmc_fail_const(EINVAL, "invalid requests"));
	for (size_t i = 0; i < count; i++) {
		const struct vmemcache_store_request *r = &requests[i];
		const struct vmemcache_store *how = r->how;
		if (!vmc_is_usable(cache, r->key, r->key_size))
			return vmc_operation_result(vmc_why_unusable(cache));
		if (!r->value && r->value_size > 0)
			return vmc_result(
				vmc_fail_const(EINVAL, "invalid (NULL) value"));
		if (vmc_check_how(&how, VMEMCACHE_KEEP_TTL) != 0)
			return vmc_result(-EINVAL);
	}
	return vmc_operation_result(
		vmc_cache_store_many(cache, requests, count));
}

VMC_EXPORT ssize_t
vmemcache_fetch(VMEMcache *cache, const void *key, size_t key_size,
	void *buffer, size_t buffer_size, size_t offset, unsigned flags,
	struct vmemcache_info *info)
{
	if (!vmc_is_usable(cache, key, key_size))
		return vmc_operation_result(vmc_why_unusable(cache));
	if (flags & ~(VMEMCACHE_PEEK | VMEMCACHE_NO_CALLBACK))
		return vmc_result(
			vmc_fail(EINVAL, "fetch: unknown flags 0x%x", flags));
	if (info && info->struct_size != sizeof(*info))
		return vmc_result(vmc_fail(EINVAL,
			"struct vmemcache_info: unknown size %zu",
			info->struct_size));
	return vmc_cache_fetch(
		cache, key, key_size, buffer, buffer_size, offset, flags, info);
}

VMC_EXPORT int
vmemcache_touch(
	VMEMcache *cache, const void *key, size_t key_size, uint64_t ttl_ms)
{
	int rc = vmc_is_usable(cache, key, key_size)
			 ? vmc_cache_renew(cache, key, key_size, ttl_ms)
			 : vmc_why_unusable(cache);

	return (int)vmc_operation_result(rc);
}

VMC_EXPORT int
vmemcache_set_ttl(VMEMcache *cache, uint64_t ttl_ms)
{
	if (!cache ||
		(vmc_cache_is_open(cache) && !vmc_is_usable(cache, NULL, 0)))
		return (int)vmc_result(vmc_why_unusable(cache));
	vmc_store_relaxed(
		&cache->ttl_ms, ttl_ms == VMEMCACHE_FOREVER ? 0 : ttl_ms);
	return 0;
}

VMC_EXPORT void
vmemcache_callback_on_remove(
	VMEMcache *cache, vmemcache_on_remove *on_remove, void *arg)
{
	if (!cache)
		return;
	cache->on_remove = on_remove;
	cache->on_remove_arg = arg;
	if (on_remove) /* it is told versions */
		vmc_store_relaxed(&cache->root->versions_wanted, true);
	vmc_space_may_call(cache);
}

VMC_EXPORT ssize_t
vmemcache_walk(VMEMcache *cache, uint64_t *cursor, size_t at_most,
	vmemcache_on_item *on_item, void *arg)
{
	if (!vmc_is_usable(cache, NULL, 0))
		return vmc_operation_result(vmc_why_unusable(cache));
	if (!cursor || !on_item || at_most == 0)
		return vmc_result(vmc_fail_const(
			EINVAL, "walk: cursor or callback NULL, or at_most 0"));
	return vmc_operation_result(
		vmc_cache_walk(cache, cursor, at_most, on_item, arg));
}

VMC_EXPORT ssize_t
vmemcache_walk_prefix(VMEMcache *cache, const void *prefix, size_t prefix_size,
	const void *after, size_t after_size, size_t at_most,
	vmemcache_on_item *on_item, void *arg)
{
	const struct vmc_order_key last = {after, after_size};

	if (!vmc_is_usable(cache, prefix, prefix_size))
		return vmc_operation_result(vmc_why_unusable(cache));
	if (!on_item || at_most == 0 || (!after && after_size > 0))
		return vmc_result(vmc_fail_const(EINVAL,
			"walk_prefix: after or callback NULL, or at_most 0"));
	return vmc_operation_result(vmc_cache_walk_prefix(cache,
		(struct vmc_order_key){prefix, prefix_size},
		after ? &last : NULL, at_most, on_item, arg));
}

VMC_EXPORT ssize_t
vmemcache_remove_prefix(
	VMEMcache *cache, const void *prefix, size_t prefix_size)
{
	return vmc_operation_result(
		vmc_is_usable(cache, prefix, prefix_size)
			? vmc_cache_remove_prefix(cache,
				  (struct vmc_order_key){prefix, prefix_size})
			: vmc_why_unusable(cache));
}

VMC_EXPORT int
vmemcache_clear(VMEMcache *cache)
{
	return (int)vmc_operation_result(vmc_is_usable(cache, NULL, 0)
						 ? vmc_cache_clear(cache)
						 : vmc_why_unusable(cache));
}

VMC_EXPORT int
vmemcache_reserve(VMEMcache *cache, const void *key, size_t key_size,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item)
{
	int rc;

	if (item)
		vmc_item_clear(item);
	if (!vmc_is_usable(cache, key, key_size))
		rc = vmc_why_unusable(cache);
	else if (!item)
		rc = vmc_fail_const(EINVAL, "invalid (NULL) item");
	else
		rc = vmc_check_how(
			&how, VMEMCACHE_KEEP_TTL | VMEMCACHE_EXCLUSIVE);
	if (rc == 0)
		rc = vmc_cache_reserve(
			cache, key, key_size, value_size, how, item);
	return (int)vmc_operation_result(rc);
}

VMC_EXPORT int
vmemcache_commit(VMEMcache *cache, struct vmemcache_item *item,
	size_t value_size, uint64_t *version)
{
	int rc;

	if (!vmc_is_usable(cache, NULL, 0))
		rc = vmc_why_unusable(cache);
	else if (!item)
		rc = vmc_fail_const(EINVAL, "invalid (NULL) item");
	else
		rc = vmc_cache_commit(cache, item, value_size, version);
	return (int)vmc_operation_result(rc);
}

VMC_EXPORT void
vmemcache_abort(VMEMcache *cache, struct vmemcache_item *item)
{
	if (!cache || !item)
		return;
	if (vmc_is_usable(cache, NULL, 0))
		vmc_cache_abort(cache->root, item);
	else
		vmc_item_clear(item);
}
