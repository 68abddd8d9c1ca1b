/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.h -- several caches in one pool: spaces and their eras
 *
 * What a space holds is of one era, which begins with the space and after each
 * clear of it, and ends with the next clear or with the space. Each entry of a
 * space has the number of its era behind its key (entry.h). Space and era, how
 * they end and who may still have them: space.c. How much of the pool each may
 * have, and who has to make room: share.c.
 */
#ifndef VMC_SPACE_H
#define VMC_SPACE_H

#include "cache.h"

/* In items: the era has ended, and what is in it counts as CLEARED. */
#define VMC_ERA_ENDED (UINT64_C(1) << 63)

struct vmc_era {
	/* immutable while anybody has it */
	uint32_t id;
	uint64_t seed; /* that of its space */
	struct vmc_policy *policy;
	uint64_t quota, reserved; /* blocks, as of the space */
	struct vmemcache *owner;  /* its space; stays as long as this */
	/* NULL: nobody is told of what goes any more */
	struct vmemcache *_Atomic space;
	/* entries, and operations that are under way */
	_Atomic uint64_t refs;
	_Atomic uint64_t items; /* in the index; ENDED */
	/* blocks of entries in the index, and of puts under way */
	_Atomic uint64_t held;
	_Atomic uint64_t claimed; /* of these, those of victims */
	/* blocks of all puts so far; and of those that are not under way now */
	_Atomic uint64_t admitted, settled;
	_Atomic uint64_t open; /* of the former, those of reservations */
	_Atomic uint64_t value_bytes, pieces;
	/* under the policy's lock: */
	struct vmc_era *next, *prev; /* of those with nodes; or of the ended */
	bool is_linked;
	uint64_t stamp; /* when it ended */
};

/*
 * At a time, of a cache. Those that are deleted keep their numbers as long as
 * their eras are had: gets of a space with a number from there on have no tally
 * (stripe.h).
 */
#define VMC_SPACES_MAX (VMC_TALLIES * VMC_TALLIES)

#define VMC_ERA_GROUPS 20
#define VMC_ERA_GROUP_FIRST 64u

/* Clears of the cache itself of which something may be left at a time. */
#define VMC_CLEARED_MAX 16u

/*
 * Of a cache that has had spaces, or was cleared; under the policy's lock but
 * for what is atomic, and the index.
 */
struct vmc_spaces {
	/* eras by number: 64 << k in group k. Release, acquire */
	struct vmc_era *_Atomic group[VMC_ERA_GROUPS];
	uint32_t eras;         /* that were ever made, at once */
	struct vmc_era *spare; /* by next */
	struct vmc_era *ended; /* a ring, of which this is the oldest */
	unsigned ended_count;
	struct vmemcache *first;       /* spaces, by next_space */
	struct vmemcache *spare_space; /* deleted ones */
	unsigned count;                /* of spaces */
	struct vmc_index *index;       /* of their entries; NULL: none yet */
	uint32_t numbers;              /* that spaces have had */
	uint64_t reserved;             /* blocks, for all */
	/* share.c: what the cache itself has is one of the ring */
	struct vmc_era own;
	struct vmc_era *ring;     /* those with nodes; NULL: none */
	struct vmc_era *best;     /* of which the last victim was; NULL: none */
	_Atomic bool reclaimable; /* something ended may be found */
	_Atomic bool active;      /* there are spaces, or ended eras */
	uint64_t swept;           /* where the search for ended ones is */
	/*
	 * clear.c: indexes of what was cleared of the cache itself; a bit for
	 * each of which something may be left; and where the search there is
	 */
	struct vmc_index *_Atomic cleared[VMC_CLEARED_MAX];
	_Atomic uint32_t cleared_some;
	uint64_t cleared_at[VMC_CLEARED_MAX];
};

static inline struct vmc_era *
vmc_era_at(const struct vmc_spaces *spaces, uint32_t id)
{
	unsigned k =
		31u - (unsigned)__builtin_clz(id / VMC_ERA_GROUP_FIRST + 1);

	return &vmc_load_acquire(&spaces->group[k])[id + VMC_ERA_GROUP_FIRST -
						    (VMC_ERA_GROUP_FIRST << k)];
}

/* Of an entry that is marked. */
static inline struct vmc_era *
vmc_era_of(const struct vmemcache *cache, const struct vmc_entry *e)
{
	return vmc_era_at(
		vmc_load_acquire(&cache->spaces), vmc_entry_era_id(e));
}

/* That has the entry, unless it is cleared (clear.c). */
static inline struct vmc_index *
vmc_index_of(const struct vmemcache *cache, const struct vmc_entry *e)
{
	return __builtin_expect(vmc_entry_is_marked(e), 0)
		       ? vmc_load_acquire(&cache->spaces)->index
		       : cache->index;
}

/* Are there spaces, or is something left of them? */
static inline bool
vmc_spaces_are_active(const struct vmemcache *cache)
{
	const struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	return __builtin_expect(spaces != NULL, 0) &&
	       vmc_load_relaxed(&spaces->active);
}

/* Has it ended, and so is there for nobody? */
static inline bool
vmc_era_has_ended(const struct vmc_era *era)
{
	return (vmc_load_acquire(&era->items) & VMC_ERA_ENDED) != 0;
}

static inline uint64_t
vmc_era_items(const struct vmc_era *era)
{
	return vmc_load_acquire(&era->items) & ~VMC_ERA_ENDED;
}

/* Of a space, within an epoch: the era that it is in, valid as long as that. */
static inline struct vmc_era *
vmc_space_era(const struct vmemcache *space)
{
	/* acquire: pairs with the release by who began it */
	return vmc_load_acquire(&space->era);
}

/* Within an epoch, before the key is compared: of a space, its era. */
static inline void
vmc_key_look(struct vmc_key *key)
{
	if (__builtin_expect(!vmc_is_space(key->space), 1))
		return;
	key->era = vmc_space_era(key->space);
	key->mark = VMC_ENTRY_MARK;
	key->era_id = key->era->id;
}

/* Of such a key: is the entry of the same era? */
static inline bool
vmc_key_is_of_same(const struct vmc_key *key, const struct vmc_entry *e)
{
	return key->mark == (e->node.of_user & VMC_ENTRY_MARK) &&
	       (key->mark == 0 || key->era_id == vmc_entry_era_id(e));
}

/* The same for an operation that leaves the epoch; until it lets go. */
void vmc_key_hold_era(struct vmc_thread *thread, struct vmc_key *key);

static inline void
vmc_key_hold(struct vmc_thread *thread, struct vmc_key *key)
{
	if (__builtin_expect(vmc_is_space(key->space), 0))
		vmc_key_hold_era(thread, key);
}

/* In a child that a callback has forked, the era is the parent's. */
static inline void
vmc_key_let_go(struct vmc_key *key)
{
	if (__builtin_expect(key->mark != 0, 0) &&
		!vmc_cache_is_foreign(key->space->root))
		vmc_fetch_sub_acq_rel(&key->era->refs, 1);
	key->mark = 0;
}

/* The same as below, for a space that is not the last that was counted. */
void vmc_space_count_first(
	struct vmemcache *space, struct vmc_stripe *stripe, bool hit);

/*
 * A get through a space has found its key, or not. A thread that goes on with
 * the same space finds its tally where it left it: a handle has one number, and
 * a stripe one tally for that, as long as there is the cache.
 */
static inline void
vmc_space_count_get(
	struct vmemcache *space, struct vmc_stripe *stripe, bool hit)
{
	struct vmc_tally *tally = stripe->tally;

	if (__builtin_expect(stripe->tallied == space, 1))
		vmc_owner_add(hit ? &tally->hits : &tally->misses, 1);
	else
		vmc_space_count_first(space, stripe, hit);
}

static inline void
vmc_count_get(struct vmemcache *space, struct vmc_stripe *stripe, bool hit)
{
	vmc_count(stripe, hit ? VMC_COUNT_HIT : VMC_COUNT_MISS, 1);
	if (__builtin_expect(vmc_is_space(space), 0))
		vmc_space_count_get(space, stripe, hit);
}

/* An entry of a space comes into the index, and goes out of it. */
void vmc_space_came(struct vmemcache *cache, struct vmemcache *space,
	const struct vmc_entry *e, enum vmc_counter counts_as);
/* What it counts as: CLEARED, whatever the reason, if its era has ended. */
enum vmemcache_reason vmc_space_went(struct vmemcache *cache,
	const struct vmc_entry *e, enum vmemcache_reason reason);

/*
 * An entry that nobody knows is of that era now, which has admitted its blocks:
 * it was made for another one.
 */
void vmc_space_renew_entry(
	struct vmemcache *cache, struct vmc_entry *e, struct vmc_era *era);

/* Its first pin. */
static inline void
vmc_space_pinned(struct vmc_era *era, const struct vmc_entry *e)
{
	struct vmc_space_counts *counted = &era->owner->counted;

	vmc_fetch_add_relaxed(&counted->pinned_items, 1);
	vmc_fetch_add_relaxed(&counted->pinned_bytes, vmc_entry_value_size(e));
}

/* By who has a ref as well, which goes: a pin has gone, the last one or not. */
static inline void
vmc_space_unpinned(struct vmc_era *era, bool last, size_t value_size)
{
	struct vmc_space_counts *counted = &era->owner->counted;

	if (last) {
		vmc_fetch_sub_acq_rel(&counted->pinned_items, 1);
		vmc_fetch_sub_acq_rel(&counted->pinned_bytes, value_size);
	}
	vmc_fetch_sub_acq_rel(&era->refs, 1);
}

/*
 * Whose callbacks are to be called for an entry, from here to
 * vmc_space_called(); NULL: nobody's.
 */
struct vmemcache *vmc_space_to_call(
	struct vmemcache *cache, const struct vmc_entry *e);
static inline void
vmc_space_called(struct vmemcache *space)
{
	if (space && vmc_is_space(space))
		vmc_fetch_sub_acq_rel(&space->calling, 1);
}

/* As vmemcache_new_space(): how is complete, the name is one. Negative errno */
int vmc_space_new(struct vmemcache *cache, const struct vmemcache_space *how,
	struct vmemcache **space);
/* Nobody else may be using it; callbacks of others are waited for. */
void vmc_space_delete(struct vmemcache *space);
/* A new era begins, and *ended ends, of which vmc_space_dismiss() is due. */
int vmc_space_clear(struct vmemcache *space, struct vmc_era **ended);
void vmc_space_dismiss(struct vmc_era *ended);
/* Under the policy's lock: a bounded number of eras is free again. */
void vmc_spaces_free_some(struct vmemcache *cache);
/* They are that process's. */
void vmc_spaces_inherit(struct vmemcache *cache, unsigned mark);
/* Nobody publishes them any more. */
void vmc_spaces_withdraw(struct vmemcache *cache);
/*
 * All of them go with the cache, and what was cleared, entries by drop;
 * is_lost: what they had is not looked at.
 */
void vmc_spaces_close(
	struct vmemcache *cache, bool is_lost, vmc_index_visit_fn *drop);
/* Under the policy's lock: what all of them have in common. NULL: no memory. */
struct vmc_spaces *vmc_spaces_prepare(struct vmemcache *cache);
/* Gets that were counted under the number, whatever the space. */
void vmc_space_sum_gets(struct vmemcache *cache, uint32_t number,
	uint64_t *hits, uint64_t *misses);
/* The statistics of a space, and what is in the cache for nobody. */
void vmc_space_statistics(
	struct vmemcache *space, struct vmemcache_statistics *s);
struct vmc_nobodys {
	uint64_t items, value_bytes, pieces, blocks;
};
struct vmc_nobodys vmc_spaces_nobodys(struct vmemcache *cache);
/* Under the policy's lock: -EINVAL with a message; what their policies hold. */
int vmc_spaces_check(struct vmemcache *cache, uint64_t *held);

/* --- share.c --- */

/*
 * Blocks of a put are the era's from now on, if its quota allows it, and so
 * many more, as others are about to go; evicting in it. -ENOSPC, -EBADF,
 * -ENOMEM.
 */
int vmc_share_admit(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_era *era, uint64_t blocks, uint64_t credit);

/*
 * Blocks of entries in the index that nobody has claimed. What a put brings is
 * not among them until it is there: the put may fail, or something of the era
 * may have to go for it. The order of the loads sees to it that it is never
 * thought to be more: whoever changes two of them does so in the opposite one.
 */
static inline uint64_t
vmc_era_stays(const struct vmc_era *era)
{
	uint64_t settled = vmc_load_acquire(&era->settled);
	uint64_t claimed = vmc_load_acquire(&era->claimed);
	uint64_t held = vmc_load_acquire(&era->held);
	uint64_t gone = claimed + vmc_load_acquire(&era->admitted) - settled;

	return held > gone ? held - gone : 0;
}

/* Blocks are the era's, if it holds no more than `most` then. */
static inline bool
vmc_era_admits(struct vmc_era *era, uint64_t blocks, uint64_t most)
{
	uint64_t held = vmc_load_relaxed(&era->held);

	if (blocks > most || held > most - blocks)
		return false;
	vmc_fetch_add_acq_rel(&era->admitted, blocks);
	do
		if (held > most - blocks) {
			vmc_fetch_add_acq_rel(&era->settled, blocks);
			return false;
		}
	while (!vmc_cas_acq_rel(&era->held, &held, held + blocks));
	return true;
}

/* Of those that were admitted: their put brings nothing. */
static inline void
vmc_era_give_back(struct vmc_era *era, uint64_t blocks)
{
	vmc_fetch_sub_acq_rel(&era->held, blocks);
	vmc_fetch_add_acq_rel(&era->settled, blocks);
}

/* Under the policy's lock: a policy has got a node. */
void vmc_share_link(struct vmc_spaces *spaces, struct vmc_era *era);
void vmc_share_unlink(struct vmc_spaces *spaces, struct vmc_era *era);
/* Under it, where spaces are active: the next victim for a put of that era. */
struct vmc_policy_node *vmc_share_victim(
	struct vmemcache *cache, const struct vmc_era *own);

/* The same: the era that loses next, if it has no reservation; else NULL. */
struct vmc_era *vmc_share_giver(struct vmemcache *cache);

/*
 * Free some of what nobody can find any more. 0: some has gone; -ENOENT: there
 * is nothing, or it is in the hands of others; -EBADF, -ENOMEM.
 */
int vmc_share_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe);

static inline bool
vmc_share_may_reclaim(const struct vmemcache *cache)
{
	const struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	return __builtin_expect(spaces != NULL, 0) &&
	       vmc_load_relaxed(&spaces->reclaimable);
}

/* --- clear.c --- */

/*
 * Nobody finds any more what the cache itself had. False: it is little, or
 * there is no memory, or too much is left of clears before: nothing changed.
 */
bool vmc_clear_own(struct vmemcache *cache, struct vmc_stripe *stripe);
/* A bounded part of what is left goes. -EBADF. */
int vmc_clear_pieces(struct vmemcache *cache, struct vmc_stripe *stripe);
/* Under the policy's lock: claim of that as much as there is room for. */
struct vmc_claim;
void vmc_cleared_claim(struct vmemcache *cache, struct vmc_spaces *spaces,
	struct vmc_claim *claim);
/* An entry that is not in its index: is it in one of these? Take it out. */
bool vmc_cleared_take_out(
	struct vmemcache *cache, uint64_t hash, const struct vmc_entry *e);
bool vmc_cleared_has(struct vmemcache *cache, const struct vmc_entry *e);
/*
 * The index that has the entry, which is latched for it as by
 * vmc_index_begin_exchange(). NULL: it is in none.
 */
struct vmc_index *vmc_cleared_or_not_latch(
	struct vmemcache *cache, uint64_t hash, const struct vmc_entry *e);
/* Each entry of them. */
void vmc_cleared_walk(
	struct vmemcache *cache, vmc_index_visit_fn *visit, void *arg);
/* For tests. */
int vmc_cleared_check(struct vmemcache *cache);

#endif
