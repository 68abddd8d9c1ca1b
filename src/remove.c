/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * remove.c -- evicting on request: a key, a version of it, the next victim
 *
 * The entry of a key is claimed (LIVE -> EVICTING) within an epoch, in which it
 * is not freed, and then taken out of the policy under its lock. Then it is
 * evicted like a victim (evict.c).
 */
#include "claim.h"

#include "base/error.h"
#include "expire.h"
#include "room.h"
#include "space.h"
#include "version.h"

#include <errno.h>

/* Claim the entry of that key and take it out of the policy. NULL: *rc. */
static struct vmc_entry *
claim_key(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	uint64_t if_version, int *rc)
{
	uint16_t state = VMC_ENTRY_LIVE;

	*rc = 0;
	vmc_epoch_enter(thread);
	struct vmc_entry *e = vmc_index_find(
		key->space->index, key->hash, vmc_entry_match, key);
	if (e && vmc_entry_is_over(e, &stripe->now))
		e = NULL;
	bool other = e && if_version && vmc_entry_version(e) != if_version;
	bool claimed = e && !other && vmc_claim_entry(cache, e, &state);
	vmc_epoch_exit(thread);
	if (!e)
		*rc = vmc_fail_const(ENOENT, "no such key");
	else if (other)
		*rc = vmc_fail_const(ESTALE, "the value has another version");
	else if (!claimed && (state & VMC_ENTRY_STATES) == VMC_ENTRY_DEAD)
		*rc = -ESRCH;
	else if (!claimed)
		*rc = vmc_fail_const(EAGAIN, "the entry is being evicted");
	if (*rc)
		return NULL;
	vmc_lock_acquire(&cache->policy_lock);
	vmc_cache_let_go_of_node(cache, e);
	vmc_cache_release_policy(cache);
	return e;
}

/*
 * A key that another value was stored under, while this call evicted the one
 * before, has not been evicted: that value stays. Where no callback has told of
 * the eviction, the call looks again, and evicts what is there now. So it does
 * where it is to evict one version, of which there is no other: it finds what
 * is there instead, if anything is.
 */
static int
evict_key(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	uint64_t if_version)
{
	vmc_runs freed;
	int rc;

	do {
		struct vmc_entry *e =
			claim_key(cache, thread, stripe, key, if_version, &rc);
		if (!e)
			continue; /* -ESRCH: it has just gone */
		rc = vmc_cache_remove(
			cache, stripe, e, VMEMCACHE_REASON_EVICTED, &freed);
		if (rc == -EBADF)
			return rc;
		vmc_extent_free(cache->extent, &freed);
		if (rc == VMC_REPLACED && !if_version &&
			vmc_cache_calls_back(cache))
			return vmc_fail_const(EAGAIN,
				"another value has been stored meanwhile");
	} while (rc == VMC_REPLACED || rc == VMC_WAS_OVER || rc == -ESRCH);
	return rc;
}

int
vmc_cache_evict(struct vmemcache *space, const void *data, size_t key_size,
	uint64_t if_version)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!stripe)
		return -ENOMEM;
	vmc_cleanup(vmc_key_let_go) struct vmc_key key =
		vmc_cache_key(space, data, key_size);
	vmc_key_hold(thread, &key);
	stripe->now = 0;
	vmc_cache_begin_change(cache, stripe);
	if (if_version)
		vmc_versions_ask(cache, stripe);
	vmc_cache_work_begins(stripe);
	int rc = evict_key(cache, thread, stripe, &key, if_version);
	if (rc == -EBADF)
		return rc;
	vmc_cache_work_ends(stripe);
	if (rc == 0)
		vmc_cache_reclaim(cache, stripe);
	vmc_cache_end_change(stripe);
	return rc;
}

int
vmc_cache_evict_victim(struct vmemcache *space)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	vmc_runs freed;

	if (!stripe)
		return -ENOMEM;
	vmc_cleanup(vmc_key_let_go) struct vmc_key none =
		vmc_cache_key(space, NULL, 0);
	vmc_key_hold(thread, &none);
	stripe->now = 0;
	vmc_cache_begin_change(cache, stripe);
	vmc_cache_work_begins(stripe);
	int rc;
	do {
		rc = none.mark
			     ? vmc_cache_make_room_for(cache, stripe, none.era,
				       0, 0, VMEMCACHE_REASON_EVICTED, &freed)
			     : vmc_cache_make_room(cache, stripe, 0, 0,
				       VMEMCACHE_REASON_EVICTED, &freed);
		if (rc == -EBADF)
			return rc;
		vmc_extent_free(cache->extent, &freed);
	} while (rc == VMC_WAS_OVER);
	vmc_cache_work_ends(stripe);
	if (rc == 0)
		vmc_cache_reclaim(cache, stripe);
	vmc_cache_end_change(stripe);
	return rc == -ENOSPC
		       ? vmc_fail_const(ESRCH, "there is nothing to evict")
		       : rc;
}
