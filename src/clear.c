/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clear.c -- clearing the cache itself in constant time
 *
 * All entries of the cache itself, stripe by stripe of the index, are moved to
 * another index, of which only this file knows (vmc_index_move()). So they are
 * found by no key and met by no walk, though they are as LIVE as before. Then
 * the blocks of some go with each call that needs room, before anything that is
 * good is evicted (share.c): they are claimed as victims are, the policy lets
 * go of them, and they go the way of all victims (evict.c). Gets and puts need
 * not know.
 *
 * Who else may have an entry that is cleared, and what becomes of it:
 *
 *   an evictor that has   finds it not in the index, but here, and takes it
 *   claimed it            out: it counts as cleared. Or gives it back: LIVE
 *   the policy, rings     as before; as a victim it has an evictor
 *   a timer               the same
 *   pins                  keep its blocks to the last unpin
 *   the order of keys     has it until it is retired; walks by prefix do not
 *                         find it in the index, and pass it over (prefix.c)
 *
 * A stripe is latched in both indexes while it is moved. So who has latched
 * neither, and does not find an entry in the one, and then not in the other
 * either, knows that it is in none: no entry moves back. cleared_some says
 * which indexes have any; its bit is set before the move, and reset under the
 * policy's lock, under which all moves are, once the index is empty.
 *
 * No callback is called for what is cleared so. Where on_remove is to be told,
 * walk.c removes all one by one; as it does where there are few.
 *
 * Rejected: a mark in each entry of when it was stored, compared by each get
 * and put; another seed for keys, as a key might still be found by chance;
 * eras, as spaces have, which cost 4 bytes an entry, and a get and a put more.
 */
#include "claim.h"
#include "space.h"

/* So many are removed at once. */
#define FEW 64

/* Claims' worth of what is left that go with each clear. */
#define PIECES 32

/* vmc_index_match_fn */
static bool
is_this(const void *leaf, const void *key)
{
	return leaf == key;
}

/* The indexes of which something may be left, a bit each. */
static inline uint32_t
some_of(const struct vmc_spaces *spaces)
{
	return spaces ? vmc_load_acquire(&spaces->cleared_some) : 0;
}

static inline struct vmc_index *
lowest_of(const struct vmc_spaces *spaces, uint32_t some)
{
	return vmc_load_acquire(&spaces->cleared[__builtin_ctz(some)]);
}

bool
vmc_cleared_take_out(
	struct vmemcache *cache, uint64_t hash, const struct vmc_entry *e)
{
	const struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	for (uint32_t some = some_of(spaces); some; some &= some - 1)
		if (vmc_index_remove(lowest_of(spaces, some), hash, e) == 0)
			return true;
	return false;
}

struct vmc_index *
vmc_cleared_or_not_latch(
	struct vmemcache *cache, uint64_t hash, const struct vmc_entry *e)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	struct vmc_index *index = vmc_index_of(cache, e);
	struct vmc_index_place where;

	if (vmc_index_begin_exchange(index, hash, is_this, e, &where))
		return index;
	if (vmc_entry_is_marked(e))
		return NULL;
	for (uint32_t some = some_of(spaces); some; some &= some - 1) {
		index = lowest_of(spaces, some);
		if (vmc_index_begin_exchange(index, hash, is_this, e, &where))
			return index;
	}
	return NULL;
}

bool
vmc_cleared_has(struct vmemcache *cache, const struct vmc_entry *e)
{
	if (some_of(vmc_load_acquire(&cache->spaces)) == 0 ||
		vmc_entry_is_marked(e))
		return false;
	uint64_t hash = vmc_cache_hash(cache, e);
	struct vmc_index *index = vmc_cleared_or_not_latch(cache, hash, e);
	if (index)
		vmc_index_cancel_exchange(index, hash);
	return index && index != cache->index;
}

/*
 * Under the lock: the number of one that is empty, whatever its bit says, or
 * not there yet; -1: there is none. What evictors had of a clear goes without
 * anybody's seeing to the bit.
 */
static int
find_empty(const struct vmc_spaces *spaces)
{
	for (unsigned i = 0; i < VMC_CLEARED_MAX; i++) {
		struct vmc_index *index = vmc_load_relaxed(&spaces->cleared[i]);
		if (!index || vmc_index_count(index) == 0)
			return (int)i;
	}
	return -1;
}

/* Under the lock: an index that is empty; -1: there is none. */
static int
take_index(struct vmemcache *cache, struct vmc_spaces *spaces,
	const struct vmc_stripe *stripe)
{
	const _Atomic uint64_t *bytes = &stripe->counter[VMC_COUNT_METADATA];
	struct vmc_index *index;
	int i = find_empty(spaces);

	if (i < 0 || vmc_load_relaxed(&spaces->cleared[i]))
		return i;
	uint64_t before = vmc_load_relaxed(bytes);
	if (vmc_index_alike(cache->index, &index))
		return -1;
	/* it stays, and an empty cache says that it takes nothing */
	vmc_fetch_add_relaxed(
		&cache->dram_baseline, vmc_load_relaxed(bytes) - before);
	vmc_store_release(&spaces->cleared[i], index);
	return i;
}

/* Under the lock. */
static bool
move_away(struct vmemcache *cache, const struct vmc_stripe *stripe)
{
	struct vmc_spaces *spaces = vmc_spaces_prepare(cache);
	int i = spaces ? take_index(cache, spaces, stripe) : -1;

	if (i < 0)
		return false;
	spaces->cleared_at[i] = 0;
	vmc_store_release(&spaces->cleared_some,
		vmc_load_relaxed(&spaces->cleared_some) | UINT32_C(1) << i);
	vmc_index_move(cache->index, vmc_load_relaxed(&spaces->cleared[i]));
	vmc_store_relaxed(&spaces->reclaimable, true);
	return true;
}

bool
vmc_clear_own(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (vmc_index_count(cache->index) <= FEW)
		return false;
	vmc_cache_begin_change(cache, stripe);
	vmc_lock_acquire(&cache->policy_lock);
	bool moved = move_away(cache, stripe);
	vmc_cache_release_policy(cache);
	vmc_cache_end_change(stripe);
	return moved;
}

int
vmc_clear_pieces(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	int rc = 0;

	vmc_cache_begin_change(cache, stripe);
	for (unsigned i = 0; i < PIECES && rc == 0; i++) {
		vmc_cache_work_begins(stripe);
		rc = vmc_share_reclaim(cache, stripe);
		if (rc == -EBADF) /* a callback of an entry that is over */
			return rc;
		vmc_cache_work_ends(stripe);
		vmc_cache_reclaim(cache, stripe);
	}
	vmc_cache_end_change(stripe);
	return 0;
}

struct taking {
	struct vmemcache *cache;
	struct vmc_claim *claim;
	bool full; /* there were more */
};

/* vmc_index_visit_fn */
static void
take(void *leaf, void *arg)
{
	struct taking *taking = arg;
	struct vmc_claim *claim = taking->claim;
	struct vmc_entry *e = leaf;
	uint16_t state;

	taking->full |= claim->end == VMC_CLAIM_FIRST;
	if (!taking->full && vmc_claim_entry(taking->cache, e, &state))
		claim->some[claim->end++] = e;
}

/* Until some are claimed, or once round. */
static void
search(struct vmemcache *cache, struct vmc_index *index, uint64_t *position,
	struct vmc_claim *claim)
{
	struct taking taking = {cache, claim, false};

	for (unsigned ends = 0; claim->end == 0 && ends < 2;) {
		uint64_t at = *position;
		vmc_index_walk(index, position, take, &taking);
		if (taking.full)
			*position = at;
		ends += *position == 0;
	}
}

void
vmc_cleared_claim(struct vmemcache *cache, struct vmc_spaces *spaces,
	struct vmc_claim *claim)
{
	uint32_t some = some_of(spaces);

	for (; some && claim->end == 0; some &= some - 1) {
		struct vmc_index *index = lowest_of(spaces, some);
		int i = __builtin_ctz(some);
		if (vmc_index_count(index) > 0)
			search(cache, index, &spaces->cleared_at[i], claim);
		else
			vmc_store_release(&spaces->cleared_some,
				vmc_load_relaxed(&spaces->cleared_some) &
					~(UINT32_C(1) << i));
	}
	for (unsigned i = 0; i < claim->end; i++)
		vmc_cache_let_go_of_node(cache, claim->some[i]);
}

void
vmc_cleared_walk(struct vmemcache *cache, vmc_index_visit_fn *visit, void *arg)
{
	const struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	for (uint32_t some = some_of(spaces); some; some &= some - 1) {
		uint64_t position = 0;
		do
			vmc_index_walk(
				lowest_of(spaces, some), &position, visit, arg);
		while (position != 0);
	}
}

int
vmc_cleared_check(struct vmemcache *cache)
{
	const struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	int rc = 0;

	for (unsigned i = 0; spaces && i < VMC_CLEARED_MAX && rc == 0; i++) {
		struct vmc_index *index = vmc_load_relaxed(&spaces->cleared[i]);
		if (!index)
			continue;
		rc = vmc_index_check(index);
		if (rc == 0 && vmc_index_count(index) > 0 &&
			!(some_of(spaces) >> i & 1))
			rc = vmc_fail_const(
				EINVAL, "clear: what is left is forgotten");
	}
	return rc;
}
