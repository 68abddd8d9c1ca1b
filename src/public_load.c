/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * public_load.c -- the public calls of loads: check the arguments, translate
 */
#include "public.h"

#include "flight.h"
#include "item.h"

#define LOAD_FLAGS (VMEMCACHE_KEEP_TTL | VMEMCACHE_EXCLUSIVE | VMEMCACHE_STALE)

VMC_EXPORT int
vmemcache_wait(
	VMEMcache *cache, const void *key, size_t key_size, uint64_t timeout_ms)
{
	return (int)vmc_operation_result(
		vmc_is_usable(cache, key, key_size)
			? vmc_cache_wait_for(cache, key, key_size, timeout_ms)
			: vmc_why_unusable(cache));
}

VMC_EXPORT int
vmemcache_load(VMEMcache *cache, const void *key, size_t key_size,
	vmemcache_loader *loader, void *arg, const struct vmemcache_store *how,
	uint64_t timeout_ms, struct vmemcache_item *item)
{
	int rc;

	if (item)
		vmc_item_clear(item);
	if (!vmc_is_usable(cache, key, key_size))
		rc = vmc_why_unusable(cache);
	else if (!item || !loader)
		rc = vmc_fail_const(EINVAL, "invalid (NULL) item or loader");
	else
		rc = vmc_check_how(&how, LOAD_FLAGS);
	if (rc == 0)
		rc = vmc_cache_load(cache, key, key_size, loader, arg, how,
			timeout_ms, item);
	return (int)vmc_operation_result(rc);
}

VMC_EXPORT int
vmemcache_loading_reserve(struct vmemcache_loading *loading, size_t value_size,
	const struct vmemcache_store *how, struct vmemcache_item *item)
{
	int rc = 0;

	if (item)
		vmc_item_clear(item);
	if (!loading || !item)
		rc = vmc_fail_const(EINVAL, "invalid (NULL) loading or item");
	else if (!vmc_is_usable(vmc_loading_cache(loading), NULL, 0))
		rc = vmc_why_unusable(vmc_loading_cache(loading));
	else if (how)
		rc = vmc_check_how(&how, LOAD_FLAGS);
	if (rc == 0)
		rc = vmc_loading_reserve(loading, value_size, how, item);
	return (int)vmc_operation_result(rc);
}
