/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_find.h -- where a hash leads in the trie, inline, and as much of the
 * structure as it follows
 *
 *   hash   | 8 bits | k bits | ... | 12 bits |
 *            stripe   table    d, of these, then a nibble: the group's
 *
 *   tables[stripe]   address of 2^k words (44 bits, << 4) | k
 *   word of a table  begins (15, << 49) | 0 | address of a group (44) | d
 *   group            1 to 16 bags side by side
 *
 * The group's nibble is the four bits of the hash behind the first d of those
 * behind the stripe's. Bit n of begins, 1 to 15: a bag begins with nibble n; so
 * the number of the bag is that of the bits up to the nibble. A group stands
 * in 2^(k-d) words of the table. Address 0: it has no bag.
 *
 * The tables have 8 bytes for 16 to 63 leaves: a find has hardly to wait
 * for them.
 */
#ifndef VMC_CRITNIB_FIND_H
#define VMC_CRITNIB_FIND_H

#include "bag/bag.h"

#define VMC_CRITNIB_STRIPES 256
#define VMC_CRITNIB_STRIPE_BITS 8
#define VMC_CRITNIB_BEGINS_SHIFT 48
/* in a word of a table, and in what leads to the table: d, and k */
#define VMC_CRITNIB_LOW 15u

typedef _Atomic uint64_t vmc_critnib_group;

/* The beginning of struct vmc_critnib: apart from what writers write. */
struct vmc_critnib_tables {
	struct vmc_index index;
	_Alignas(64) _Atomic uint64_t of[VMC_CRITNIB_STRIPES];
};

/* Where the table has the group for h, a hash without what leads there. */
static inline vmc_critnib_group *
vmc_critnib_group_at(uint64_t table, uint64_t h)
{
	vmc_critnib_group *groups = vmc_bag_address(table);

	/* in two steps: k may be 0 */
	return &groups[h >> 1 >> (63 - (table & VMC_CRITNIB_LOW))];
}

/* The number of bits that are set in so many as 16. */
static inline unsigned
vmc_critnib_count_bits(uint64_t set)
{
#ifdef __POPCNT__
	return (unsigned)__builtin_popcountll(set);
#else
	set -= set >> 1 & 0x5555;
	set = (set & 0x3333) + (set >> 2 & 0x3333);
	set = (set + (set >> 4)) & 0x0f0f;
	return (unsigned)(set + (set >> 8)) & 31;
#endif
}

static inline unsigned
vmc_critnib_nibble(uint64_t group, uint64_t h)
{
	return (unsigned)(h << (group & VMC_CRITNIB_LOW) >> 60);
}

/* The group's bag for h; NULL: it has none. */
static inline struct vmc_bag *
vmc_critnib_bag_of(uint64_t group, uint64_t h)
{
	uint64_t up_to = (UINT64_C(2) << vmc_critnib_nibble(group, h)) - 1;
	/* a number: C knows no place behind a null pointer, not even itself */
	uintptr_t bags = (uintptr_t)vmc_bag_address(group);

	return (struct vmc_bag *)(bags +
				  vmc_critnib_count_bits(
					  group >> VMC_CRITNIB_BEGINS_SHIFT &
					  up_to) *
					  sizeof(struct vmc_bag));
}

/*
 * The first bag for that hash; bag NULL: none yet. What leads to a bag was true
 * in this epoch, or is under the latch: so a leaf that is there during all of
 * a find is in this bag or behind it (critnib.c).
 */
static inline __attribute__((always_inline)) struct vmc_index_spot
vmc_critnib_spot_of(struct vmc_index *index, uint64_t hash)
{
	struct vmc_critnib_tables *tables = (struct vmc_critnib_tables *)index;
	uint64_t h = hash << VMC_CRITNIB_STRIPE_BITS;
	uint64_t table = vmc_load_acquire(
		&tables->of[hash >> (64 - VMC_CRITNIB_STRIPE_BITS)]);
	uint64_t group = vmc_load_acquire(vmc_critnib_group_at(table, h));

	return (struct vmc_index_spot){
		vmc_critnib_bag_of(group, h), 0, &index->constant};
}

#endif
