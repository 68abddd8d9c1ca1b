/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_check.c -- the invariants of the index, walked
 */
#include "critnib_internal.h"

#include "base/error.h"

#include <errno.h>

/*
 * Invariants, for a word below whose slot all hashes begin with the bits of
 * prefix above shift + 4 bits:
 * - leaves and cells: so do theirs, the leaves of a chain share one hash, and a
 *   leaf's mark is its hash's;
 * - nodes: at least one child is not empty, and an only child is a node.
 * Adds the leaves to *count.
 */
static int
check_word(const struct vmc_critnib *index, uint64_t word, uint64_t prefix,
	int shift, uint64_t *count)
{
	if (word == 0)
		return 0;
	if (word & NODE) {
		uint64_t by_nibble[FAN];
		unsigned live = node_spread(word, by_nibble);

		if (shift < 0)
			return vmc_fail(EINVAL, "critnib: node below bit 0");
		if (live == 0)
			return vmc_fail(EINVAL, "critnib: node without child");
		if ((live & (live - 1)) == 0 &&
			(by_nibble[__builtin_ctz(live)] & NODE) == 0)
			return vmc_fail(EINVAL, "critnib: node of one leaf");
		for (; live; live &= live - 1) {
			uint64_t n = (unsigned)__builtin_ctz(live);
			int err = check_word(index, by_nibble[n],
				prefix | n << shift, shift - 4, count);
			if (err)
				return err;
		}
		return 0;
	}
	uint64_t hash = hash_of(index, word);

	if ((hash ^ prefix) >> (shift + 4) != 0)
		return vmc_fail(EINVAL, "critnib: leaf in the wrong place");
	for (; word & CELL; word = vmc_load_relaxed(&cell_of(word)->next)) {
		++*count;
		if (index->hash_of(cell_of(word)->leaf) != hash)
			return vmc_fail(EINVAL, "critnib: hashes differ");
	}
	++*count;
	if (word == 0 || word & NODE || hash_of(index, word) != hash)
		return vmc_fail(EINVAL, "critnib: bad end of a chain");
	if (word != word_of(leaf_of(word), hash))
		return vmc_fail(EINVAL, "critnib: wrong mark");
	return 0;
}

/* Invariant: a stripe's count is that of its leaves. */
int
vmc_critnib_check(struct vmc_critnib *index)
{
	for (uint64_t i = 0; i < STRIPES; i++) {
		uint64_t root = vmc_load_relaxed(&index->roots.of[i]);
		int shift = vmc_critnib_root_shift(root);
		uint64_t count = 0;

		for (uint64_t s = 0; s < root_count(root_level(root)); s++) {
			uint64_t prefix = i << 56 | s << (shift + 4);
			int err = check_word(index,
				vmc_load_relaxed(&root_slots(root)[s]), prefix,
				shift, &count);
			if (err)
				return err;
		}
		if (count != vmc_load_relaxed(&index->stripes[i].count))
			return vmc_fail(EINVAL, "critnib: count is wrong");
	}
	return 0;
}
