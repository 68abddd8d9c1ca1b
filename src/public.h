/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * public.h -- what all public calls begin and end with
 *
 * For the files that have public calls: vmemcache.c and its neighbours. They
 * check the arguments and translate results; the logic is in the composer.
 */
#ifndef VMC_PUBLIC_H
#define VMC_PUBLIC_H

#include "cache.h"

#include <errno.h>

#define VMC_EXPORT __attribute__((visibility("default")))

static inline ssize_t
vmc_result(ssize_t rc)
{
	if (__builtin_expect(rc >= 0, 1))
		return rc;
	errno = (int)-rc;
	return -1;
}

/* For operations, which leave no message of their own about memory. */
static inline ssize_t
vmc_operation_result(ssize_t rc)
{
	if (rc == -ENOMEM)
		vmc_fail_const(ENOMEM, "out of memory");
	return vmc_result(rc);
}

/* Why operations cannot be called on the cache with that key: negative errno */
int vmc_why_unusable(VMEMcache *cache);

/*
 * *how, or in its place the defaults; these flags are allowed. 0, or -EINVAL.
 */
int vmc_check_how(const struct vmemcache_store **how, unsigned flags);

/* May a cache or a space have that name? The failure if not: -EINVAL. */
bool vmc_is_name(const char *name);
int vmc_fail_name(void);

/* One test for the hot path; a key of no bytes may be NULL. */
static inline bool
vmc_is_usable_here(const VMEMcache *cache, const void *key, size_t key_size)
{
	return cache && !vmc_cache_is_foreign(cache) &&
	       key_size <= PTRDIFF_MAX && (key || key_size == 0);
}

static inline bool
vmc_is_usable(VMEMcache *cache, const void *key, size_t key_size)
{
	return vmc_is_usable_here(cache, key, key_size) ||
	       (vmc_cache_inherits(cache) &&
		       vmc_is_usable_here(cache, key, key_size));
}

#endif
