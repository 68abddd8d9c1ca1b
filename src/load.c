/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c -- one load for all threads that miss a key, and waiting for its value
 *
 * A load that misses begins the flight of its key (flight.c), or waits for the
 * present one and then looks the key up again. The thread that begins a flight
 * first looks once more: another flight may have ended since the miss. So a
 * value that stays is loaded once.
 *
 * No thread waits for ever. However the loader is left, end_of_loading() runs:
 * it aborts the loader's reservation, and ends the flight as GONE. Then each
 * waiting thread tries again, and one of them loads. In a child that the loader
 * has forked it changes nothing, as calls fail there. A load of the same key
 * within its loader would wait for itself, and is refused.
 *
 * A call runs its loader at most once: if the value is gone before it could be
 * pinned, the call is a miss (ENOENT).
 *
 * STALE. An expired value stays in the index until its blocks are needed or
 * another value replaces it. A thread that finds that another one is making the
 * value pins the old one, by comparing its deadline with a clock that is
 * stale_ms slow (pin.c).
 */
#include "flight.h"
#include "item.h"

#include "base/error.h"

#include <errno.h>

struct vmemcache_loading {
	struct vmemcache *cache;
	struct vmemcache *space; /* the key's */
	struct vmc_stripe *stripe;
	const struct vmc_key *key;
	const struct vmemcache_store *how;
	struct vmc_flight *flight;
	int result;
	struct vmemcache_item item; /* what is reserved, if anything */
};

struct vmemcache *
vmc_loading_cache(const struct vmemcache_loading *loading)
{
	return loading->space;
}

int
vmc_loading_reserve(struct vmemcache_loading *loading, size_t value_size,
	const struct vmemcache_store *how, struct vmemcache_item *item)
{
	struct vmemcache *cache = loading->cache;
	struct vmemcache_store own = how ? *how : *loading->how;

	own.flags &= ~VMEMCACHE_EXCLUSIVE; /* the load's flight is that */
	vmc_cache_abort(cache, &loading->item);
	int rc = vmc_cache_reserve(loading->space, loading->key->data,
		loading->key->size, value_size, &own, &loading->item);
	if (rc)
		return rc;
	/* a reservation of nothing, which only tells where the room is */
	*item = loading->item;
	if (item->iov == loading->item.piece)
		item->iov = item->piece;
	item->entry = NULL;
	item->more = NULL;
	return 0;
}

static void
end_of_loading(struct vmemcache_loading *loading)
{
	struct vmemcache *cache = loading->cache;

	if (vmc_cache_is_foreign(cache))
		return;
	vmc_cache_abort(cache, &loading->item);
	if (loading->result != 0)
		vmc_count(loading->stripe, VMC_COUNT_LOADS_FAILED, 1);
	vmc_flight_end(
		cache, loading->stripe, loading->flight, loading->result);
	vmc_cache_end_change(loading->stripe);
}

static int
fail_loading(int err)
{
	return vmc_fail(err, "!the loader failed");
}

/* The value is in the cache, or was; what the flight ends with is told, too. */
static int
pin_loaded(struct vmemcache_loading *loading, struct vmemcache_item *item)
{
	loading->result = 0;
	return vmc_cache_pin(loading->space, loading->key->data,
		loading->key->size, VMEMCACHE_PEEK | VMEMCACHE_NO_CALLBACK,
		item);
}

/* The loader has answered so. */
static int
conclude(struct vmemcache_loading *loading, int answer,
	struct vmemcache_item *item)
{
	bool reserved = loading->item.iov_count >= 0;
	int rc = 0;

	if (answer != 0) {
		loading->result = answer > 0 ? answer : EINVAL;
		return fail_loading(loading->result);
	}
	loading->result = 0; /* what on_remove may leave is committed */
	if (reserved)
		rc = vmc_cache_commit(loading->space, &loading->item,
			loading->item.info.value_size, NULL);
	if (rc == -EBADF)
		return rc;
	if (rc && rc != -EEXIST) {
		loading->result = -rc;
		return rc;
	}
	rc = pin_loaded(loading, item);
	if (rc == -ENOENT && !reserved)
		loading->result = ENOENT;
	return rc == -ENOENT ? vmc_fail_const(ENOENT,
				       "the loader stored nothing that stayed")
			     : rc;
}

/* The caller has begun the flight. */
static int
load_alone(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, struct vmc_flight *flight,
	vmemcache_loader *loader, void *arg, const struct vmemcache_store *how,
	struct vmemcache_item *item)
{
	vmc_cache_begin_change(cache, stripe);
	vmc_cleanup(end_of_loading) struct vmemcache_loading loading = {
		.cache = cache,
		.space = key->space,
		.stripe = stripe,
		.key = key,
		.how = how,
		.flight = flight,
		.item = {.iov_count = -1}};

	int rc = pin_loaded(&loading, item);
	if (rc != -ENOENT)
		return rc;
	loading.result = VMC_FLIGHT_GONE;
	vmc_count(stripe, VMC_COUNT_LOADS, 1);
	vmc_lock_assert_none_held();
	int answer = loader(key->space, key->data, key->size, &loading, arg);
	if (vmc_cache_is_foreign(cache))
		return vmc_cache_fail_foreign();
	return conclude(&loading, answer, item);
}

/* Another one is making the value. -EAGAIN: it has ended, look again. */
static int
wait_for_other(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, struct vmc_flight *flight,
	const struct vmemcache_store *how, uint64_t until,
	struct vmemcache_item *item)
{
	if (how->flags & VMEMCACHE_STALE) {
		int rc = vmc_cache_pin_stale(
			cache, stripe, key, how->stale_ms, item);
		if (rc != -ENOENT) {
			vmc_flight_leave(cache, stripe, flight);
			return rc;
		}
	}
	int result = vmc_flight_wait(cache, stripe, flight, until);
	if (result == -ETIMEDOUT)
		return vmc_fail_const(ETIMEDOUT,
			"another thread has not loaded the value in time");
	return result > 0 ? fail_loading(result) : -EAGAIN;
}

static int
fail_deadlock(void)
{
	return vmc_fail_const(
		EDEADLK, "the loader of a key waits for that key itself");
}

int
vmc_cache_load(struct vmemcache *space, const void *data, size_t key_size,
	vmemcache_loader *loader, void *arg, const struct vmemcache_store *how,
	uint64_t timeout_ms, struct vmemcache_item *item)
{
	struct vmemcache *cache = space->root;
	unsigned flags = VMEMCACHE_NO_CALLBACK;
	uint64_t until = 0;
	int rc;

	for (;;) {
		struct vmc_flight *flight;
		rc = vmc_cache_pin(space, data, key_size, flags, item);
		if (rc != -ENOENT)
			return rc;
		struct vmc_stripe *stripe =
			vmc_stripe_of(&cache->stripes, vmc_thread_self());
		struct vmc_key key = vmc_cache_key(space, data, key_size);
		rc = vmc_flight_begin(cache, stripe, &key, true, &flight);
		if (rc == 0)
			return load_alone(cache, stripe, &key, flight, loader,
				arg, how, item);
		if (rc == -EDEADLK)
			return fail_deadlock();
		if (rc != -EINPROGRESS)
			return rc;
		if (until == 0) {
			vmc_count(stripe, VMC_COUNT_LOADS_SHARED, 1);
			until = vmc_flight_until(timeout_ms);
		}
		rc = wait_for_other(
			cache, stripe, &key, flight, how, until, item);
		if (rc != -EAGAIN)
			return rc;
		flags |= VMEMCACHE_PEEK; /* the miss is counted */
	}
}

int
vmc_cache_wait_for(struct vmemcache *space, const void *data, size_t key_size,
	uint64_t timeout_ms)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_flight *flight;

	if (!stripe)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(space, data, key_size);
	int rc = vmc_flight_join(cache, stripe, &key, &flight);
	if (rc == -EDEADLK)
		return fail_deadlock();
	if (rc)
		return vmc_fail_const(
			ENOENT, "nobody has the key reserved for itself");
	rc = vmc_flight_wait(
		cache, stripe, flight, vmc_flight_until(timeout_ms));
	if (rc == -ETIMEDOUT)
		return vmc_fail_const(
			ETIMEDOUT, "the value was not committed in time");
	if (rc == VMC_FLIGHT_GONE)
		return vmc_fail_const(
			ECANCELED, "the reservation was not committed");
	return rc > 0 ? fail_loading(rc) : 0;
}
