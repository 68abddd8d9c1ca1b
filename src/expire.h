/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * expire.h -- entries whose time is over: known to readers, found by puts
 */
#ifndef VMC_EXPIRE_H
#define VMC_EXPIRE_H

#include "cache.h"

#include "base/os.h"

/* The timer of an entry; NULL: it never expires, and cannot come to. */
static inline struct vmc_timer *
vmc_entry_timer(const struct vmc_entry *e)
{
	if (__builtin_expect(!vmc_entry_has_extra(e), 1))
		return NULL;
	struct vmc_extra *extra = vmc_entry_extra(e);
	return vmc_extra_fields(extra) & VMC_EXTRA_TIMER ? &extra->timer : NULL;
}

/*
 * A call's time: read when it is first wanted. *now 0: it was not. Calls begin
 * with 0 in their stripe's, and go on with it after a callback.
 */
static inline uint64_t
vmc_now(uint64_t *now)
{
	if (*now == 0)
		*now = vmc_os_boot_ms();
	return *now;
}

/* Of an entry that has more behind its key. */
bool vmc_extra_is_over(const struct vmc_entry *e, uint64_t *now);

/* Is the entry's time over? Then it is there for no call. */
static inline bool
vmc_entry_is_over(const struct vmc_entry *e, uint64_t *now)
{
	return __builtin_expect(vmc_entry_has_extra(e), 0) &&
	       vmc_extra_is_over(e, now);
}

/* When such a time to live, from now on, is over. */
uint64_t vmc_deadline_of(uint64_t ttl_ms, uint64_t *now);
/* What is left of it. */
uint64_t vmc_entry_ttl(const struct vmc_entry *e, uint64_t *now);

/* Fills all of *info except struct_size. */
static inline void
vmc_entry_tell(
	const struct vmc_entry *e, struct vmemcache_info *info, uint64_t *now)
{
	info->value_size = vmc_entry_value_size(e);
	if (__builtin_expect(!vmc_entry_has_extra(e), 1)) {
		info->version = VMC_VERSION_NONE;
		info->ttl_ms = VMEMCACHE_FOREVER;
		info->tag = 0;
		return;
	}
	info->version = vmc_entry_version(e);
	info->ttl_ms = vmc_entry_ttl(e, now);
	info->tag = vmc_entry_tag(e);
}

/* Timers can be used from here on: -ENOMEM. Before an entry has one. */
int vmc_expiry_make(struct vmemcache *cache);

static inline int
vmc_expiry_prepare(struct vmemcache *cache)
{
	/* acquire: pairs with the release by who made it */
	return vmc_load_acquire(&cache->expiry) ? 0 : vmc_expiry_make(cache);
}

/* Free what that made. */
void vmc_expiry_close(struct vmemcache *cache);

/*
 * The timer starts, of an entry that cannot be evicted yet. It stops, whether
 * it runs or not, before the entry is retired. Do nothing to entries without.
 */
void vmc_expiry_start(
	struct vmemcache *cache, struct vmc_entry *e, uint64_t *now);
void vmc_expiry_stop_timer(struct vmemcache *cache, struct vmc_timer *timer);

static inline void
vmc_expiry_stop(struct vmemcache *cache, const struct vmc_entry *e)
{
	struct vmc_timer *timer = vmc_entry_timer(e);

	if (__builtin_expect(timer != NULL, 0))
		vmc_expiry_stop_timer(cache, timer);
}

/*
 * Another deadline, for an entry that has a timer and is in the index, which is
 * latched for it. False: it is over.
 */
bool vmc_expiry_change(struct vmemcache *cache, struct vmc_entry *e,
	uint64_t deadline, uint64_t *now);

/* Is there perhaps something for vmc_expiry_reclaim() to do? */
static inline bool
vmc_expiry_may_be_due(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (!vmc_load_relaxed(&cache->expiry))
		return false;
	uint64_t soonest = vmc_load_acquire(&cache->soonest);
	return soonest != VMC_WHEEL_NEVER && soonest <= vmc_now(&stripe->now);
}

/*
 * Remove some of what is over, callbacks included, and free its blocks. 0: some
 * have gone; -ENOENT: there is nothing that is over, or it is in the hands of
 * others; -EBADF: a callback forked, and this is the child.
 */
int vmc_expiry_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe);

/* -EINVAL with a message. For tests. */
int vmc_expiry_check(struct vmemcache *cache);

#endif
