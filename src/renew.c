/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * renew.c -- a new time to live for an entry
 *
 * The key's entry is latched in the index, so it stays there meanwhile. If it
 * has a timer, that gets another deadline. If it has none, because it was
 * stored without expiry, it has no room for one: then a new entry, with the
 * same version, tag, cost and blocks, replaces it (store.c). The value itself
 * is not touched. The old entry must not be pinned, as its blocks now belong to
 * the new one alone: so it changes from LIVE without pins to DEAD in one step,
 * after which it cannot be pinned, and before the new one appears. A thread
 * that finds it DEAD in between looks the key up again.
 *
 * The new entry is the larger one. If metadata is near its limit, others are
 * evicted for it before the index is latched, as callbacks may run then. The
 * thread spares the old one meanwhile.
 */
#include "put.h"

#include "base/error.h"
#include "expire.h"
#include "room.h"
#include "space.h"

#include <errno.h>

/* As the old one, with a timer. NULL: no memory. */
static struct vmc_entry *
make_larger(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, const struct vmc_entry *old,
	uint64_t deadline)
{
	const struct vmc_extras extras = {
		.version =
			vmc_entry_has_extra(old) ? vmc_entry_version(old) : 0,
		.expires = true,
		.deadline = deadline,
		.tag = vmc_entry_tag(old),
		.cost = vmc_entry_cost(old)};

	return vmc_put_make_entry(
		cache, stripe, key, vmc_entry_value_size(old), &extras);
}

/*
 * If the key's entry has no timer, evict others for a larger one, which only
 * tells how much that is: the old one may have changed since. -ENOSPC, -ENOMEM;
 * -EBADF: a callback forked, and this is the child.
 */
static int
make_room(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key)
{
	struct vmc_entry *e = NULL;

	vmc_epoch_enter(thread);
	const struct vmc_entry *old = vmc_index_find(
		key->space->index, key->hash, vmc_entry_match, key);
	bool grows = old && !vmc_entry_timer(old);
	if (grows)
		e = make_larger(cache, stripe, key, old, VMC_WHEEL_NEVER);
	vmc_epoch_exit(thread);
	if (!e)
		return grows ? -ENOMEM : 0;
	vmc_cleanup(vmc_sparing_end) struct vmc_sparing sparing =
		vmc_spare(thread, stripe, old, 0);
	vmc_cache_work_begins(stripe);
	stripe->admitted = 0;
	int rc = vmc_limit_make_room(cache, stripe, e);
	if (rc == -EBADF)
		return rc;
	vmc_cache_work_ends(stripe);
	vmc_put_free_entry(cache, e);
	return rc;
}

/* Latched; with its place. -EAGAIN: it is somebody else's now; -ENOMEM. */
static int
exchange(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	struct vmc_entry *old, uint64_t deadline,
	const struct vmc_index_place *where)
{
	uint16_t state = VMC_ENTRY_LIVE;
	struct vmc_entry *e = make_larger(cache, stripe, key, old, deadline);

	if (!e)
		return -ENOMEM;
	if (!vmc_cas_acq_rel(&old->state, &state, VMC_ENTRY_DEAD)) {
		vmc_put_free_entry(cache, e);
		return -EAGAIN;
	}
	e->runs = old->runs;
	if (cache->counts > 0) { /* as many uses, and this one */
		vmc_store_relaxed(&e->used, vmc_load_relaxed(&old->used));
		vmc_policy_use(&e->used, cache->counts);
	}
	vmc_put_publish(cache, thread, stripe, key, e, where, VMC_COUNTERS);
	vmc_count(stripe, VMC_COUNT_METADATA_GONE, vmc_entry_size(old));
	vmc_cache_keep_replaced(cache, stripe, old);
	return 0;
}

static int
renew(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, uint64_t deadline)
{
	struct vmc_index_place where;
	uint32_t pending = 1;
	int rc = 0;
	struct vmc_entry *e = vmc_index_begin_exchange(
		key->space->index, key->hash, vmc_entry_match, key, &where);

	if (!e)
		return -ENOENT;
	if (vmc_entry_is_over(e, &stripe->now))
		rc = -ENOENT;
	else if (vmc_entry_timer(e))
		rc = vmc_expiry_change(cache, e, deadline, &stripe->now)
			     ? 0
			     : -ENOENT;
	else if (deadline != VMC_WHEEL_NEVER) {
		rc = exchange(cache, thread, stripe, key, e, deadline, &where);
		if (rc == 0)
			return 0;
	}
	/* latched, it cannot be retired before it is in the ring */
	if (rc == 0 && cache->wants_touches &&
		(vmc_load_acquire(&e->state) & VMC_ENTRY_STATES) ==
			VMC_ENTRY_LIVE)
		pending = vmc_cache_touch(
			cache, vmc_cache_policy_of(cache, e), stripe, e);
	vmc_index_cancel_exchange(key->space->index, key->hash);
	if (pending - 1 >= VMC_DRAIN_AT - 1)
		vmc_cache_look_around(cache, stripe, pending);
	return rc;
}

int
vmc_cache_renew(struct vmemcache *space, const void *data, size_t key_size,
	uint64_t ttl_ms)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	uint64_t deadline = VMC_WHEEL_NEVER;

	if (!stripe || vmc_expiry_prepare(cache) != 0)
		return -ENOMEM;
	vmc_cleanup(vmc_key_let_go) struct vmc_key key =
		vmc_cache_key(space, data, key_size);
	vmc_key_hold(thread, &key);
	stripe->now = 0;
	if (ttl_ms == 0)
		ttl_ms = vmc_load_relaxed(&space->ttl_ms);
	vmc_cache_begin_change(cache, stripe);
	int rc = 0;
	if (ttl_ms != 0 && ttl_ms != VMEMCACHE_FOREVER &&
		vmc_limit_is_near(cache, stripe))
		rc = make_room(cache, thread, stripe, &key);
	if (rc == -EBADF)
		return rc;
	if (ttl_ms != 0)
		deadline = vmc_deadline_of(ttl_ms, &stripe->now);
	if (rc == 0)
		rc = renew(cache, thread, stripe, &key, deadline);
	if (rc == 0)
		vmc_cache_reclaim(cache, stripe);
	vmc_cache_end_change(stripe);
	if (rc == -ENOENT)
		vmc_fail_const(ENOENT, "no such key");
	if (rc == -EAGAIN)
		vmc_fail_const(EAGAIN,
			"the entry is being evicted, or pinned and has no "
			"expiry so far");
	return rc;
}
