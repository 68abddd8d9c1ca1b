/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear_find.h -- where a hash leads in linear hashing, inline, and as much of
 * the structure as it follows
 *
 *   hash   | 8 bits | ... number of bits of the bag's number | 12 bits |
 *            stripe                                             mark
 *
 *   bag n of a stripe  in one of the chunks that its table leads to
 *
 * The tables are so small that they stay in the processor's own cache. Links
 * lead to chained bags only.
 */
#ifndef VMC_LINEAR_FIND_H
#define VMC_LINEAR_FIND_H

#include "bag/bag.h"

#define VMC_LINEAR_STRIPES 256
#define VMC_LINEAR_SIZE_BITS 32
#define VMC_LINEAR_CHUNK_BITS 5

/*
 * What a table has of a chunk: the address where bag 0 would be, if the bags
 * before the chunk stood before it, and 1 more. 0: it is not there.
 */
typedef _Atomic uintptr_t vmc_linear_chunk;

/* Where the bags of a stripe are. Written under the stripe's latch. */
struct vmc_linear_root {
	/*
	 * 32 bits: the number of bags, at least 1. 5 bits: the power of two of
	 * the bags in a chunk, which never changes. 27 bits: how often the
	 * number has changed, so that a finder sees that it has.
	 */
	_Atomic uint64_t size;
	vmc_linear_chunk *_Atomic table;
};

/*
 * The beginning of struct vmc_linear. Apart from the latches, so that readers'
 * lines stay clean.
 */
struct vmc_linear_roots {
	struct vmc_index index;
	_Alignas(64) struct vmc_linear_root of[VMC_LINEAR_STRIPES];
};

/*
 * The number of the bag for a hash among so many (at least 1): linear hashing,
 * see linear.c.
 */
static inline uint32_t
vmc_linear_bag_number(uint32_t bags, uint64_t hash)
{
	/* ^ for -, as gcc makes one instruction of it then */
	uint32_t mask = (UINT32_C(2) << (31 ^ __builtin_clz(bags))) - 1;
	uint32_t number = (uint32_t)(hash >> 12) & mask;

	return number & (mask >> (number >= bags));
}

/* Bag so-and-so of a table; NULL: its chunk is not there. */
static inline struct vmc_bag *
vmc_linear_bag_at(vmc_linear_chunk *table, uint64_t size, uint32_t number)
{
	uint32_t at = number >> (size >> VMC_LINEAR_SIZE_BITS & 31);
	uintptr_t chunk = vmc_load_acquire(&table[at]);
	uintptr_t offset = number * sizeof(struct vmc_bag);

	return chunk ? (struct vmc_bag *)(chunk - 1 + offset) : NULL;
}

/*
 * The first bag for that hash, and the size that says so; NULL: none yet. A
 * table that is too small for the size is never used: a larger one is stored
 * before the size that needs it, and a smaller one after a smaller size, which
 * is seen then.
 */
static inline struct vmc_index_spot
vmc_linear_spot_of(struct vmc_index *index, uint64_t hash)
{
	struct vmc_linear_root *root =
		&((struct vmc_linear_roots *)index)->of[hash >> 56];
	vmc_linear_chunk *table;
	uint64_t size;

	do {
		size = vmc_load_acquire(&root->size);
		table = vmc_load_acquire(&root->table);
	} while (__builtin_expect(vmc_load_acquire(&root->size) != size, 0));
	uint32_t number = vmc_linear_bag_number((uint32_t)size, hash);
	return (struct vmc_index_spot){
		vmc_linear_bag_at(table, size, number), size, &root->size};
}

/*
 * A spot found before, for use in this epoch or under the latch: the same, or
 * where the hash leads now if the size has changed, or there was no bag. No bag
 * to which a size led is retired, or goes to another index (linear_move.c), but
 * that the size changes before the latch is released: so if the size is the
 * same, the bag is there until the epoch or the latch ends.
 */
static inline struct vmc_index_spot
vmc_linear_refresh(
	struct vmc_index *index, uint64_t hash, struct vmc_index_spot spot)
{
	if (__builtin_expect(spot.bag != NULL, 1) &&
		__builtin_expect(vmc_load_acquire(spot.source) == spot.seen, 1))
		return spot;
	return vmc_linear_spot_of(index, hash);
}

#endif
