/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * version.h -- the numbers that tell values of one key apart
 */
#ifndef VMC_VERSION_H
#define VMC_VERSION_H

#include "cache.h"

/* Versions that a stripe takes at once from all. */
#define VMC_VERSIONS_AT_ONCE 64u

/*
 * Are new entries to have a version? To be asked while the thread works, after
 * the last callback before the entry is published (version.c).
 */
static inline bool
vmc_versions_wanted(struct vmemcache *cache)
{
	return vmc_load_relaxed(&cache->versions_wanted);
}

/* One that no other value has had, above VMC_VERSION_NONE. */
static inline uint64_t
vmc_version_draw(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (stripe->version % VMC_VERSIONS_AT_ONCE == 0)
		stripe->version = vmc_fetch_add_relaxed(&cache->versions, 1) *
				  VMC_VERSIONS_AT_ONCE;
	return VMC_VERSION_NONE + ++stripe->version;
}

/*
 * Somebody asks for the version of a value: from here on all values have one,
 * or are the only one of their key that has none. Before the thread works.
 */
void vmc_versions_ask_first(struct vmemcache *cache, struct vmc_stripe *own);

static inline void
vmc_versions_ask(struct vmemcache *cache, struct vmc_stripe *own)
{
	/* acquire: pairs with the release by who asked first */
	if (__builtin_expect(!vmc_load_acquire(&cache->versions_kept), 0))
		vmc_versions_ask_first(cache, own);
}

#endif
