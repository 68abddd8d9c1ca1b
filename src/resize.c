/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resize.c -- a larger or a smaller pool while it is in use
 *
 * The modules below do the growing: the file gets longer within its mapping
 * (pool/pool.c), and the new blocks are marked free (extent_resize.c).
 *
 * Shrinking goes in these steps. `limit` is the number of blocks wanted.
 *
 *   1. Blocks from the limit on are closed: no longer allocated. All work that
 *     began before that is waited for (wait.c). From then on a closed block in
 *     use belongs to a value that is in the index, reserved, pinned, or passed
 *     to a callback that runs.
 *   2. The policy's victims are evicted until the other entries fit.
 *   3. Each value with closed blocks is moved, unless it is pinned (below).
 *   4. Steps 2 and 3 are repeated, for values that were another thread's
 *     victims at that moment and were given back since, until that moves no
 *     more. If values are left, all blocks up to the last one in use stay:
 *     EBUSY.
 *   5. When all readers that were in an epoch have left it, the file is
 *     shortened. (A get that still copied from there would raise SIGBUS.)
 *
 * Moving a value V with entry E, by M, while others get, pin and evict it:
 *
 *   M1  open blocks are taken, and the closed ones copied to them
 *   M2  E is latched in the index, which must still lead to it
 *   M3  E's state: LIVE without pins to MOVING (compare and swap)
 *   M4  E's runs = the new ones (release)
 *   M5  E's state = LIVE (release)
 *   M6  the index is told where V begins, and E unlatched
 *   M7  the closed blocks are given back, to nobody
 *
 * A get reads the runs once (acquire), and finds the old ones or the new ones
 * (M4, after M1). Both have the bytes of V until the get ends: no thread is
 * given a closed block before step 5, which waits for the get. So the get needs
 * no check and never waits. E keeps its place in the policy, its uses, timer
 * and version, and the get's check of the state means the same as without a
 * move.
 *
 * A claim or a pin would keep the runs. Both are a compare-and-swap of the
 * state, and wait while that is MOVING, for M4 and M5; after that they read the
 * new runs (release M5, acquire there). If either came before M3, M3 fails, and
 * the move is undone: no other thread knows the new blocks. A change of E under
 * the latch, such as a store over it, comes before M2 or after M6.
 *
 * Is the value that M finds in M2 still V? Closed blocks are not allocated: so
 * an entry with the same runs, some of which are closed, has the same value.
 *
 * Rejected: a new entry in E's place, as for another expiry (renew.c). It would
 * need a place in the policy and a timer, and E's blocks below the limit would
 * be reused while readers copy from them.
 *
 * One thread at a time resizes a cache. Callbacks run while values are evicted;
 * they may do anything except resize the cache. If one does not return, the
 * closed blocks are opened again once no reader is left there: the cache is as
 * large as before.
 */
#include "claim.h"
#include "expire.h"
#include "put.h"
#include "room.h"
#include "space.h"

#include "base/error.h"

#include <errno.h>

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Blocks are evicted by so many, so that few are claimed at a time. */
#define EVICT_AT_ONCE 1024u

/*
 * Rounds of evicting and moving that get nothing out of the closed part, after
 * which what is there stays.
 */
#define VAIN_ROUNDS 3u

/* Runs of a value that is moved for which no memory is needed. */
#define FEW_RUNS 32u

/* Values with closed blocks, met under one latch of the index. */
enum { BATCH = 64 };

struct found {
	struct vmc_entry *entry; /* which may have gone by now */
	struct vmc_index *index;
	uint64_t hash;
	uint64_t runs, closed; /* blocks */
};

struct shrinking {
	struct vmemcache *cache;
	struct vmc_thread *thread;
	struct vmc_stripe *stripe;
	uint64_t before; /* blocks */
	bool done;
	struct vmc_index *index; /* that is walked */
	unsigned count;
	struct found found[BATCH];
};

/* Readers that have entered by now are gone. False: as of let_work_end(). */
static bool
wait_for_readers(void)
{
	uint64_t stamp = vmc_epoch_stamp();

	for (unsigned round = 0;; round++) {
		if (!vmc_epoch_is_fenced(stamp) && !vmc_epoch_fence())
			return false;
		if (vmc_epoch_safe() > stamp)
			return true;
		vmc_cache_pause(round);
	}
}

static int
fail_without_barrier(void)
{
	return vmc_fail_const(ENOSYS,
		"shrinking: the system has no memory barrier for all threads");
}

/*
 * Room for so many blocks, or a bit of it. -ENOSPC: nothing can be evicted;
 * -ENOMEM, -EBADF.
 */
static int
evict(struct shrinking *s, uint64_t blocks)
{
	struct vmemcache *cache = s->cache;
	vmc_runs freed;
	int rc = vmc_share_reclaim(cache, s->stripe);

	if (rc == -ENOENT)
		rc = vmc_expiry_reclaim(cache, s->stripe);
	if (rc == -ENOENT) {
		rc = vmc_cache_make_room(cache, s->stripe,
			least(blocks, EVICT_AT_ONCE), 0,
			VMEMCACHE_REASON_CAPACITY, &freed);
		if (rc == 0)
			vmc_extent_free(cache->extent, &freed);
	}
	if (rc == 0)
		vmc_cache_reclaim(cache, s->stripe);
	return rc;
}

/* At most so many blocks can be where pins are. */
static uint64_t
pinned_blocks(struct vmemcache *cache)
{
	uint64_t bytes = vmc_stripes_left(&cache->stripes,
		VMC_COUNT_PINNED_BYTES, VMC_COUNT_PINNED_BYTES_GONE);

	return bytes / cache->block_size + vmc_cache_pinned_items(cache);
}

/*
 * Step 2. What is pinned may have to stay, and nothing goes for that: if it can
 * be moved nevertheless, more is evicted for it then. -ENOMEM, -EBADF.
 */
static int
evict_what_does_not_fit(struct shrinking *s)
{
	struct vmc_extent *extent = s->cache->extent;
	int rc = 0;

	while (rc == 0) {
		uint64_t used = vmc_extent_closed_used(extent);
		int64_t room =
			vmc_room(s->cache) + (int64_t)pinned_blocks(s->cache);
		if ((int64_t)used <= room)
			break;
		vmc_cache_work_begins(s->stripe);
		rc = evict(s, (uint64_t)((int64_t)used - room));
		if (rc == -EBADF)
			return rc;
		vmc_cache_work_ends(s->stripe);
	}
	return rc == -ENOSPC ? 0 : rc;
}

/* vmc_index_visit_fn: under a latch of the index. */
static void
meet(void *leaf, void *arg)
{
	struct shrinking *s = arg;
	struct vmc_entry *e = leaf;
	vmc_runs runs = vmc_entry_runs(e);
	uint64_t count, closed;

	vmc_runs_view(&runs, &count);
	closed = vmc_extent_count_closed(s->cache->extent, &runs);
	if (closed == 0 || s->count == BATCH ||
		vmc_load_acquire(&e->state) != VMC_ENTRY_LIVE)
		return; /* a later round meets it again */
	s->found[s->count++] = (struct found){
		e, s->index, vmc_cache_hash(s->cache, e), count, closed};
}

/* vmc_index_match_fn */
static bool
is_this(const void *leaf, const void *key)
{
	return leaf == key;
}

/* A value on its way. */
struct moving {
	vmc_runs old, by, new; /* by: what takes the place of the closed ones */
	uint64_t room, made; /* of the runs of `new`, before they are packed */
	vmc_run *run;
	vmc_run few[FEW_RUNS];
};

/* Block by block of the closed ones, to those that were taken for them. */
static void
copy_closed(struct vmemcache *cache, const vmc_runs *from, const vmc_runs *by)
{
	uint64_t count, ignored, done = 0;
	const vmc_run *run = vmc_runs_view(from, &count);
	const vmc_run *to = vmc_runs_view(by, &ignored);
	uint64_t limit = vmc_extent_blocks(cache->extent);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = vmc_run_first(run[i]);
		uint64_t end = at + vmc_run_count(run[i]);
		at = at < limit ? limit : at;
		while (at < end) {
			uint64_t n = least(end - at, vmc_run_count(*to) - done);
			vmc_pool_write(&cache->pool,
				vmc_block_address(
					cache, vmc_run_first(*to) + done),
				vmc_block_address(cache, at),
				n * cache->block_size);
			at += n;
			done += n;
			if (done == vmc_run_count(*to)) {
				to++;
				done = 0;
			}
		}
	}
	vmc_pool_drain(&cache->pool);
}

/* Open blocks for the closed ones. -ENOSPC, -ENOMEM, -EBADF. */
static int
take(struct shrinking *s, const struct found *found, struct moving *m)
{
	vmc_runs none = VMC_RUNS_NONE;
	uint64_t missing, count;
	int rc;

	while ((rc = vmc_extent_exchange(s->cache->extent, &none, found->closed,
			&m->by, &missing)) == -ENOSPC) {
		rc = evict(s, missing);
		if (rc)
			return rc;
	}
	if (rc)
		return rc;
	vmc_runs_view(&m->by, &count);
	m->room = found->runs + count + 1;
	m->run = m->few;
	if (m->room > FEW_RUNS)
		m->run = vmc_alloc(
			&s->cache->uncounted, m->room * sizeof(*m->run));
	return m->run ? 0 : -ENOMEM;
}

/* M1: in an epoch, in which the entry is not freed. False: it has gone. */
static bool
copy(struct shrinking *s, const struct found *found, struct moving *m)
{
	struct vmemcache *cache = s->cache;
	uint64_t count;
	bool there = false;

	vmc_epoch_enter(s->thread);
	const struct vmc_entry *e = vmc_index_find(
		found->index, found->hash, is_this, found->entry);
	if (e) {
		m->old = vmc_entry_runs(e);
		vmc_runs_view(&m->old, &count);
		there = count == found->runs &&
			vmc_extent_count_closed(cache->extent, &m->old) ==
				found->closed;
	}
	if (there) {
		copy_closed(cache, &m->old, &m->by);
		m->made = vmc_extent_relocate(
			cache->extent, &m->old, &m->by, m->run);
	}
	vmc_epoch_exit(s->thread);
	return there;
}

/* M2 to M6. False: it has gone, or somebody has claimed or pinned it. */
static bool
exchange(struct shrinking *s, const struct found *found, struct moving *m)
{
	struct vmemcache *cache = s->cache;
	struct vmc_index_place where;
	uint16_t state = VMC_ENTRY_LIVE;
	struct vmc_entry *e = vmc_index_begin_exchange(
		found->index, found->hash, is_this, found->entry, &where);

	if (!e)
		return false;
	if (vmc_entry_runs(e).word != m->old.word ||
		!vmc_cas_acq_rel(&e->state, &state, VMC_ENTRY_MOVING)) {
		vmc_index_cancel_exchange(found->index, found->hash);
		return false;
	}
	/* before it can go with them, and that is counted */
	vmc_count(s->stripe, VMC_COUNT_EXTENTS, m->made);
	if (vmc_entry_is_marked(e))
		vmc_fetch_add_acq_rel(
			&vmc_era_of(cache, e)->pieces, m->made - found->runs);
	vmc_entry_set_runs(e, m->new);
	vmc_store_release(&e->state, VMC_ENTRY_LIVE);
	vmc_index_publish(found->index, found->hash, e,
		vmc_put_note(cache, &m->new), &where);
	vmc_count(s->stripe, VMC_COUNT_EXTENTS_GONE, found->runs);
	return true;
}

/* One value, unless it has gone meanwhile, or cannot be. -ENOMEM, -EBADF. */
static int
move(struct shrinking *s, const struct found *found)
{
	struct vmc_extent *extent = s->cache->extent;
	struct moving m = {.run = NULL};
	bool moved = false;

	vmc_cache_work_begins(s->stripe);
	int rc = take(s, found, &m);
	if (rc == -EBADF)
		return rc;
	if (rc == 0 && copy(s, found, &m)) {
		rc = vmc_extent_pack(extent, m.run, m.made, &m.new);
		moved = rc == 0 && exchange(s, found, &m);
		if (rc == 0 && !moved)
			vmc_extent_drop(extent, &m.new);
	}
	if (moved) {
		vmc_extent_free_closed(extent, &m.old);
		vmc_extent_drop(extent, &m.by);
	} else {
		vmc_extent_free(extent, &m.by);
	}
	if (m.run && m.run != m.few)
		vmc_free(&s->cache->uncounted, m.run, m.room * sizeof(*m.run));
	vmc_cache_work_ends(s->stripe);
	return rc == -ENOSPC ? 0 : rc;
}

/* Of an index. -ENOMEM, -EBADF. */
static int
move_all_of(struct shrinking *s, struct vmc_index *index)
{
	uint64_t position = 0;
	int rc = 0;

	s->index = index;
	do {
		s->count = 0;
		vmc_index_walk(index, &position, meet, s);
		for (unsigned i = 0; i < s->count && rc == 0; i++)
			rc = move(s, &s->found[i]);
		if (rc == 0)
			vmc_cache_reclaim(s->cache, s->stripe);
	} while (rc == 0 && position != 0 &&
		 vmc_extent_closed_used(s->cache->extent) > 0);
	return rc;
}

/* What spaces have in common; NULL: there were none yet. */
static struct vmc_index *
index_of_spaces(struct vmemcache *cache)
{
	const struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	if (!spaces)
		return NULL;
	/* another thread may be making the first space of a cleared cache */
	vmc_lock_acquire(&cache->policy_lock);
	struct vmc_index *index = spaces->index;
	vmc_lock_release(&cache->policy_lock);
	return index;
}

/* Step 3. -ENOMEM, -EBADF. */
static int
move_all(struct shrinking *s)
{
	int rc = move_all_of(s, s->cache->index);
	struct vmc_index *index = index_of_spaces(s->cache);

	return rc == 0 && index ? move_all_of(s, index) : rc;
}

/* What was cleared goes, and is not moved. -ENOMEM, -EBADF. */
static int
drop_cleared(struct shrinking *s)
{
	int rc;

	do {
		vmc_cache_work_begins(s->stripe);
		rc = vmc_share_reclaim(s->cache, s->stripe);
		if (rc == -EBADF)
			return rc;
		vmc_cache_work_ends(s->stripe);
		vmc_cache_reclaim(s->cache, s->stripe);
	} while (rc == 0);
	return rc == -ENOENT ? 0 : rc;
}

/* Steps 1 to 4, once the blocks are closed. -ENOMEM, -EBADF, -ENOSYS. */
static int
clear_closed(struct shrinking *s)
{
	struct vmc_extent *extent = s->cache->extent;
	uint64_t used, left;
	int rc;

	for (unsigned vain = 0; vain < VAIN_ROUNDS; vain += left == used) {
		if (!vmc_cache_let_work_end(s->cache, s->stripe))
			return fail_without_barrier();
		used = vmc_extent_closed_used(extent);
		rc = used == 0 ? 0 : drop_cleared(s);
		if (rc == 0 && used > 0)
			rc = evict_what_does_not_fit(s);
		if (rc == 0 && used > 0)
			rc = move_all(s);
		if (rc)
			return rc;
		left = vmc_extent_closed_used(extent);
		if (left == 0)
			return 0;
	}
	/* what was somebody's victim at last */
	return vmc_cache_let_work_end(s->cache, s->stripe)
		       ? 0
		       : fail_without_barrier();
}

/* The policy has so many blocks from now on, and puts do. */
static void
tell_of_blocks(struct vmemcache *cache, uint64_t blocks)
{
	vmc_store_relaxed(&cache->blocks, blocks);
	if (!cache->policy->ops->resize)
		return;
	vmc_lock_acquire(&cache->policy_lock);
	cache->policy->ops->resize(cache->policy, blocks);
	vmc_cache_release_policy(cache);
}

/*
 * Unless all went well, what was closed is given out again. If there are no
 * memory barriers all of a sudden, it never is, and nothing is resized any more
 */
static void
end_of_shrinking(struct shrinking *s)
{
	if (s->done || vmc_cache_is_foreign(s->cache) || !wait_for_readers())
		return;
	vmc_extent_open(s->cache->extent, s->before);
	tell_of_blocks(s->cache, s->before);
}

static int
shrink(struct vmemcache *cache, struct vmc_stripe *stripe, size_t size)
{
	uint64_t blocks = size / cache->block_size;
	struct vmc_extent *extent = cache->extent;
	int rc;

	if (!vmc_epoch_fence()) /* so that it is known before anything goes */
		return fail_without_barrier();
	rc = vmc_extent_close(extent, blocks);
	if (rc)
		return rc;
	vmc_cleanup(end_of_shrinking) struct shrinking s = {.cache = cache,
		.thread = vmc_thread_self(),
		.stripe = stripe,
		.before = vmc_load_relaxed(&cache->blocks)};
	tell_of_blocks(cache, blocks);
	rc = clear_closed(&s);
	if (rc)
		return rc;
	/* what is given back from now on may have readers that came later */
	uint64_t end = vmc_extent_closed_end(extent);
	bool busy = end > blocks;
	if (!wait_for_readers())
		return fail_without_barrier();
	if (busy)
		size = vmc_pool_round(&cache->pool, end * cache->block_size);
	if (size < vmc_load_relaxed(&cache->pool.size))
		rc = vmc_pool_shrink(&cache->pool, size);
	if (rc)
		return rc;
	blocks = size / cache->block_size;
	vmc_extent_open(extent, blocks);
	tell_of_blocks(cache, blocks);
	s.done = true;
	return busy ? vmc_fail(EBUSY,
			      "values that are pinned or reserved, or cannot "
			      "be evicted, are in the way: it has %zu bytes "
			      "now",
			      size)
		    : 0;
}

/* The modules of entries leave no message if there is no memory; the pool does.
 */
static int
told(int rc)
{
	return rc == -ENOMEM ? vmc_fail_const(ENOMEM, "out of memory") : rc;
}

static int
grow(struct vmemcache *cache, size_t size)
{
	const struct vmc_prefault prefault = vmc_cache_prefault_wanted(cache);
	uint64_t blocks = size / cache->block_size;
	size_t memory = vmc_extent_memory(cache->extent);
	/* before memory is taken for blocks that can never be */
	int rc = vmc_pool_has_addresses(&cache->pool, size);

	if (rc == 0)
		rc = told(vmc_extent_prepare(cache->extent, blocks));
	memory = vmc_extent_memory(cache->extent) - memory;
	vmc_fetch_add_relaxed(&cache->dram_baseline, memory);
	if (rc == 0)
		rc = vmc_pool_grow(&cache->pool, size,
			prefault.threads > 0 ? &prefault : NULL);
	if (rc)
		return rc;
	vmc_extent_grow(cache->extent, blocks);
	tell_of_blocks(cache, blocks);
	return 0;
}

/* One at a time. */
struct resizing {
	struct vmemcache *cache;
	struct vmc_stripe *stripe; /* of one who changes; NULL: nobody */
};

/* Where a callback did not return, it has ended the change (evict.c). */
static void
end_of_resizing(struct resizing *resizing)
{
	if (vmc_cache_is_foreign(resizing->cache))
		return;
	if (resizing->stripe)
		vmc_cache_end_change(resizing->stripe);
	if (!vmc_extent_is_closed(resizing->cache->extent))
		vmc_store_release(&resizing->cache->resizing, false);
}

int
vmc_cache_resize(struct vmemcache *cache, size_t size)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	bool resizing = false;

	if (!stripe)
		return told(-ENOMEM);
	size = vmc_pool_round(&cache->pool, size);
	if (size < cache->block_size)
		return vmc_fail_const(
			EINVAL, "extent size larger than the cache");
	if (!vmc_cas_acq_rel(&cache->resizing, &resizing, true))
		return vmc_fail_const(EALREADY, "another resize is under way");
	vmc_cleanup(end_of_resizing) struct resizing own = {cache, NULL};
	stripe->now = 0;
	size_t before = vmc_load_relaxed(&cache->pool.size);
	vmc_cache_begin_change(cache, stripe);
	if (size > before) {
		own.stripe = stripe;
		return grow(cache, size);
	}
	int rc = size < before ? told(shrink(cache, stripe, size)) : 0;
	own.stripe = stripe;
	return rc;
}
