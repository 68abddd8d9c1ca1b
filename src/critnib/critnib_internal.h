/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_internal.h -- what the index is made of, for critnib.c and its check
 *
 *   hash   | 8 bits | 4 * level bits | nibble | nibble | ...
 *            stripe   slot of root     one node a nibble, until leaves part
 *
 *   word   0: empty    ....000: leaf    .....10: cell, leaves of equal hash
 *          bitmap (16) | address (48) | .....01: node, one child a set bit
 *
 * Words stand in the slots of a root, in nodes (packed, in nibble order) and
 * in cells. The word that leads to a node holds its bitmap, so a step down
 * touches one cache line, wherever in the node the child is.
 */
#ifndef VMC_CRITNIB_INTERNAL_H
#define VMC_CRITNIB_INTERNAL_H

#include "critnib.h"

#include "base/atomic.h"
#include "base/lock.h"

#include <assert.h>
#include <stdalign.h>

enum {
	STRIPES = 256,
	FAN = 16,
	/* of an empty root: a slot each for one nibble */
	LEVEL_FIRST = 1,
	/* nodes on the longest path: the nibbles that are left */
	DEPTH = 13,
	LINE = 64,
};

#define NODE UINT64_C(1)
#define CELL UINT64_C(2)
#define BITMAP_SHIFT 48
#define ADDRESS ((UINT64_C(1) << BITMAP_SHIFT) - 16)

typedef _Atomic uint64_t slot;

static_assert(sizeof(slot) == sizeof(void *), "a word holds a pointer");

/* One of several leaves of equal hash; next leads to the rest, never empty. */
struct cell {
	void *leaf;
	slot next;
};

/* A line of its own: writers of other stripes do not disturb. */
struct stripe {
	alignas(LINE) struct vmc_lock lock;
	/* written under the lock, read without */
	_Atomic uint64_t count;
};

struct vmc_critnib {
	/* immutable */
	vmc_critnib_hash_fn *hash_of;
	struct vmc_memory memory;
	void *allocation;
	/*
	 * Address of the root, its level in the low four bits. Written under
	 * the stripe's lock. Apart from the locks, so that readers' lines stay
	 * clean.
	 */
	slot roots[STRIPES];
	struct stripe stripes[STRIPES];
};

/* Without popcnt in the base instruction set, faster than a call. */
static inline unsigned
count_bits(unsigned v)
{
	v -= v >> 1 & 0x5555;
	v = (v & 0x3333) + (v >> 2 & 0x3333);
	v = (v + (v >> 4)) & 0x0f0f;
	return (v + (v >> 8)) & 0x1f;
}

static inline unsigned
stripe_of(uint64_t hash)
{
	return (unsigned)(hash >> 56);
}

static inline unsigned
nibble_of(uint64_t hash, int shift)
{
	return hash >> shift & (FAN - 1);
}

static inline unsigned
bitmap_of(uint64_t node)
{
	return (unsigned)(node >> BITMAP_SHIFT);
}

static inline slot *
children_of(uint64_t node)
{
	return (slot *)(uintptr_t)(node & ADDRESS);
}

static inline bool
has_child(uint64_t node, unsigned nibble)
{
	return bitmap_of(node) >> nibble & 1;
}

static inline slot *
child_of(uint64_t node, unsigned nibble)
{
	return children_of(node) +
	       count_bits(bitmap_of(node) & ((1u << nibble) - 1));
}

/* In whole units of what allocators give out. */
static inline size_t
node_size(uint64_t node)
{
	return (count_bits(bitmap_of(node)) + 1) / 2 * 16;
}

static inline struct cell *
cell_of(uint64_t word)
{
	return (struct cell *)(uintptr_t)(word & ~CELL);
}

static inline void *
leaf_of(uint64_t word)
{
	return (void *)(uintptr_t)word;
}

static inline uint64_t
word_of(const void *leaf)
{
	return (uintptr_t)leaf;
}

/* The hash of what a leaf or cell leads to. */
static inline uint64_t
hash_of(const struct vmc_critnib *index, uint64_t word)
{
	return index->hash_of(
		word & CELL ? cell_of(word)->leaf : leaf_of(word));
}

static inline unsigned
root_level(uint64_t root)
{
	return root & 15;
}

static inline slot *
root_slots(uint64_t root)
{
	return (slot *)(uintptr_t)(root & ~UINT64_C(15));
}

static inline size_t
root_count(unsigned level)
{
	return (size_t)1 << 4 * level;
}

/* The shift of the nibble below the root. */
static inline int
root_shift(uint64_t root)
{
	return 52 - 4 * (int)root_level(root);
}

static inline slot *
root_slot(uint64_t root, uint64_t hash)
{
	return root_slots(root) + (hash >> (root_shift(root) + 4) &
					  (root_count(root_level(root)) - 1));
}

/* The words of the node's children by nibble; the result names the live. */
static inline unsigned
node_spread(uint64_t node, uint64_t *by_nibble)
{
	const slot *child = children_of(node);
	unsigned live = 0;

	for (unsigned rest = bitmap_of(node); rest; rest &= rest - 1) {
		unsigned nibble = (unsigned)__builtin_ctz(rest);
		by_nibble[nibble] = vmc_load_relaxed(child++);
		if (by_nibble[nibble])
			live |= 1u << nibble;
	}
	return live;
}

#endif
