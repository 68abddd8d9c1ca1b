/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index.h -- the cache's index by 64-bit hash: one of two behind one interface
 *
 * The critnib trie (critnib/) is small and in order, linear hashing (hash/)
 * a little faster. Both keep leaves in bags (bag/bag.h), so all that a find
 * does once it has a bag is the same code for both, and what is asked at each
 * find, which of them it is, is a branch that the processor guesses.
 *
 * The index asks for a leaf's hash when it makes room (hash_of), and asks the
 * caller whether a leaf is the one meant: several may have the same hash.
 *
 * Finding takes no lock and writes no shared memory; it must happen within an
 * epoch (base/epoch.h). Inserting, removing, exchanging and walking latch one
 * stripe of the index (rank INDEX) and need no epoch; match, hash_of, visit and
 * the functions of memory are called under that latch.
 */
#ifndef VMC_INDEX_H
#define VMC_INDEX_H

#include "bag/bag.h"
#include "critnib/critnib_find.h"
#include "hash/linear_find.h"

enum vmc_index_kind { VMC_INDEX_CRITNIB, VMC_INDEX_LINEAR };

/*
 * An empty index, meant for so many leaves at most, though it takes more;
 * hash_of gets arg. memory needs retire. -ENOMEM.
 */
int vmc_index_new(struct vmc_index **index, enum vmc_index_kind kind,
	uint64_t most_leaves, vmc_index_hash_fn *hash_of, const void *arg,
	const struct vmc_memory *memory);

/*
 * Frees the index and all its parts, at once (nobody may be using it), handing
 * each leaf to drop (may be NULL) in no particular order.
 */
void vmc_index_delete(
	struct vmc_index *index, vmc_index_visit_fn *drop, void *arg);

/* A leaf of that hash will soon be inserted or removed: fetch the latch. */
void vmc_index_prefetch_latch(struct vmc_index *index, uint64_t hash);

/*
 * Inserting, first part: latch the stripe of the hash and find a place for a
 * leaf there, unless match says true of one that is there already (it is asked
 * about leaves of other hashes too). spot: where the hash led some time ago, or
 * all zero. 0: the stripe stays latched until vmc_index_publish(), which must
 * follow soon; what is still missing of the leaf may be written in between.
 * -EEXIST; -ENOMEM: nothing changed, not latched.
 */
int vmc_index_begin(struct vmc_index *index, uint64_t hash,
	struct vmc_index_spot spot, vmc_index_match_fn *match, const void *key,
	struct vmc_index_place *where);

/*
 * Second part, which cannot fail: the leaf is in. It and all it points to are
 * visible to a finder that gets it (release/acquire).
 */
void vmc_index_publish(struct vmc_index *index, uint64_t hash, void *leaf,
	uint64_t note, const struct vmc_index_place *where);

/* Both at once. */
int vmc_index_insert(struct vmc_index *index, uint64_t hash, void *leaf,
	uint64_t note, vmc_index_match_fn *match, const void *key);

/*
 * The leaf for which match says true, latched as by vmc_index_begin() until
 * vmc_index_publish() puts another leaf of the same hash in its place, in one
 * step: a finder meets the one or the other; or until it is left as it is. So
 * what is decided about a leaf in between is decided while it is in the index.
 * Needs no memory. NULL: there is none, and nothing is latched.
 */
void *vmc_index_begin_exchange(struct vmc_index *index, uint64_t hash,
	vmc_index_match_fn *match, const void *key,
	struct vmc_index_place *where);
void vmc_index_cancel_exchange(struct vmc_index *index, uint64_t hash);

/* This very leaf, by that one. -ENOENT. */
int vmc_index_exchange(struct vmc_index *index, uint64_t hash, const void *leaf,
	void *by, uint64_t note);

/* Take this very leaf out. Never fails for lack of memory. -ENOENT. */
int vmc_index_remove(struct vmc_index *index, uint64_t hash, const void *leaf);

/* An empty index like this one, to which its leaves can be moved. -ENOMEM. */
int vmc_index_alike(struct vmc_index *index, struct vmc_index **out);

/*
 * All leaves move to an index that is alike, and empty, from and to which no
 * other call moves leaves: in time that does not depend on how many they are.
 * Whoever latches a stripe, to insert, remove or exchange, finds a leaf in the
 * one index until it is in the other; a find that began before may meet it
 * after that, too. Never fails.
 */
void vmc_index_move(struct vmc_index *index, struct vmc_index *to);

/*
 * Where a hash comes in the order of the walk: of the critnib the hash itself,
 * of linear hashing the hash with the order of some bits reversed.
 */
uint64_t vmc_index_position(const struct vmc_index *index, uint64_t hash);

/*
 * One step of a walk: hand over the leaves of some of the next positions, from
 * *position (0: the start) on, and say how many; *position is where to go on
 * then, 0 again at the end. All leaves of a hash come in one step. Whatever
 * time passes between the steps, a leaf that is there all the while is met
 * once, however the index grows and shrinks, and no leaf that is inserted once
 * is met twice. visit must not call the index.
 */
size_t vmc_index_walk(struct vmc_index *index, uint64_t *position,
	vmc_index_visit_fn *visit, void *arg);

/* The number of leaves. Exact when no call is under way. */
uint64_t vmc_index_count(struct vmc_index *index);

/*
 * Walk everything and compare it with the invariants that the index states.
 * 0, or -EINVAL with a message. For tests; no other call may be under way.
 */
int vmc_index_check(struct vmc_index *index);

/*
 * In a child that has copies of latches which threads of its parent held, none
 * of them to change anything: nobody holds them.
 */
void vmc_index_renew_latches(struct vmc_index *index);

/* The first bag for that hash; bag NULL: none yet. Within an epoch. */
static inline __attribute__((always_inline)) struct vmc_index_spot
vmc_index_spot_of(struct vmc_index *index, uint64_t hash)
{
	return index->computed ? vmc_linear_spot_of(index, hash)
			       : vmc_critnib_spot_of(index, hash);
}

/*
 * The next candidate among the words that are set in `more`, and in what comes
 * behind this bag.
 */
struct vmc_index_candidate vmc_index_go_on(struct vmc_index *index,
	uint64_t hash, const struct vmc_bag *bag, unsigned more, uint64_t seen);

static inline __attribute__((always_inline)) struct vmc_index_candidate
vmc_index_first(struct vmc_index *index, uint64_t hash,
	struct vmc_index_spot spot, bool notes)
{
	const struct vmc_bag *bag = spot.bag;
	struct vmc_index_candidate c;
	unsigned more = 0;

	if (__builtin_expect(bag != NULL, 1)) {
		if (notes)
			__builtin_prefetch(bag->note);
		more = vmc_bag_candidates(bag, hash);
		if (more && vmc_bag_take(&c, bag, more, spot.seen))
			return c;
		if (!more && !vmc_bag_link(bag) && vmc_index_unchanged(&spot))
			return (struct vmc_index_candidate){0};
	}
	return vmc_index_go_on(index, hash, bag, more, spot.seen);
}

/*
 * For each leaf c.leaf that is probably of that hash: every leaf of that hash
 * that is in the index during the whole of the walk is met, and one in 4096 of
 * others in the same bag. notes: c.note will be wanted. Lock-free; within an
 * epoch, of which the spot must be (see vmc_index_refresh).
 */
#define VMC_INDEX_FOR_EACH_FROM(c, index, hash, spot, notes)                   \
	for (struct vmc_index_candidate c =                                    \
			vmc_index_first((index), (hash), (spot), (notes));     \
		c.leaf; c = vmc_index_go_on((index), (hash), c.bag,            \
				c.from & (c.from - 1), c.seen))

#define VMC_INDEX_FOR_EACH(c, index, hash, notes)                              \
	VMC_INDEX_FOR_EACH_FROM(c, (index), (hash),                            \
		vmc_index_spot_of((index), (hash)), (notes))

/* The leaf met there for which match says true, else NULL. */
static inline __attribute__((always_inline)) void *
vmc_index_find_from(struct vmc_index *index, uint64_t hash,
	struct vmc_index_spot spot, vmc_index_match_fn *match, const void *key)
{
	VMC_INDEX_FOR_EACH_FROM(c, index, hash, spot, false)
	if (match(c.leaf, key))
		return c.leaf;
	return NULL;
}

static inline __attribute__((always_inline)) void *
vmc_index_find(struct vmc_index *index, uint64_t hash,
	vmc_index_match_fn *match, const void *key)
{
	return vmc_index_find_from(
		index, hash, vmc_index_spot_of(index, hash), match, key);
}

/*
 * Bring what a later find, insertion or removal of that hash will read into
 * the cache. Within an epoch.
 */
static inline __attribute__((always_inline)) struct vmc_index_spot
vmc_index_prefetch(struct vmc_index *index, uint64_t hash)
{
	struct vmc_index_spot spot = vmc_index_spot_of(index, hash);

	if (spot.bag)
		vmc_bag_prefetch(spot.bag);
	return spot;
}

/*
 * A spot found before, for use in this epoch or under the latch: the same, or
 * where the hash leads now.
 */
static inline __attribute__((always_inline)) struct vmc_index_spot
vmc_index_refresh(
	struct vmc_index *index, uint64_t hash, struct vmc_index_spot spot)
{
	return index->computed ? vmc_linear_refresh(index, hash, spot)
			       : vmc_critnib_spot_of(index, hash);
}

#endif
