/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_internal.h -- what the index is made of, for critnib.c and its check
 *
 * Words, cells and roots are drawn in critnib_find.h.
 */
#ifndef VMC_CRITNIB_INTERNAL_H
#define VMC_CRITNIB_INTERNAL_H

#include "critnib_find.h"

#include "base/lock.h"

#include <assert.h>
#include <stdalign.h>

enum {
	STRIPES = VMC_CRITNIB_STRIPES,
	FAN = 16,
	/* of an empty stripe's root: a slot each for one nibble */
	LEVEL_FIRST = 1,
	/* nodes on the longest path: the nibbles that are left */
	DEPTH = 13,
	LINE = 64,
};

#define NODE VMC_CRITNIB_NODE
#define CELL VMC_CRITNIB_CELL
#define BITMAP_SHIFT VMC_CRITNIB_BITMAP_SHIFT
#define ADDRESS VMC_CRITNIB_ADDRESS

typedef vmc_critnib_slot slot;

static_assert(sizeof(slot) == sizeof(void *), "a word holds a pointer");

/* A line of its own: writers of other stripes do not disturb. */
struct stripe {
	alignas(LINE) struct vmc_lock lock;
	/* written under the lock, read without */
	_Atomic uint64_t count;
};

struct vmc_critnib {
	struct vmc_critnib_roots roots;
	/* each stripe's root until it grows, and again when it is empty */
	alignas(LINE) slot first[STRIPES][FAN];
	/* immutable */
	vmc_critnib_hash_fn *hash_of;
	struct vmc_memory memory;
	void *allocation;
	struct stripe stripes[STRIPES];
};

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

/* In whole units of what allocators give out. */
static inline size_t
node_size(uint64_t node)
{
	return (vmc_critnib_count_bits(bitmap_of(node)) + 1) / 2 * 16;
}

static inline struct vmc_critnib_cell *
cell_of(uint64_t word)
{
	return (struct vmc_critnib_cell *)(uintptr_t)(word & ~CELL);
}

static inline void *
leaf_of(uint64_t word)
{
	return (void *)(uintptr_t)(word & VMC_CRITNIB_LEAF);
}

static inline uint64_t
word_of(const void *leaf, uint64_t hash)
{
	return (uintptr_t)leaf | vmc_critnib_mark(hash);
}

/* The hash of what a leaf or cell leads to. */
static inline uint64_t
hash_of(const struct vmc_critnib *index, uint64_t word)
{
	return index->hash_of(
		word & CELL ? cell_of(word)->leaf : leaf_of(word));
}

/* The lowest and the highest nibble that a mark holds. */
#define MARK_LOW 28
#define MARK_HIGH 40

/* Bits 43 to 28 in which the hash of a leaf's word differs from this one. */
static inline uint64_t
mark_difference(uint64_t word, uint64_t hash)
{
	return (word ^ vmc_critnib_mark(hash)) >> BITMAP_SHIFT << MARK_LOW;
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
