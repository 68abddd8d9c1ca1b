/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.h -- the composer: get.c, put.c, store.c, touch.c, evict.c and others
 * over pool, extents, index and policy
 *
 * vmemcache.c checks arguments and translates errors; everything here works
 * on a cache that is valid, and returns negative errno.
 */
#ifndef VMC_CACHE_H
#define VMC_CACHE_H

#include "base/error.h"
#include "base/hash.h"
#include "handle.h"

#include <errno.h>
#include <limits.h>

/* An instance of the policy: policy.h says what first is. -ENOMEM. */
int vmc_cache_create_policy(struct vmemcache *cache, uint64_t blocks,
	struct vmc_policy *first, struct vmc_policy **policy);

/* Does somebody want to know of what goes? */
static inline bool
vmc_cache_calls_back(const struct vmemcache *cache)
{
	/* one branch, as each put asks */
	return ((uintptr_t)cache->on_evict | (uintptr_t)cache->on_remove |
		       vmc_load_relaxed(&cache->spaces_call_back)) != 0;
}

static inline bool
vmc_is_space(const struct vmemcache *space)
{
	return space->root != space;
}

/* A callback was set: of a space, others call it as well. */
static inline void
vmc_space_may_call(struct vmemcache *space)
{
	if (vmc_is_space(space))
		vmc_store_relaxed(&space->root->spaces_call_back, true);
}

/* There is no process of that mark: the cache has no medium. */
#define VMC_OF_NO_PROCESS UINT_MAX

static inline bool
vmc_cache_is_open(const struct vmemcache *cache)
{
	return vmc_load_relaxed(&cache->usable_in) != VMC_OF_NO_PROCESS;
}

/*
 * Is it another process's? To be asked at every call, and again after every
 * callback: it may have forked, and return twice.
 */
static inline bool
vmc_cache_is_foreign(const struct vmemcache *cache)
{
	return vmc_load_acquire(&cache->usable_in) != vmc_process_mark();
}

static inline int
vmc_cache_fail_foreign(void)
{
	return vmc_fail_const(EBADF,
		"the cache was made before a fork, and another process has "
		"used it since, or was using it then: make another one after "
		"the fork");
}

/* 0: the child that this is owns it from now on. -EBADF: it does not. */
int vmc_cache_inherit(struct vmemcache *space);
/* A child that may go on with the cache of a parent that has gone does so. */
bool vmc_cache_inherits(struct vmemcache *space);
/* From when the cache is open to when it is closed. */
void vmc_cache_enroll(struct vmemcache *cache);
void vmc_cache_strike_off(struct vmemcache *cache);

/*
 * A callback may leave by other ways than its return: pthread_exit(3), a
 * cancellation, an exception of C++. What then has to be done stands in the
 * cleanup of a variable, as both run these when they unwind the stack.
 */
#define vmc_cleanup(function) __attribute__((cleanup(function), unused))

/* How the user wants the pool prefaulted. */
struct vmc_prefault vmc_cache_prefault_wanted(struct vmemcache *cache);
/* As vmemcache_resize(); -EBADF. */
int vmc_cache_resize(struct vmemcache *cache, size_t size);

/* As vmemcache_add(); a failure leaves the configuration as it was. */
int vmc_cache_open(struct vmemcache *cache, const char *path);
/* Touch every page of the pool, once: later calls do nothing. */
void vmc_cache_prefault(struct vmemcache *cache);
/* Nobody may be using it. Does nothing to a cache that is not open. */
void vmc_cache_close(struct vmemcache *cache);

/* The operations are given the cache or a space, as the caller has it. */
int vmc_cache_put(struct vmemcache *space, const void *key, size_t key_size,
	const void *value, size_t value_size);
/* The number of bytes copied, or -1, and errno is set: as vmemcache_get(). */
ssize_t vmc_cache_get(struct vmemcache *cache, const void *key, size_t key_size,
	void *buffer, size_t buffer_size, size_t offset, size_t *value_size);
/* By itself: so a get of the cache has nothing to ask. */
ssize_t vmc_cache_get_of_space(struct vmemcache *space, const void *key,
	size_t key_size, void *buffer, size_t buffer_size, size_t offset,
	size_t *value_size);
/* What a call that failed with that errno returns: -1, errno set. */
ssize_t vmc_cache_failed(ssize_t rc);
/* The number of hits; each request's result as of get. -ENOMEM, -EBADF. */
ssize_t vmc_cache_get_many(struct vmemcache *space,
	struct vmemcache_request *requests, size_t count);
/* As vmemcache_fetch(); -1, and errno is set. */
ssize_t vmc_cache_fetch(struct vmemcache *space, const void *key,
	size_t key_size, void *buffer, size_t buffer_size, size_t offset,
	unsigned flags, struct vmemcache_info *info);
/* As vmemcache_store(); how is complete. */
int vmc_cache_store(struct vmemcache *space, const void *key, size_t key_size,
	const void *value, size_t value_size, const struct vmemcache_store *how,
	uint64_t *version);
/* As vmemcache_store_many(); -ENOMEM, -EBADF. */
ssize_t vmc_cache_store_many(struct vmemcache *space,
	struct vmemcache_store_request *requests, size_t count);
/* As vmemcache_touch(). */
int vmc_cache_renew(struct vmemcache *space, const void *key, size_t key_size,
	uint64_t ttl_ms);
/* 1, 0 or negative errno. */
int vmc_cache_exists(struct vmemcache *space, const void *key, size_t key_size,
	size_t *value_size);
/* if_version 0: whatever is there. */
int vmc_cache_evict(struct vmemcache *space, const void *key, size_t key_size,
	uint64_t if_version);
int vmc_cache_evict_victim(struct vmemcache *space);

uint64_t vmc_cache_pinned_items(struct vmemcache *cache);
/* -EINVAL: unknown statistic. */
int vmc_cache_stat(struct vmemcache *space, enum vmemcache_statistic stat,
	uint64_t *value);

/* That of vmemcache_put(). */
#define VMC_MODE_OF_PUT 1
void vmc_cache_statistics(
	struct vmemcache *space, struct vmemcache_statistics *statistics);
/* All but those of huge pages, which the system would have to be asked for. */
void vmc_cache_own_statistics(
	struct vmemcache *space, struct vmemcache_statistics *statistics);
/* A store of that mode has failed so, or its callback forked: negative errno */
void vmc_cache_count_failure(struct vmemcache *space, struct vmc_stripe *stripe,
	unsigned mode, int rc);

/*
 * Walk everything: each module's own check, and what holds between them. 0,
 * or -EINVAL with a message. For tests; no operation may be under way.
 */
int vmc_cache_check(struct vmemcache *cache);
/* How many pins an entry has, for the same. */
uint64_t vmc_cache_pins_of(
	struct vmemcache *cache, const struct vmc_entry *entry);

/* --- between the files that this one declares --- */

/* A get that is in its on_miss callback. */
struct vmc_handover {
	struct vmc_handover *outer;
	struct vmc_key key;
	char *buffer;
	size_t buffer_size;
	size_t offset;
	size_t *value_size;
	struct vmemcache_info *info; /* may be NULL */
	bool peek;                   /* no use, and not counted */
	bool no_callback;
	ssize_t result; /* -ENOENT until the key is put */
};

/* What is fetched of so many values, 16 KiB at most, fits the first cache. */
#define VMC_MANY_AT_ONCE 16
/*
 * Fetch what reading these keys from these offsets (NULL: from 0) will need; at
 * most VMC_MANY_AT_ONCE.
 */
void vmc_cache_fetch_ahead(struct vmemcache *cache, struct vmc_thread *thread,
	const struct vmc_key *keys, const size_t *offsets, size_t count);

/*
 * The get that a handover is of, as the cache is now. -ENOENT: the key is not
 * there, and the buffer holds anything.
 */
ssize_t vmc_cache_read(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_handover *request);

/*
 * Call on_miss; -ENOENT unless it put the key, see hand_over() in put.c.
 * -EBADF: it forked, and this is the child.
 */
ssize_t vmc_cache_ask_on_miss(struct vmemcache *cache,
	const struct vmc_thread *thread, struct vmc_stripe *stripe,
	struct vmc_handover *handover);

static inline char *
vmc_block_address(const struct vmemcache *cache, uint64_t block)
{
	return cache->pool.base + block * cache->block_size;
}

/* What a get that wants so many bytes from offset on gets of a value. */
static inline size_t
vmc_bytes_wanted(size_t value_size, const void *buffer, size_t buffer_size,
	size_t offset)
{
	if (__builtin_expect(!buffer || offset >= value_size, 0))
		return 0;
	return buffer_size < value_size - offset ? buffer_size
						 : value_size - offset;
}

/* Of a space: its era is to be told yet, and is not read before (space.h). */
static inline struct vmc_key
vmc_cache_key(struct vmemcache *space, const void *data, size_t size)
{
	struct vmc_key key;

	key.data = data;
	key.size = size;
	key.hash = vmc_hash(data, size, space->seed);
	key.space = space;
	key.mark = 0;
	return key;
}

/* Of an entry of a space: what comes from that. */
uint64_t vmc_cache_hash_of_marked(
	const struct vmemcache *cache, const struct vmc_entry *entry);
struct vmc_policy *vmc_cache_policy_of_marked(
	const struct vmemcache *cache, const struct vmc_entry *entry);

/*
 * What the index keeps no hash for: computed from the key. Of an entry that is
 * not freed yet and that was LIVE, or is still somebody's.
 */
static inline uint64_t
vmc_cache_hash(const struct vmemcache *cache, const struct vmc_entry *entry)
{
	if (__builtin_expect(vmc_entry_is_marked(entry), 0))
		return vmc_cache_hash_of_marked(cache, entry);
	return vmc_hash(entry->key, entry->node.of_user, cache->seed);
}

/* The policy that has its node, or is to have it: of the same entries. */
static inline struct vmc_policy *
vmc_cache_policy_of(
	const struct vmemcache *cache, const struct vmc_entry *entry)
{
	return __builtin_expect(vmc_entry_is_marked(entry), 0)
		       ? vmc_cache_policy_of_marked(cache, entry)
		       : cache->policy;
}

/* Under the policy's lock: its policy lets go of the node. */
static inline void
vmc_cache_let_go_of_node(struct vmemcache *cache, struct vmc_entry *e)
{
	struct vmc_policy *policy = vmc_cache_policy_of(cache, e);

	policy->ops->remove(policy, &e->node);
}

/*
 * Under the lock: it has the node, as the most recent one; or again, as the
 * next victim.
 */
void vmc_cache_have_node(struct vmemcache *cache, struct vmc_entry *e);
void vmc_cache_restore_node(struct vmemcache *cache, struct vmc_entry *e);

/* An entry of a space is no more, but for who has it unlinked (space.c). */
void vmc_space_forget(struct vmemcache *cache, const struct vmc_entry *e);

static inline void
vmc_cache_forget(struct vmemcache *cache, const struct vmc_entry *e)
{
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_space_forget(cache, e);
}

/* What a value of that size takes. */
static inline uint64_t
vmc_cache_blocks_for(const struct vmemcache *cache, size_t size)
{
	if (__builtin_expect(cache->without_blocks, 0))
		return 0;
	return size / cache->block_size + (size % cache->block_size != 0);
}

/* An entry that the caller alone has is in the cache no more. */
static inline void
vmc_cache_uncount_empty(struct vmemcache *cache, const struct vmc_entry *entry)
{
	if (__builtin_expect(vmc_entry_is_empty(entry), 0))
		vmc_fetch_sub_acq_rel(&cache->empties, 1);
}

/*
 * The entry that was exchanged in the index for another one, and that the
 * caller has claimed before: the rest of its way. locked: the caller has the
 * policy's lock.
 */
void vmc_cache_finish_replaced(struct vmemcache *cache,
	struct vmc_stripe *stripe, struct vmc_entry *e, bool locked);
/* One that is DEAD, in no index, and has no blocks any more. */
void vmc_cache_keep_replaced(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);
/*
 * Under the policy's lock: it lets go of what was replaced by the owner of that
 * stripe; own is the caller's.
 */
void vmc_cache_let_go_of_replaced(
	struct vmemcache *cache, struct vmc_stripe *own, struct vmc_stripe *s);

/*
 * Evict victims of the policy that hold at least `blocks` blocks together, an
 * empty value counting as one, with so many bytes of metadata, and at least one
 * victim, callbacks included.
 * *freed gets the blocks of the last one, the others' are free by then.
 * -ENOSPC: there are not enough; then none was evicted. -EBADF: a callback
 * forked, and this is the child.
 */
int vmc_cache_make_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, uint64_t bytes, enum vmemcache_reason reason,
	vmc_runs *freed);
/* The same for a put of that era (share.c); EVICTED: victims of the era. */
int vmc_cache_make_room_for(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_era *own, uint64_t blocks, uint64_t bytes,
	enum vmemcache_reason reason, vmc_runs *freed);

/*
 * Callbacks and all else for an entry that the caller has claimed and that the
 * policy does not have; *freed gets its blocks. VMC_REPLACED: it has gone, but
 * a store has put another value of its key into the index before that. -EBADF,
 * as above.
 */
#define VMC_REPLACED 1
/*
 * It was there for nobody: its time was over, or it had been cleared. Of
 * make_room, where reason is EVICTED: so were all victims.
 */
#define VMC_WAS_OVER 2
int vmc_cache_remove(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, enum vmemcache_reason reason, vmc_runs *freed);

/* Touches waiting in a ring at which their owner tries to feed the policy. */
#define VMC_DRAIN_AT 32u

/* Feed the policy the ring; unless wait, only if the policy's lock is free. */
void vmc_cache_feed(struct vmemcache *cache, struct vmc_ring *ring, bool wait);

/*
 * Is the caller, whose stripe that is, the only user of the cache (touch.c)? It
 * becomes the only one where no other thread is known, and ends another's being
 * the only one.
 */
static inline bool
vmc_cache_is_sole(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	const struct vmc_stripe *sole = vmc_load_relaxed(&cache->sole);
	bool alone;

	if (sole == stripe)
		return true;
	alone = vmc_load_relaxed(&vmc_threads_alive) <= 1;
	if (alone || sole)
		vmc_store_relaxed(&cache->sole, alone ? stripe : NULL);
	return alone;
}

/* Hits after which one of several users looks whether others are left. */
#define VMC_LOOK_AROUND_EVERY 1024u

/*
 * The entry was got, of that policy (touch.c). How many touches wait in the
 * ring then; 0: there is something to be seen to.
 */
static inline uint32_t
vmc_cache_touch(struct vmemcache *cache, struct vmc_policy *policy,
	struct vmc_stripe *stripe, struct vmc_entry *e)
{
	if (__builtin_expect(cache->counts > 0, 0)) {
		vmc_policy_use(&e->used, cache->counts);
		return 1;
	}
	uint32_t at = vmc_load_relaxed(&e->node.at);
	uint32_t tick = 0;

	if (__builtin_expect(vmc_cache_is_sole(cache, stripe), 1)) {
		tick = vmc_policy_tick(policy);
		if (vmc_policy_stamp(policy, at, tick))
			return tick < VMC_POLICY_TURN;
	} else if (vmc_load_relaxed(&e->used) ==
		   vmc_load_relaxed(&cache->generation)) {
		return vmc_load_relaxed(&stripe->counter[VMC_COUNT_HIT]) %
			       VMC_LOOK_AROUND_EVERY !=
		       0;
	}
	stripe->touched |= vmc_reserve_has(&stripe->reserve, at);
	return vmc_ring_push(&stripe->ring, &e->node, tick);
}

/*
 * Feed the policy what is in its ring, and look, if it is time to. pending:
 * what the touch returned that led here.
 */
void vmc_cache_look_around(
	struct vmemcache *cache, struct vmc_stripe *stripe, uint32_t pending);

/* When a use by that thread was; 0: it is not the only user. */
static inline uint32_t
vmc_cache_tick(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_policy *policy)
{
	return vmc_cache_is_sole(cache, stripe) ? vmc_policy_tick(policy) : 0;
}

/* What its touch tells, of an entry with that hash; 0: not known. */
static inline uint64_t
vmc_cache_word(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_policy *policy, uint64_t hash)
{
	uint32_t tick = vmc_cache_tick(cache, stripe, policy);

	return cache->counts > 0 ? hash : tick;
}

/*
 * The entry, of which the caller has a pin, is on its way to the policy. This
 * is never lost.
 */
void vmc_cache_push(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

/*
 * Was a node used since it is in reserve, as far as the policy has uses
 * counted? Then it stays in its row, and goes back with that.
 */
static inline bool
vmc_cache_was_used(const struct vmemcache *cache, struct vmc_policy_node *node)
{
	return cache->counts > 0 &&
	       vmc_load_relaxed(&vmc_entry_of(node)->used) > 0;
}

/*
 * Does the thread take each victim when it needs it, and has none in reserve?
 * Where uses are counted, a victim is chosen by what was used up to then, and
 * what comes in until then counts, too: for a thread that is alone the choice
 * is exact. Uses of what is in reserve are found out (vmc_cache_was_used()),
 * but not those of what was passed over for it.
 */
static inline bool
vmc_cache_chooses_late(struct vmemcache *cache, const struct vmc_stripe *stripe)
{
	return cache->counts > 0 && vmc_load_relaxed(&cache->sole) == stripe;
}

/*
 * The lock is given back, and before that the stock of rows made up. -ENOMEM,
 * -ENOSPC: as the policy's stock().
 */
int vmc_cache_release_policy(struct vmemcache *cache);
/*
 * Before an insertion; the same results. A thread that is new to the cache has
 * counted itself before it asks. The stock may be for fewer than there are by
 * now, but those cannot put before.
 */
int vmc_cache_stock(struct vmemcache *cache);

static inline bool
vmc_cache_is_stocked(struct vmemcache *cache)
{
	return vmc_load_relaxed(&cache->stocked_for) >=
	       vmc_load_relaxed(&cache->stripes.count);
}

/*
 * Feed what is in a ring to the policy, or in all, after which it may settle.
 * Under the policy's lock.
 */
void vmc_cache_drain(struct vmemcache *cache, struct vmc_ring *ring);
void vmc_cache_drain_all(struct vmemcache *cache);

/*
 * Bring what the next evictions will need into the processor's cache, and
 * reserve victims if few are left: once after each eviction (stripe->evicts),
 * by the next put. In an epoch.
 */
void vmc_cache_prepare_evictions(
	struct vmemcache *cache, struct vmc_stripe *stripe);

/*
 * The owner of the stripe begins, or ends, to have blocks or victims in hand
 * while it waits for nobody. It tells before it takes any, and ends when it has
 * none, or where it calls a callback.
 */
static inline void
vmc_cache_work_begins(struct vmc_stripe *stripe)
{
	vmc_owner_add(&stripe->work, 1);
	vmc_epoch_order();
}

static inline void
vmc_cache_work_ends(struct vmc_stripe *stripe)
{
	/* pairs with the acquire in wait.c */
	vmc_store_release(&stripe->work, vmc_load_relaxed(&stripe->work) + 1);
}

/* What a put that does not get its blocks knows of others: all zero at first */
struct vmc_patience {
	bool waits;
	bool looked;
	unsigned sum;
};

/*
 * In the middle of its work, with nothing in hand: wait for others to end
 * theirs. False: nobody has anything, but who is in a callback.
 */
bool vmc_cache_wait(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_patience *patience);
/* It has what it waited for, or does without, or may run a callback. */
static inline void
vmc_cache_end_wait(struct vmc_stripe *stripe, struct vmc_patience *patience)
{
	if (patience->waits)
		vmc_store_release(
			&stripe->waits, vmc_load_relaxed(&stripe->waits) + 1);
	patience->waits = false;
}

/*
 * With nothing in hand: until all work has ended that others had begun before.
 * False: there is no memory barrier for all threads; nothing is known then.
 */
bool vmc_cache_let_work_end(struct vmemcache *cache, struct vmc_stripe *own);

/* Of a wait that ends by itself: for a moment, in later rounds for longer. */
void vmc_cache_pause(unsigned round);

/* Before work begins: those who wait have what they need first. */
void vmc_cache_let_others_first(
	struct vmemcache *cache, struct vmc_stripe *stripe);

/* No reader has the entry, and no ring must; there was no memory for a note. */
void vmc_cache_free_at_once(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

/*
 * Of an entry that is DEAD, in no index and not in the policy. Without memory
 * for a note the limbo waits, and the rest is ours.
 */
static inline __attribute__((always_inline)) void
vmc_cache_retire(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, bool of_space)
{
	size_t size = of_space ? vmc_entry_size(e) : vmc_entry_size_unmarked(e);

	vmc_count(stripe, VMC_COUNT_METADATA_GONE, size);
	if (of_space)
		vmc_space_forget(cache, e);
	if (!vmc_limbo_add(&stripe->limbo, &cache->uncounted, e, size))
		vmc_cache_free_at_once(cache, stripe, e);
}

/*
 * Of an entry that is DEAD and has no pins, by who brought that about: it is
 * retired. The blocks are the caller's.
 */
static inline __attribute__((always_inline)) vmc_runs
vmc_cache_let_go_of(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, bool of_space)
{
	vmc_runs runs = e->runs;
	uint64_t count;

	vmc_fence_release();
	vmc_runs_view(&runs, &count);
	vmc_count(stripe, VMC_COUNT_EXTENTS_GONE, count);
	vmc_cache_uncount_empty(cache, e);
	vmc_cache_retire(cache, stripe, e, of_space);
	return runs;
}

static inline vmc_runs
vmc_cache_let_go(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	return vmc_cache_let_go_of(cache, stripe, e, vmc_entry_is_marked(e));
}

/*
 * Around all that changes what the pool holds, from before the first change to
 * after the last: inherit.c. Nested.
 */
static inline void
vmc_cache_begin_change(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	vmc_owner_add(&stripe->busy, 1);
	vmc_epoch_order();
	vmc_heritage_change(&cache->heritage);
}

static inline void
vmc_cache_end_change(struct vmc_stripe *stripe)
{
	vmc_store_release(&stripe->busy, vmc_load_relaxed(&stripe->busy) - 1);
}

/* Before or after an operation that retires: free what can be freed. */
void vmc_cache_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe);
/* What unpins have left to free. */
void vmc_cache_adopt_orphans(
	struct vmemcache *cache, struct vmc_stripe *stripe);
/* What aborts have left; stripe NULL: as the cache closes. */
void vmc_cache_adopt_abandoned(
	struct vmemcache *cache, struct vmc_stripe *stripe);
/* There is no memory: free all that the thread retired. False: nothing. */
bool vmc_cache_reclaim_all(struct vmemcache *cache, struct vmc_stripe *stripe);

#endif
