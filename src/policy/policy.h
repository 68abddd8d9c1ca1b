/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.h -- what is evicted next: the interface of replacement policies
 *
 * A policy orders nodes, which its user embeds in the entries. It knows
 * nothing else of them. The user calls everything but create and destroy under
 * one lock of its own, and feeds touches in batches from the rings.
 *
 * A node is in one of these places, and `at` tells which:
 *
 *   0                the policy does not have it: so it starts, and so remove
 *                    and victim leave it
 *   held             the policy orders it; in a slot of its hot set (hot.h)
 *                    from VMC_POLICY_HOT on
 *   handed over      it is in a row that a thread has in its reserve, as a
 *                    victim to come (reserve.h); touch, remove and restore
 *                    take it back, if that thread has not taken it yet
 *
 * at is written under the policy's lock. Exception: a thread that has taken the
 * node out of its reserve owns at until it sets it to 0; the policy does not
 * read it until then.
 */
#ifndef VMC_POLICY_H
#define VMC_POLICY_H

#include "ghost.h"

#include "base/atomic.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vmc_policy_node {
	_Atomic uint32_t at;
	uint32_t of_user; /* not read or written by the policy */
};

/*
 * What a policy is told of its nodes, and may ask. The entry of a node has a
 * byte for the policy, by which the user counts its uses where the policy wants
 * that (counts, below): relaxed, by whoever uses the entry, and zero in an
 * entry that is new.
 */
struct vmc_policy_user {
	/* that all nodes may have together, now and ever; 0: not known */
	uint64_t blocks, most_blocks;
	size_t uses; /* bytes from a node to that byte */
	/* of a node that the policy holds: 1 or more, as long as it does */
	uint64_t (*blocks_of)(
		const struct vmc_policy_node *node, const void *ctx);
	uint64_t (*hash_of)(
		const struct vmc_policy_node *node, const void *ctx);
	/* of a miss; 0: as much as that of others */
	uint32_t (*cost_of)(
		const struct vmc_policy_node *node, const void *ctx);
	const void *ctx;
	/*
	 * NULL, or one of the same kind under the same lock, of which this one
	 * uses the rows, and which is destroyed after it
	 */
	struct vmc_policy *first;
};

static inline _Atomic uint8_t *
vmc_policy_uses(
	const struct vmc_policy_user *user, const struct vmc_policy_node *node)
{
	return (_Atomic uint8_t *)((uintptr_t)node + user->uses);
}

/* A use is counted, up to `most`: what was used enough is not written to. */
static inline void
vmc_policy_use(_Atomic uint8_t *uses, unsigned most)
{
	uint8_t n = vmc_load_relaxed(uses);

	if (n < most)
		vmc_store_relaxed(uses, (uint8_t)(n + 1));
}

/*
 * Slots of the hot set, and what at is of the first. Uses of the nodes there
 * need not be fed: whoever is the policy's only user may stamp them.
 */
#define VMC_POLICY_HOT_SLOTS UINT32_C(32768)
#define VMC_POLICY_HOT (UINT32_MAX - VMC_POLICY_HOT_SLOTS + 1)
/* The clock from which on settle() should be called: it must not wrap. */
#define VMC_POLICY_TURN (UINT32_C(1) << 31)

/* Nodes in a row, and so the most that are handed over at once. */
#define VMC_POLICY_ROW 32u

/*
 * Their addresses, of 48 bits, in 6 bytes each. high is 0 where there is no
 * node; low is written under the lock alone, while the row is not handed over.
 */
struct vmc_policy_places {
	_Atomic uint32_t high[VMC_POLICY_ROW]; /* from bit 16 on: never 0 */
	uint16_t low[VMC_POLICY_ROW];
};

/* The row that at tells; no policy has one of number 0. */
static inline uint32_t
vmc_policy_row_number(uint32_t at)
{
	return at / VMC_POLICY_ROW;
}

/*
 * Up to 32 nodes in their order, the oldest first. From when the row is handed
 * over to when it is given back, places are emptied and nothing else changes.
 */
struct vmc_policy_row {
	struct vmc_policy_places *places;
	/* bit i: places[i] held a node when the row was handed over. Before
	 * that the policy uses it for itself */
	uint32_t live;
	uint32_t number;
	/* the policy's */
	struct vmc_policy_row *prev;
	struct vmc_policy_row *next;
};

/* What at says of a node in place i of that row. */
static inline uint32_t
vmc_policy_place(const struct vmc_policy_row *row, unsigned i)
{
	return row->number * VMC_POLICY_ROW + i;
}

struct vmc_policy;

struct vmc_policy_ops {
	const char *name;
	/* false: touches change nothing and need not be recorded */
	bool wants_touches;
	/*
	 * Up to how many uses of a node are counted in its entry. 0: they are
	 * fed as touches instead. Where they are counted only what is new needs
	 * to be touched; victims have no uses, and one in reserve that has been
	 * used is to be left in its row.
	 */
	uint8_t counts;
	bool leaves_ghosts; /* of what was evicted (ghost.h) */
	/* false: costs change nothing and need not be kept */
	bool weighs_costs;

	/* -ENOMEM */
	int (*create)(struct vmc_policy **policy,
		const struct vmc_memory *memory,
		const struct vmc_policy_user *user);
	/*
	 * The nodes it still holds are forgotten, and so are rows handed over.
	 * One that uses the rows of another holds none, or that goes as well.
	 */
	void (*destroy)(struct vmc_policy *policy);
	/*
	 * See to it that so many rows' worth of nodes can be touched for the
	 * first time, or restored, without memory; and give back what is more
	 * than that. -ENOMEM: it has not; -ENOSPC: and will not before others
	 * have gone. Of the first one, for all that use its rows.
	 */
	int (*stock)(struct vmc_policy *policy, unsigned rows);
	/*
	 * Used, in this order: they become held, the last as the most recent.
	 * `ats` is what their user read there before it knew that they count,
	 * `words` when they were used, by the clock; 0, or NULL for all: now.
	 * Those of one thread rise from call to call. Where uses are counted,
	 * words are the nodes' hashes; 0: to be asked for. Nothing changes
	 * where a reserve's owner was faster, or where a node that is held
	 * stays where it is for lack of memory.
	 */
	void (*touch)(struct vmc_policy *policy,
		struct vmc_policy_node *const *nodes, const uint32_t *ats,
		const uint64_t *words, unsigned count);
	/*
	 * All uses by the only user up to now have been fed: a time to change
	 * how they are kept.
	 */
	void (*settle)(struct vmc_policy *policy);
	/* Let go of a node, if it holds it or has handed it over. */
	void (*remove)(struct vmc_policy *policy, struct vmc_policy_node *node);
	/* Let go of the node to evict next and return it; NULL: none. */
	struct vmc_policy_node *(*victim)(struct vmc_policy *policy);
	/*
	 * How long ago, about, the next victim came to where it is: in steps
	 * that are the same for all that use the same rows. 0: there is none.
	 */
	uint32_t (*age)(struct vmc_policy *policy);
	/*
	 * Take the latest victim back, so that it would be the next one again.
	 * Several go back in the reverse of the order they came.
	 */
	void (*restore)(
		struct vmc_policy *policy, struct vmc_policy_node *node);
	/*
	 * Hand over the next victims, `most` of them at most, to whoever brings
	 * the row back by give_up. NULL: there are none, or no memory to part
	 * them from others.
	 */
	struct vmc_policy_row *(*hand_over)(
		struct vmc_policy *policy, unsigned most);
	/*
	 * A row that was handed over. What is in its places is not held, or, if
	 * uses are counted, was used meanwhile.
	 */
	void (*give_up)(struct vmc_policy *policy, struct vmc_policy_row *row);
	/*
	 * All nodes may have so many blocks together from now on, the most that
	 * was said at most. NULL: it does not matter.
	 */
	void (*resize)(struct vmc_policy *policy, uint64_t blocks);
	/*
	 * Walk everything; 0 and the number of nodes held, or -EINVAL with a
	 * message where an invariant does not hold. For tests.
	 */
	int (*check)(struct vmc_policy *policy, uint64_t *held);
};

/* Under the lock: rows that are spare, and how many are to be. */
struct vmc_policy_stock {
	unsigned spares, stock;
};

/* Spare rows above the stock that need not be given back. */
#define VMC_POLICY_SLACK 8u

/* As many as come between a victim and the one that is fetched with it. */
#define VMC_POLICY_KNOWN 2u

/* The first member of every policy's own structure. */
struct vmc_policy {
	const struct vmc_policy_ops *ops; /* immutable */
	/* written under the lock, read without: what it holds */
	_Atomic uint64_t nodes;
	/* of memory, for them; not for the latest. Of the first one: of all */
	_Atomic uint64_t bytes;
	struct vmc_policy *first; /* immutable: whose rows it uses, or itself */
	/* immutable; NULL: it needs none */
	const struct vmc_policy_stock *stock;
	/*
	 * Under the lock, where uses are counted; elsewhere rows are handed
	 * over in good time. A guess, to fetch it: the victim that comes after
	 * the next one, as of the latest; NULL: none. Hashes of nodes that it
	 * holds, as vmc_policy_know() tells it, so that none is asked for; and
	 * that of the latest victim; 0: not known.
	 */
	struct vmc_policy_node *coming;
	struct vmc_ghost *ghost; /* immutable; NULL: it has none */
	struct vmc_policy_known {
		const struct vmc_policy_node *node;
		uint64_t hash;
	} known[VMC_POLICY_KNOWN];
	unsigned knows; /* the place of the next one */
	uint64_t hash;
	/* written under the lock, or by the only user */
	_Atomic uint32_t clock;
	/* set once: release, acquire in vmc_policy_stamp(); NULL: no set */
	_Atomic uint32_t *_Atomic stamps;
};

/* Under the lock: is what stock() saw to last still so? */
static inline bool
vmc_policy_is_stocked(const struct vmc_policy *policy)
{
	const struct vmc_policy_stock *stock = policy->stock;

	return !stock || stock->spares - stock->stock <= VMC_POLICY_SLACK;
}

/* Under the lock: one with that hash will come soon, or go. */
static inline __attribute__((always_inline)) void
vmc_policy_expect(const struct vmc_policy *policy, uint64_t hash)
{
	if (policy->ghost)
		vmc_ghost_prefetch(policy->ghost, hash);
}

/* Under the lock: the hash of a node that the policy holds. */
static inline void
vmc_policy_know(struct vmc_policy *policy, const struct vmc_policy_node *node,
	uint64_t hash)
{
	policy->known[policy->knows++ % VMC_POLICY_KNOWN] =
		(struct vmc_policy_known){node, hash};
	vmc_policy_expect(policy, hash);
}

/* Of memory, more or less than before. */
static inline void
vmc_policy_add_bytes(struct vmc_policy *policy, uint64_t bytes)
{
	vmc_owner_add(&policy->first->bytes, bytes);
}

/* By the only user: the clock ticks. */
static inline uint32_t
vmc_policy_tick(struct vmc_policy *policy)
{
	uint32_t tick = vmc_load_relaxed(&policy->clock) + 1;

	vmc_store_relaxed(&policy->clock, tick);
	return tick;
}

/*
 * By the only user: a node that is where `at` says was used. False: it is not
 * in the hot set, so this is to be fed. at may be anything, if the node has
 * just been claimed: then another one is thought to have been used.
 */
static inline bool
vmc_policy_stamp(struct vmc_policy *policy, uint32_t at, uint32_t tick)
{
	if (__builtin_expect(at < VMC_POLICY_HOT, 0))
		return false;
	_Atomic uint32_t *stamps = vmc_load_acquire(&policy->stamps);
	if (__builtin_expect(!stamps, 0))
		return false;
	vmc_store_relaxed(&stamps[at - VMC_POLICY_HOT], tick);
	return true;
}

static inline struct vmc_policy_node *
vmc_policy_node_of(const struct vmc_policy_row *row, unsigned i, uint32_t high)
{
	return high ? (struct vmc_policy_node *)((uintptr_t)high << 16 |
						 row->places->low[i])
		    : NULL;
}

/* The node in place i; NULL: none. By who holds the lock or has the row. */
static inline struct vmc_policy_node *
vmc_policy_node_at(const struct vmc_policy_row *row, unsigned i)
{
	return vmc_policy_node_of(
		row, i, vmc_load_acquire(&row->places->high[i]));
}

/* The same of a row that is not handed over, in which there is one. */
static inline struct vmc_policy_node *
vmc_policy_held_at(const struct vmc_policy_row *row, unsigned i)
{
	uintptr_t high = vmc_load_relaxed(&row->places->high[i]);

	return (struct vmc_policy_node *)(high << 16 | row->places->low[i]);
}

/* By who has the row: the same, and take it out. */
static inline struct vmc_policy_node *
vmc_policy_take(const struct vmc_policy_row *row, unsigned i)
{
	return vmc_policy_node_of(
		row, i, vmc_exchange_acq_rel(&row->places->high[i], 0));
}

/*
 * Under the lock: take it out of a row handed over, of which it says to be in
 * place i. False: it is there no more.
 */
static inline bool
vmc_policy_win_back(const struct vmc_policy_row *row, unsigned i,
	struct vmc_policy_node *node)
{
	uint32_t expected = (uint32_t)((uintptr_t)node >> 16);

	if (!vmc_cas_acq_rel(&row->places->high[i], &expected, 0))
		return false;
	vmc_store_relaxed(&node->at, 0);
	return true;
}

extern const struct vmc_policy_ops vmc_policy_none;
extern const struct vmc_policy_ops vmc_policy_lru;
extern const struct vmc_policy_ops vmc_policy_sieve;
extern const struct vmc_policy_ops vmc_policy_s3fifo;
extern const struct vmc_policy_ops vmc_policy_adaptive;

#endif
