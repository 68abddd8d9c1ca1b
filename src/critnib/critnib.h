/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib.h -- an index by 64-bit hash, named for the crit-nibble trie that it
 * began as (critnib.c says why it is none)
 *
 * Leaves are opaque pointers below 2^48, at least 16-byte aligned. With each
 * goes a note of 36 bits, which a find can tell before it has read the leaf.
 * The index asks for a leaf's hash when it makes room (hash_of), and asks the
 * caller whether a leaf is the one meant: several may have the same hash.
 *
 * Finding (critnib_find.h) takes no lock and writes no shared memory; it must
 * happen within an epoch (base/epoch.h). Inserting and removing latch one
 * stripe of the index (rank INDEX) and need no epoch; match, hash_of and the
 * functions of memory are called under that latch.
 */
#ifndef VMC_CRITNIB_H
#define VMC_CRITNIB_H

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

struct vmc_critnib;

/* The hash of a leaf in the index; must not change while it is there. */
typedef uint64_t vmc_critnib_hash_fn(const void *leaf, const void *arg);
/* Is this leaf the one that is looked for? */
typedef bool vmc_critnib_match_fn(const void *leaf, const void *key);

#define VMC_CRITNIB_NOTE_MAX ((UINT64_C(1) << 36) - 1)

/*
 * An empty index, meant for so many leaves at most, though it takes more;
 * hash_of gets arg. memory needs retire. -ENOMEM.
 */
int vmc_critnib_new(struct vmc_critnib **index, uint64_t most_leaves,
	vmc_critnib_hash_fn *hash_of, const void *arg,
	const struct vmc_memory *memory);

/*
 * Frees the index and all its parts, at once (nobody may be using it), handing
 * each leaf to drop (may be NULL) in no particular order.
 */
void vmc_critnib_delete(struct vmc_critnib *index,
	void (*drop)(void *leaf, void *arg), void *arg);

struct vmc_critnib_bag;

/* Where a hash leads: its first bag, NULL if there is none yet. */
struct vmc_critnib_spot {
	struct vmc_critnib_bag *bag;
	uint64_t size; /* of the stripe's bags, which says so */
};

/* A free place for a leaf, in an index that is latched for it. */
struct vmc_critnib_place {
	struct vmc_critnib_bag *in;
	unsigned i;
};

/* A leaf of that hash will soon be inserted or removed: fetch the latch. */
void vmc_critnib_prefetch_latch(struct vmc_critnib *index, uint64_t hash);

/*
 * Inserting, first part: latch the stripe of the hash and find a place for a
 * leaf there, unless match says true of one that is there already (it is asked
 * about leaves of other hashes too). spot: where the hash led some time ago, or
 * all zero. 0: the stripe stays latched until vmc_critnib_publish(), which must
 * follow soon; what is still missing of the leaf may be written in between.
 * -EEXIST; -ENOMEM: nothing changed, not latched.
 */
int vmc_critnib_begin(struct vmc_critnib *index, uint64_t hash,
	struct vmc_critnib_spot spot, vmc_critnib_match_fn *match,
	const void *key, struct vmc_critnib_place *where);

/*
 * Second part, which cannot fail: the leaf is in. It and all it points to are
 * visible to a finder that gets it (release/acquire).
 */
void vmc_critnib_publish(struct vmc_critnib *index, uint64_t hash, void *leaf,
	uint64_t note, const struct vmc_critnib_place *where);

/* Both at once. */
static inline int
vmc_critnib_insert(struct vmc_critnib *index, uint64_t hash, void *leaf,
	uint64_t note, vmc_critnib_match_fn *match, const void *key)
{
	struct vmc_critnib_spot unknown = {0};
	struct vmc_critnib_place where;
	int err = vmc_critnib_begin(index, hash, unknown, match, key, &where);

	if (!err)
		vmc_critnib_publish(index, hash, leaf, note, &where);
	return err;
}

/* Take this very leaf out. Never fails for lack of memory. -ENOENT. */
int vmc_critnib_remove(
	struct vmc_critnib *index, uint64_t hash, const void *leaf);

/* The number of leaves. Exact when no call is under way. */
uint64_t vmc_critnib_count(struct vmc_critnib *index);

/*
 * Walk everything and compare it with the invariants stated in critnib.c.
 * 0, or -EINVAL with a message. For tests; no other call may be under way.
 */
int vmc_critnib_check(struct vmc_critnib *index);

#endif
