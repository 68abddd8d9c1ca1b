/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_check.c -- the invariants of the index, walked
 */
#include "critnib_internal.h"

#include "base/error.h"

#include <errno.h>

/*
 * Invariants of the bags that a slot leads to:
 * - every leaf's hash begins with the prefix, of so many bits, and ends with
 *   the leaf's mark;
 * - a link stands in a last word only; behind one there is a leaf.
 * Adds the leaves to *count.
 */
static int
check_bags(const struct vmc_critnib *index, const bag *first, uint64_t prefix,
	unsigned bits, uint64_t *count)
{
	for (const bag *b = first; b; b = vmc_critnib_next(b)) {
		unsigned leaves = leaves_in(b);

		if (b != first && !leaves)
			return vmc_fail(EINVAL, "critnib: empty chained bag");
		for (unsigned i = 0; i < WORDS; i++) {
			uint64_t w = vmc_load_relaxed(&b->word[i]);
			if (w & LINK && i < WORDS - 1)
				return vmc_fail(EINVAL, "critnib: lost link");
			if (!is_leaf(w))
				continue;
			uint64_t hash = hash_of(index, w);
			if (hash >> (64 - bits) != prefix)
				return vmc_fail(
					EINVAL, "critnib: misplaced leaf");
			if (hash << MARK_SHIFT >> MARK_SHIFT != w >> MARK_SHIFT)
				return vmc_fail(EINVAL, "critnib: wrong mark");
			++*count;
		}
	}
	return 0;
}

/*
 * Invariants of a stripe: slots that lead to the same bag are side by side,
 * 2^(D-d) from a multiple of that on; its count is that of its leaves.
 */
static int
check_stripe(struct vmc_critnib *index, unsigned stripe)
{
	uint64_t root = vmc_load_relaxed(&index->roots.of[stripe]);
	word *slots = root_slots(root);
	uint64_t count = 0;
	size_t span;

	for (size_t i = 0; i < root_count(root); i += span) {
		uint64_t slot = vmc_load_relaxed(&slots[i]);
		unsigned depth = slot_depth(slot);

		if (depth > root_depth(root))
			return vmc_fail(EINVAL, "critnib: bag too deep");
		span = slot_span(root, slot);
		if (i % span != 0)
			return vmc_fail(EINVAL, "critnib: slots out of place");
		for (size_t s = 1; s < span; s++)
			if (vmc_load_relaxed(&slots[i + s]) != slot)
				return vmc_fail(
					EINVAL, "critnib: slots differ");
		int err = check_bags(index, vmc_critnib_address(slot),
			(uint64_t)stripe << depth | i / span, 8 + depth,
			&count);
		if (err)
			return err;
	}
	if (count != vmc_load_relaxed(&index->stripes[stripe].count))
		return vmc_fail(EINVAL, "critnib: count is wrong");
	return 0;
}

int
vmc_critnib_check(struct vmc_critnib *index)
{
	for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
		int err = check_stripe(index, stripe);
		if (err)
			return err;
	}
	return 0;
}
