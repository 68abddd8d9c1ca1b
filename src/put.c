/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * put.c -- writing
 *
 * A put fills an entry and blocks that no other thread knows, publishes the
 * entry in the index (the point where the value appears), and records it in the
 * thread's ring for the policy. Once the entry is in the index, any thread may
 * evict it. The put then uses only its address, which stays valid because the
 * put does not leave its epoch in between.
 *
 * The ring never loses an insertion: if it is full, the put drains it.
 *
 * If there is too little room: room.c. Eviction: evict.c. Replacing a value:
 * store.c.
 */
#include "put.h"

#include "base/error.h"
#include "expire.h"
#include "make.h"
#include "room.h"
#include "space.h"
#include "store.h"
#include "version.h"

#include <errno.h>

static __attribute__((noinline)) void
write_pieces(struct vmemcache *cache, const vmc_run *run, const char *value,
	size_t left)
{
	for (; left > 0; run++) {
		size_t n = vmc_run_count(*run) * cache->block_size;
		if (n > left)
			n = left;
		vmc_pool_write(&cache->pool,
			vmc_block_address(cache, vmc_run_first(*run)), value,
			n);
		value += n;
		left -= n;
	}
}

static inline __attribute__((always_inline)) void
write_value(struct vmemcache *cache, const struct vmc_entry *entry,
	const char *value, size_t size)
{
	uint64_t count;
	const vmc_run *run = vmc_runs_view(&entry->runs, &count);

	if (!value || count == 0 || cache->bench[VMEMCACHE_BENCH_NO_MEMCPY])
		return;
	if (__builtin_expect(count == 1, 1))
		vmc_pool_write(&cache->pool,
			vmc_block_address(cache, vmc_run_first(*run)), value,
			size);
	else
		write_pieces(cache, run, value, size);
	vmc_pool_drain(&cache->pool);
}

void
vmc_put_write(struct vmemcache *cache, const struct vmc_entry *entry,
	const char *value)
{
	write_value(cache, entry, value, vmc_entry_value_size(entry));
}

/*
 * The note in the index: where the value begins, and the power of two of how
 * many lines of it are worth fetching before the entry has arrived.
 */
#define NOTE_LINES_LOG_MAX 4u

uint64_t
vmc_put_note(const struct vmemcache *cache, const vmc_runs *runs)
{
	uint64_t count;
	const vmc_run *run = vmc_runs_view(runs, &count);

	if (!count || vmc_run_first(*run) >> VMC_BAG_NOTE_BITS)
		return 0;
	uint64_t lines = (vmc_run_count(*run) * cache->block_size - 1) / 64;
	uint64_t log = lines ? 64u - (unsigned)__builtin_clzll(lines) : 0;
	if (log > NOTE_LINES_LOG_MAX)
		log = NOTE_LINES_LOG_MAX;
	return vmc_run_first(*run) | log << VMC_BAG_NOTE_BITS;
}

/*
 * The part of a thread's latest values that are in several runs, of CUT_ALL: an
 * average in which each put counts for a 64th.
 */
#define CUT_LOG 6
#define CUT_ALL 65536u
#define CUT_MANY (CUT_ALL / 16)

static void
count_cut(struct vmc_stripe *stripe, bool cut)
{
	stripe->cut -= stripe->cut >> CUT_LOG;
	if (cut)
		stripe->cut += CUT_ALL >> CUT_LOG;
}

/*
 * A put that needs n blocks evicts until so many are free. That is a few more
 * than n, so that values are not cut into more and more runs (extent.c), and
 * twice as many more where many are cut. It is n alone in four cases: the value
 * is large beside these few, or all of the pool could not be used; the few
 * would be less than one value, in a small pool; the policy never has a victim;
 * or the put is within on_evict, where each victim may lead to another put.
 */
#define KEPT_FROM_BLOCKS 65536

static uint64_t
free_for(const struct vmemcache *cache, const struct vmc_thread *thread,
	struct vmc_stripe *stripe, uint64_t blocks)
{
	uint64_t all = vmc_load_relaxed(&cache->blocks);
	uint64_t kept = all / VMC_EXTENT_KEPT;

	if (all < KEPT_FROM_BLOCKS || blocks > kept / 4 ||
		!cache->wants_touches)
		return blocks;
	vmc_stripe_in_callbacks(stripe, thread);
	if (stripe->nested > 0)
		return blocks;
	return blocks + (stripe->cut < CUT_MANY ? kept : 2 * kept);
}

/* Blocks for the entry's value, evicting as needed. */
static inline __attribute__((always_inline)) int
take_blocks(struct vmemcache *cache, const struct vmc_thread *thread,
	struct vmc_stripe *stripe, bool of_space, uint64_t blocks,
	struct vmc_entry *e)
{
	int64_t have = vmc_room(cache);
	uint64_t wanted =
		blocks > 0 ? free_for(cache, thread, stripe, blocks) : 0;
	vmc_runs freed = VMC_RUNS_NONE;
	uint64_t missing;
	int rc;

	if (have < (int64_t)wanted && vmc_room_may_be_useless(cache, stripe)) {
		rc = vmc_room_of_useless(cache, stripe, e, wanted);
		if (rc)
			return rc;
		have = vmc_room(cache);
	}
	if (have < (int64_t)wanted) {
		/* what a large value has taken comes back bit by bit */
		missing = wanted - (uint64_t)have;
		if (missing > 2 * blocks)
			missing = 2 * blocks;
		rc = of_space ? vmc_room_make_in_space(
					cache, stripe, e, missing, 0, &freed)
			      : vmc_room_make_own(
					cache, stripe, e, missing, 0, &freed);
		if (__builtin_expect(rc != 0, 0)) {
			if (rc != -ENOSPC)
				return rc;
			if (!vmc_has_room(cache, blocks))
				return vmc_room_take_missing(cache, stripe,
					blocks, blocks, e, missing);
		}
	}
	rc = vmc_room_exchange(cache, &freed, blocks, blocks, e, &missing);
	if (__builtin_expect(rc == -ENOSPC, 0))
		rc = vmc_room_take_missing(
			cache, stripe, blocks, blocks, e, missing);
	return rc;
}

static __attribute__((noinline)) void
let_others_first(struct vmemcache *cache, const struct vmc_thread *thread,
	struct vmc_stripe *stripe)
{
	vmc_stripe_in_callbacks(stripe, thread);
	if (stripe->nested == 0)
		vmc_cache_let_others_first(cache, stripe);
}

/* What few caches need, before blocks are taken. */
static __attribute__((noinline)) int
make_ready(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	int rc = vmc_cache_is_stocked(cache)
			 ? 0
			 : vmc_room_for_node(cache, stripe, e);

	if (rc == 0)
		rc = vmc_put_stock_order(cache, stripe);
	if (rc == 0 && vmc_load_relaxed(&cache->metadata_limit) != 0)
		rc = vmc_limit_make_room(cache, stripe, e);
	return rc;
}

/* And after that: a callback may have used it up, or asked for versions. */
static __attribute__((noinline)) int
make_ready_again(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry **e)
{
	int rc = vmc_put_stock_order(cache, stripe);

	if (rc == 0 && vmc_versions_wanted(cache) && !vmc_entry_has_extra(*e))
		rc = vmc_make_version(cache, stripe, e);
	if (rc) {
		vmc_cache_uncount_empty(cache, *e);
		vmc_extent_free(cache->extent, &(*e)->runs);
	}
	return rc;
}

static inline __attribute__((always_inline)) int
take_room(struct vmemcache *cache, const struct vmc_thread *thread,
	struct vmc_stripe *stripe, bool of_space, size_t value_size,
	struct vmc_entry **e)
{
	uint64_t blocks = vmc_cache_blocks_for(cache, value_size);
	int rc;

	if (blocks > vmc_load_relaxed(&cache->blocks) ||
		value_size > VMC_ENTRY_VALUE_MAX) {
		vmc_put_free_entry(cache, *e);
		return vmc_fail_const(
			ENOSPC, "value larger than the cache, or than 512 GiB");
	}
	if (__builtin_expect(vmc_load_relaxed(&cache->waiting), 0))
		let_others_first(cache, thread, stripe);
	vmc_cache_work_begins(stripe);
	if (of_space)
		stripe->admitted = 0;
	rc = 0;
	if (__builtin_expect(
		    !vmc_cache_is_stocked(cache) ||
			    ((uintptr_t)cache->order |
				    vmc_load_relaxed(&cache->metadata_limit)),
		    0))
		rc = make_ready(cache, stripe, *e);
	uint64_t admitted = 0;
	if (of_space && rc == 0) {
		rc = vmc_room_admit(cache, stripe, *e, blocks);
		admitted = rc == 0 ? stripe->admitted : 0;
	}
	if (__builtin_expect(rc == 0 && value_size == 0, 0))
		rc = vmc_room_for_empty(cache, stripe, *e);
	else if (rc == 0)
		rc = take_blocks(cache, thread, stripe, of_space, blocks, *e);
	if (__builtin_expect(
		    ((uintptr_t)cache->order | vmc_versions_wanted(cache)) != 0,
		    0) &&
		rc == 0)
		rc = make_ready_again(cache, stripe, e);
	if (rc == 0) {
		/* the push that follows must not wait */
		if (__builtin_expect(vmc_ring_is_full(&stripe->ring), 0))
			vmc_cache_feed(cache, &stripe->ring, true);
		return 0;
	}
	if (rc == -EBADF) /* entry and blocks are the parent's */
		return rc;
	vmc_cache_work_ends(stripe);
	if (of_space)
		vmc_room_dismiss(cache, *e, admitted);
	vmc_put_free_entry(cache, *e);
	return rc;
}

int
vmc_put_take_room(struct vmemcache *cache, const struct vmc_thread *thread,
	struct vmc_stripe *stripe, size_t value_size, struct vmc_entry **e)
{
	return take_room(
		cache, thread, stripe, vmc_entry_is_marked(*e), value_size, e);
}

void
vmc_put_give_back(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	vmc_room_dismiss(cache, e, vmc_entry_blocks(e));
	vmc_cache_uncount_empty(cache, e);
	vmc_extent_free(cache->extent, &e->runs);
	vmc_cache_work_ends(stripe);
	vmc_put_free_entry(cache, e);
}

/* of_space: else the cache's own, which takes no look at the key. */
static inline struct vmc_index *
index_of(
	const struct vmemcache *cache, const struct vmc_key *key, bool of_space)
{
	return of_space ? key->space->index : cache->index;
}

/* counts_as VMC_COUNTERS: it is counted already. */
static inline __attribute__((always_inline)) void
publish(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	struct vmc_entry *e, bool of_space, const struct vmc_index_place *where,
	enum vmc_counter counts_as)
{
	uint32_t pending = 0;
	uint64_t runs;

	/* before others may evict it, and count that */
	if (counts_as != VMC_COUNTERS) {
		vmc_runs_view(&e->runs, &runs);
		count_cut(stripe, runs > 1);
		vmc_count(stripe, counts_as, 1);
		vmc_count(stripe, VMC_COUNT_EXTENTS, runs);
		vmc_count(stripe, VMC_COUNT_VALUES, vmc_entry_value_size(e));
		if (of_space)
			vmc_space_came(cache, key->space, e, counts_as);
	}
	/* before it is in the index: see prefix.c */
	if (!of_space && __builtin_expect(cache->order != NULL, 0))
		vmc_count(stripe, VMC_COUNT_METADATA,
			vmc_order_set(
				cache->order, thread, &stripe->order_stock, e));
	vmc_epoch_enter(thread);
	vmc_index_publish(index_of(cache, key, of_space), key->hash, e,
		vmc_put_note(cache, &e->runs), where);
	if (__builtin_expect(vmc_entry_has_extra(e), 0))
		vmc_expiry_start(cache, e, &stripe->now);
	if (cache->wants_touches)
		pending = vmc_ring_push(&stripe->ring, &e->node,
			vmc_cache_word(cache, stripe,
				of_space ? key->era->policy : cache->policy,
				key->hash));
	vmc_epoch_exit(thread);
	if (__builtin_expect(pending >= VMC_DRAIN_AT, 0))
		vmc_cache_feed(cache, &stripe->ring, false);
}

void
vmc_put_publish(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	struct vmc_entry *e, const struct vmc_index_place *where,
	enum vmc_counter counts_as)
{
	publish(cache, thread, stripe, key, e, key->mark != 0, where,
		counts_as);
}

/* Put that entry into the cache; it is freed if that fails. */
static inline __attribute__((always_inline)) int
insert(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	struct vmc_index_spot spot, struct vmc_entry *e, bool of_space,
	const void *value, size_t value_size, enum vmc_counter counts_as)
{
	struct vmc_index_place where;

	if (__builtin_expect(cache->counts > 0, 0))
		stripe->puts = key->hash;
	int rc = take_room(cache, thread, stripe, of_space, value_size, &e);
	if (rc)
		return rc;
	/*
	 * Where the hash led is told from where it leads by a version, which
	 * may come round while a callback takes its time
	 */
	if (vmc_cache_calls_back(cache))
		spot = (struct vmc_index_spot){0};
	bool small = value_size <= VMC_PUT_WRITE_LATCHED;
	if (!small)
		write_value(cache, e, value, value_size);
	rc = vmc_index_begin(index_of(cache, key, of_space), key->hash, spot,
		vmc_entry_match, key, &where);
	if (rc) {
		vmc_put_give_back(cache, stripe, e);
		return rc;
	}
	if (small)
		write_value(cache, e, value, value_size);
	publish(cache, thread, stripe, key, e, of_space, &where, counts_as);
	vmc_cache_work_ends(stripe);
	return 0;
}

static __attribute__((noinline)) struct vmc_entry *
make_with_extras(struct vmc_storing s)
{
	return vmc_store_make_entry(&s);
}

static __attribute__((noinline)) int
fail(struct vmemcache *cache, struct vmc_entry *e, int rc)
{
	if (e)
		vmc_put_free_entry(cache, e);
	return rc;
}

static __attribute__((noinline)) int
store_over(struct vmc_storing s, struct vmc_entry *e,
	const struct vmc_found *found, uint64_t *version)
{
	if (found->judged || !e)
		return fail(
			s.cache, e, found->judged ? found->judged : -ENOMEM);
	if (version && vmc_entry_has_extra(e))
		*version = vmc_entry_version(e);
	s.e = e;
	return vmc_store_over(&s, found);
}

/* A put's, or a store's, if how is one. NULL: no memory. */
static inline __attribute__((always_inline)) struct vmc_entry *
make_entry(const struct vmc_storing *s, bool of_space, bool is_store)
{
	struct vmemcache *cache = s->cache;
	const struct vmemcache_store *how = s->how;
	uint64_t extras = vmc_load_relaxed(&s->key->space->ttl_ms);

	if (is_store)
		extras |= how->ttl_ms | how->tag | how->cost | how->flags;
	extras |= vmc_versions_wanted(cache);
	if (__builtin_expect(extras != 0, 0))
		return make_with_extras(*s);
	return vmc_make_entry(cache, s->stripe, s->key, of_space, s->value_size,
		sizeof(struct vmc_entry) + s->key->size +
			(of_space ? sizeof(uint32_t) : 0));
}

/*
 * What s is like is the caller's, so that it need not be in memory where the
 * key is not there. is_store: else it is a put, and s.how as of an ADD.
 */
static inline __attribute__((always_inline)) int
put(const struct vmc_storing s, bool of_space, bool is_store, uint64_t *version)
{
	struct vmemcache *cache = s.cache;
	struct vmc_thread *thread = s.thread;
	struct vmc_stripe *stripe = s.stripe;
	const struct vmc_key *key = s.key;
	struct vmc_index *index = index_of(cache, key, of_space);
	struct vmc_found found;

	/* the bag first: what else is fetched here it would have to wait for */
	vmc_epoch_enter(thread);
	struct vmc_index_spot spot = vmc_index_prefetch(index, key->hash);
	vmc_index_prefetch_latch(index, key->hash);
	if (stripe->evicts)
		vmc_cache_prepare_evictions(cache, stripe);
	vmc_epoch_exit(thread);
	/*
	 * While the bag is on its way: what the last put left to do, and the
	 * entry, though the key may turn out to be there
	 */
	vmc_cache_reclaim(cache, stripe);
	struct vmc_entry *e = make_entry(&s, of_space, is_store);
	vmc_epoch_enter(thread);
	spot = vmc_index_refresh(index, key->hash, spot);
	const struct vmc_entry *old = vmc_index_find_from(
		index, key->hash, spot, vmc_entry_match, key);
	if (old)
		found = vmc_store_look(s.how, old, &stripe->now);
	vmc_epoch_exit(thread);
	if (__builtin_expect(old != NULL, 0))
		return store_over(s, e, &found, version);
	if (is_store && s.how->mode >= VMEMCACHE_REPLACE)
		return fail(cache, e, -ENOENT);
	if (!e)
		return -ENOMEM;
	if (is_store && version && vmc_entry_has_extra(e))
		*version = vmc_entry_version(e);
	int rc = insert(cache, thread, stripe, key, spot, e, of_space, s.value,
		s.value_size,
		vmc_count_of_store(is_store ? s.how->mode : VMC_MODE_OF_PUT,
			VMEMCACHE_OUTCOME_INSERTED));
	return is_store && rc == -EEXIST ? -ERESTART : rc;
}

/* *version is not touched where it fails. */
static inline __attribute__((always_inline)) int
put_key(const struct vmc_storing s, bool of_space, bool is_store,
	uint64_t *version)
{
	struct vmemcache *cache = s.cache;
	struct vmc_stripe *stripe = s.stripe;
	uint64_t stored = 0;
	unsigned failed = 0;
	int rc;

	vmc_cache_begin_change(cache, stripe);
	/* where memory is short, once more with what had not been given back */
	do
		rc = put(s, of_space, is_store, version ? &stored : NULL);
	while (__builtin_expect(rc != 0, 0) &&
		(rc == -ERESTART ||
			(rc == -ENOMEM && failed++ == 0 &&
				vmc_cache_reclaim_all(cache, stripe))));
	if (rc == -EBADF) /* on_evict has returned in a child */
		return rc;
	vmc_cache_end_change(stripe);
	if (stripe->handover && rc != -ENOENT && rc != -ESTALE)
		vmc_put_hand_over(cache, s.thread, stripe, s.key,
			&(struct vmc_offer){.value = s.value,
				.value_size = s.value_size,
				.stored = rc == 0,
				.exists = rc == -EEXIST});
	if (__builtin_expect(rc != 0, 0)) {
		vmc_cache_count_failure(s.key->space, stripe,
			is_store ? s.how->mode : VMC_MODE_OF_PUT, rc);
		return vmc_store_failed(rc);
	}
	if (version)
		*version = stored;
	return 0;
}

static const struct vmemcache_store add = {.mode = VMEMCACHE_ADD};

__attribute__((noinline)) int
vmc_put_store(struct vmc_storing *s, uint64_t *version)
{
	return put_key(*s, s->key->mark != 0, true, version);
}

/* is_store: else a put, whose how is `add`, and version NULL. */
static __attribute__((noinline)) int
store_in_space(struct vmemcache *space, const void *data, size_t key_size,
	const void *value, size_t value_size, const struct vmemcache_store *how,
	bool is_store, uint64_t *version)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!stripe)
		return -ENOMEM;
	vmc_cleanup(vmc_key_let_go) struct vmc_key key =
		vmc_cache_key(space, data, key_size);
	struct vmc_storing s = {
		cache, thread, stripe, &key, value, value_size, how, NULL};
	vmc_key_hold(thread, &key);
	stripe->now = 0;
	if (version || how->mode == VMEMCACHE_IF_VERSION)
		vmc_versions_ask(cache, stripe);
	return is_store ? vmc_put_store(&s, version)
			: put_key(s, true, false, NULL);
}

int
vmc_cache_put(struct vmemcache *cache, const void *data, size_t key_size,
	const void *value, size_t value_size)
{
	if (__builtin_expect(vmc_is_space(cache), 0))
		return store_in_space(cache, data, key_size, value, value_size,
			&add, false, NULL);
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	if (!stripe)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(cache, data, key_size);
	struct vmc_storing s = {
		cache, thread, stripe, &key, value, value_size, &add, NULL};
	stripe->now = 0;
	return put_key(s, false, false, NULL);
}

int
vmc_cache_store(struct vmemcache *cache, const void *data, size_t key_size,
	const void *value, size_t value_size, const struct vmemcache_store *how,
	uint64_t *version)
{
	if (__builtin_expect(vmc_is_space(cache), 0))
		return store_in_space(cache, data, key_size, value, value_size,
			how, true, version);
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	if (!stripe)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(cache, data, key_size);
	struct vmc_storing s = {
		cache, thread, stripe, &key, value, value_size, how, NULL};
	stripe->now = 0;
	if (version || how->mode == VMEMCACHE_IF_VERSION)
		vmc_versions_ask(cache, stripe);
	return put_key(s, false, true, version);
}
