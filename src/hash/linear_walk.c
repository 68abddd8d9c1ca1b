/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear_walk.c -- walking all leaves, while bags are split and joined
 *
 * A bag's number is the low bits of the hash (above the tag), and a split
 * divides its leaves by the next higher bit. So with the order of these bits
 * reversed, the leaves of a bag are neighbours, and so are the bags that it is
 * split into: the leaves from a position on are whole bags after the first one,
 * however many bags there are. The bits of the partition (stripe) come first,
 * those of the tag last, and no two hashes have the same position.
 */
#include "linear_internal.h"

static uint64_t
reversed(uint64_t x)
{
	const uint64_t twos = UINT64_C(0x5555555555555555);
	const uint64_t fours = UINT64_C(0x3333333333333333);
	const uint64_t eights = UINT64_C(0x0f0f0f0f0f0f0f0f);

	x = (x >> 1 & twos) | (x & twos) << 1;
	x = (x >> 2 & fours) | (x & fours) << 2;
	x = (x >> 4 & eights) | (x & eights) << 4;
	return __builtin_bswap64(x);
}

/* Its own inverse. */
uint64_t
vmc_linear_position(uint64_t hash)
{
	const uint64_t number = ((UINT64_C(1) << 44) - 1) << 12;

	return (hash & ~number) | (reversed(hash) << 4 & number);
}

/* The last position of those that are in the same bag, of so many. */
static uint64_t
last_with(uint32_t bags, uint64_t position)
{
	uint64_t hash = vmc_linear_position(position);
	uint32_t number = vmc_linear_bag_number(bags, hash);
	unsigned bits = 31u - (unsigned)__builtin_clz(bags);

	/* is it, or will it be, told from another by one bit more? */
	if (number >> bits || number + (UINT32_C(1) << bits) < bags)
		bits++;
	return position | UINT64_MAX >> 8 >> bits;
}

/* Of the bag of this position, and only from there on. */
static size_t
visit_bag(struct vmc_linear *index, uint64_t position,
	vmc_index_visit_fn *visit, void *arg)
{
	uint64_t hash = vmc_linear_position(position);
	const bag *b = vmc_linear_spot_of(&index->roots.index, hash).bag;
	size_t met = 0;

	for (; b; b = chained(b)) {
		vmc_bag_prefetch_leaves(b);
		for (unsigned m = vmc_bag_leaves(b); m; m &= m - 1) {
			uint64_t w =
				vmc_load_relaxed(&b->word[__builtin_ctz(m)]);
			if (vmc_linear_position(hash_of(index, w)) < position)
				continue;
			visit(vmc_bag_address(w), arg);
			met++;
		}
	}
	return met;
}

size_t
vmc_linear_walk(struct vmc_index *base, uint64_t *position,
	vmc_index_visit_fn *visit, void *arg)
{
	struct vmc_linear *index = linear(base);
	uint64_t at = *position;
	size_t met = 0;

	do {
		unsigned stripe = stripe_of(at);
		latch(index, stripe);
		if (vmc_load_relaxed(&index->stripes[stripe].count) == 0) {
			at |= UINT64_MAX >> 8;
		} else {
			met = visit_bag(index, at, visit, arg);
			at = last_with(bags_of(&index->roots.of[stripe]), at);
		}
		unlatch(index, stripe);
		at++;
	} while (met == 0 && at != 0);
	*position = at;
	return met;
}
