/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_find.h -- the lookup, inline, and as much of the structure as it
 * follows
 *
 *   hash   | 8 bits | 4 * level bits | nibble | nibble | ...
 *            stripe   slot of root     one node a nibble, until leaves part
 *
 *   word   0: empty
 *          mark (16)   | address (48) | ....00: leaf
 *          bitmap (16) | address (48) | ....01: node, one child a set bit
 *          0           | address (48) | ....10: cell, leaves of equal hash
 *
 * A leaf's mark is bits 43 to 28 of its hash: a finder that meets another leaf
 * than it looks for mostly knows without touching it, and a writer mostly
 * knows where the two part.
 * Words stand in the slots of a root, in nodes (packed, in nibble order) and
 * in cells. The word that leads to a node holds its bitmap, so a step down
 * touches one cache line, wherever in the node the child is.
 *
 * Inline, so that the caller's match becomes part of it: a get waits for
 * memory most of its time, and the fewer instructions it has, the more of the
 * next get's cache misses the processor already has under way.
 */
#ifndef VMC_CRITNIB_FIND_H
#define VMC_CRITNIB_FIND_H

#include "critnib.h"

#include "base/atomic.h"

#define VMC_CRITNIB_STRIPES 256
#define VMC_CRITNIB_NODE UINT64_C(1)
#define VMC_CRITNIB_CELL UINT64_C(2)
#define VMC_CRITNIB_BITMAP_SHIFT 48
#define VMC_CRITNIB_ADDRESS ((UINT64_C(1) << VMC_CRITNIB_BITMAP_SHIFT) - 16)
#define VMC_CRITNIB_LEAF ((UINT64_C(1) << VMC_CRITNIB_BITMAP_SHIFT) - 4)

typedef _Atomic uint64_t vmc_critnib_slot;

/* The first member of struct vmc_critnib. */
struct vmc_critnib_roots {
	/*
	 * A stripe's root: its address, its level (at least 1) in the low four
	 * bits. Written under the stripe's lock. Apart from the locks, so that
	 * readers' lines stay clean.
	 */
	vmc_critnib_slot of[VMC_CRITNIB_STRIPES];
};

/* One of several leaves of equal hash; next leads to the rest, never empty. */
struct vmc_critnib_cell {
	void *leaf;
	vmc_critnib_slot next;
};

/* Without popcnt in the base instruction set, faster than a call. */
static inline unsigned
vmc_critnib_count_bits(unsigned v)
{
	v -= v >> 1 & 0x5555;
	v = (v & 0x3333) + (v >> 2 & 0x3333);
	v = (v + (v >> 4)) & 0x0f0f;
	return (v + (v >> 8)) & 0x1f;
}

static inline uint64_t
vmc_critnib_mark(uint64_t hash)
{
	return hash << 20 >> VMC_CRITNIB_BITMAP_SHIFT
				     << VMC_CRITNIB_BITMAP_SHIFT;
}

/* The slot for a hash in the root of its stripe. */
static inline vmc_critnib_slot *
vmc_critnib_root_slot(uint64_t root, uint64_t hash)
{
	return (vmc_critnib_slot *)(uintptr_t)(root & ~UINT64_C(15)) +
	       (hash << 8 >> (64 - 4 * (int)(root & 15)));
}

/* The shift of the nibble below a root. */
static inline int
vmc_critnib_root_shift(uint64_t root)
{
	return 52 - 4 * (int)(root & 15);
}

static inline bool
vmc_critnib_has_child(uint64_t node, unsigned nibble)
{
	return node >> (VMC_CRITNIB_BITMAP_SHIFT + nibble) & 1;
}

/* The child for a nibble, which the node must have. */
static inline vmc_critnib_slot *
vmc_critnib_child(uint64_t node, unsigned nibble)
{
	unsigned before = (unsigned)(node >> VMC_CRITNIB_BITMAP_SHIFT) &
			  ((1u << nibble) - 1);

	return (vmc_critnib_slot *)(uintptr_t)(node & VMC_CRITNIB_ADDRESS) +
	       vmc_critnib_count_bits(before);
}

/*
 * The leaf for which match says true, else NULL; match is asked about leaves
 * of other hashes too. Every leaf that was in the index during the whole of
 * the call is found. Lock-free; within an epoch.
 */
static inline __attribute__((always_inline)) void *
vmc_critnib_find(struct vmc_critnib *index, uint64_t hash,
	vmc_critnib_match_fn *match, const void *key)
{
	struct vmc_critnib_roots *roots = (struct vmc_critnib_roots *)index;
	uint64_t root = vmc_load_acquire(&roots->of[hash >> 56]);
	uint64_t word = vmc_load_acquire(vmc_critnib_root_slot(root, hash));
	int shift = vmc_critnib_root_shift(root);

	for (; word & VMC_CRITNIB_NODE; shift -= 4) {
		unsigned nibble = hash >> shift & 15;
		if (!vmc_critnib_has_child(word, nibble))
			return NULL;
		word = vmc_load_acquire(vmc_critnib_child(word, nibble));
	}
	while (word & VMC_CRITNIB_CELL) {
		struct vmc_critnib_cell *cell =
			(void *)(uintptr_t)(word & ~VMC_CRITNIB_CELL);
		if (match(cell->leaf, key))
			return cell->leaf;
		word = vmc_load_acquire(&cell->next);
	}
	void *leaf = (void *)(uintptr_t)(word & VMC_CRITNIB_LEAF);
	if (!leaf ||
		(word ^ vmc_critnib_mark(hash)) >> VMC_CRITNIB_BITMAP_SHIFT)
		return NULL;
	return match(leaf, key) ? leaf : NULL;
}

/*
 * Bring what a later find, insertion or removal of that hash will read into
 * the cache: first its slot of the root and, once that has arrived, the child
 * that the slot leads to. Within an epoch.
 */
static inline void
vmc_critnib_prefetch_slot(struct vmc_critnib *index, uint64_t hash)
{
	struct vmc_critnib_roots *roots = (struct vmc_critnib_roots *)index;
	uint64_t root = vmc_load_acquire(&roots->of[hash >> 56]);

	__builtin_prefetch(vmc_critnib_root_slot(root, hash));
}

static inline void
vmc_critnib_prefetch_child(struct vmc_critnib *index, uint64_t hash)
{
	struct vmc_critnib_roots *roots = (struct vmc_critnib_roots *)index;
	uint64_t root = vmc_load_acquire(&roots->of[hash >> 56]);
	uint64_t word = vmc_load_acquire(vmc_critnib_root_slot(root, hash));
	unsigned nibble = hash >> vmc_critnib_root_shift(root) & 15;

	if (word & VMC_CRITNIB_NODE)
		__builtin_prefetch(vmc_critnib_child(word, nibble));
}

#endif
