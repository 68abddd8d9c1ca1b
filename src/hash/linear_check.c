/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear_check.c -- the invariants of linear hashing, walked
 */
#include "linear_internal.h"

#include "base/error.h"

#include <errno.h>

/*
 * Invariants of bag `number` and what is chained to it:
 * - every leaf belongs there by its hash, which ends with the leaf's mark;
 * - a link stands in a last word only; behind one there is a leaf.
 * Adds the leaves to *count.
 */
static int
check_bags(const struct vmc_linear *index, unsigned stripe, uint32_t number,
	uint64_t *count)
{
	const struct vmc_linear_root *root = &index->roots.of[stripe];
	const bag *first = bag_at(index, stripe, number);

	for (const bag *b = first; b; b = chained(b)) {
		if (b != first && !vmc_bag_leaves(b))
			return vmc_fail(
				EINVAL, "linear hashing: empty chained bag");
		for (unsigned i = 0; i < WORDS; i++) {
			uint64_t w = vmc_load_relaxed(&b->word[i]);
			if (w & LINK && i < WORDS - 1)
				return vmc_fail(
					EINVAL, "linear hashing: lost link");
			if (!vmc_bag_is_leaf(w))
				continue;
			uint64_t hash = hash_of(index, w);
			if (stripe_of(hash) != stripe ||
				vmc_linear_bag_number(bags_of(root), hash) !=
					number)
				return vmc_fail(EINVAL,
					"linear hashing: misplaced leaf");
			if (hash << MARK_SHIFT >> MARK_SHIFT != w >> MARK_SHIFT)
				return vmc_fail(
					EINVAL, "linear hashing: wrong mark");
			++*count;
		}
	}
	return 0;
}

/* The bags of the last chunk that are not in use are clear. */
static int
check_rest(const struct vmc_linear *index, unsigned stripe)
{
	uint32_t n = bags_of(&index->roots.of[stripe]);

	for (; !is_first_of_chunk(index, n); n++) {
		const bag *b = bag_at(index, stripe, n);
		for (unsigned i = 0; b && i < WORDS; i++)
			if (vmc_load_relaxed(&b->word[i]) != 0)
				return vmc_fail(EINVAL,
					"linear hashing: bag in no use");
	}
	return 0;
}

/*
 * Invariants of a stripe: all of its bags are there, or none of one; its count
 * is that of its leaves.
 */
static int
check_stripe(struct vmc_linear *index, unsigned stripe)
{
	const struct vmc_linear_root *root = &index->roots.of[stripe];
	uint32_t bags = bags_of(root);
	uint64_t count = 0;
	int err = 0;

	if (bags == 0 ||
		chunk_of(index, bags - 1) >= index->stripes[stripe].capacity)
		return vmc_fail(EINVAL, "linear hashing: number of bags");
	for (uint32_t n = 0; n < bags && !err; n++) {
		if (bags > 1 && !bag_at(index, stripe, n))
			return vmc_fail(
				EINVAL, "linear hashing: bag is missing");
		err = check_bags(index, stripe, n, &count);
	}
	if (!err)
		err = check_rest(index, stripe);
	if (!err && count != vmc_load_relaxed(&index->stripes[stripe].count))
		err = vmc_fail(EINVAL, "linear hashing: count is wrong");
	return err;
}

int
vmc_linear_check(struct vmc_index *base)
{
	struct vmc_linear *index = linear(base);

	for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
		int err = check_stripe(index, stripe);
		if (err)
			return err;
	}
	return 0;
}
