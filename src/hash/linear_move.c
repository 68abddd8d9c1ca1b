/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear_move.c -- all leaves to another index, a table for each stripe
 *
 * What leads to the bags of a stripe is its table, and how many they are its
 * size. Both go to the other index, and here one bag is left that is not there
 * yet, as in the beginning. Chunks, bags and tables stay where they are, and
 * are given back by the other index, through the same limbos. The first table,
 * of one chunk, is in the index itself: there the pointer to the chunk moves.
 *
 * Both stripes are latched: so who removes a leaf and does not find it here
 * finds it there. Readers never use a small table for a large size: the size
 * changes first, as where a stripe has become empty (start_over() in linear.c).
 * One that has the old size and table meets the leaves in the other index; its
 * epoch began before the move ended. Who finds nothing sees that the size has
 * changed, and looks again. The size changes once more after the table: between
 * the two the new size leads to the first bag of the old table, and an
 * insertion that has taken that for its place would put its leaf into the other
 * index. tests/model/clear.pml checks this.
 */
#include "linear_internal.h"

#include <assert.h>

int
vmc_linear_alike(struct vmc_index *base, struct vmc_index **out)
{
	const struct vmc_linear *index = linear(base);
	uint64_t size = (uint64_t)chunk_log(index) << SIZE_BITS | 1;
	int err = vmc_linear_new(
		out, 0, index->hash_of, index->hash_arg, &index->memory);

	for (unsigned i = 0; !err && i < STRIPES; i++)
		vmc_store_relaxed(&linear(*out)->roots.of[i].size, size);
	return err;
}

static void
move_stripe(struct vmc_linear *index, struct vmc_linear *to, unsigned i)
{
	struct vmc_linear_root *here = &index->roots.of[i];
	struct vmc_linear_root *there = &to->roots.of[i];
	chunk *table = vmc_load_relaxed(&here->table);
	uint32_t bags = bags_of(here);

	assert(vmc_load_relaxed(&to->stripes[i].count) == 0);
	assert(to->stripes[i].capacity == 1);
	if (table == &index->first[i])
		vmc_store_relaxed(&to->first[i], vmc_load_relaxed(table));
	else
		vmc_store_release(&there->table, table);
	to->stripes[i].capacity = index->stripes[i].capacity;
	set_bags(there, bags);
	vmc_store_relaxed(&to->stripes[i].count,
		vmc_load_relaxed(&index->stripes[i].count));

	vmc_store_release(&index->first[i], 0);
	set_bags(here, 1);
	vmc_store_release(&here->table, &index->first[i]);
	set_bags(here, 1);
	index->stripes[i].capacity = 1;
	vmc_store_relaxed(&index->stripes[i].count, 0);
}

void
vmc_linear_move(struct vmc_index *base, struct vmc_index *other)
{
	struct vmc_linear *index = linear(base), *to = linear(other);

	for (unsigned i = 0; i < STRIPES; i++) {
		struct vmc_latch *latch_there = &to->stripes[i].latch;
		latch(index, i);
		vmc_latch_acquire(latch_there, VMC_RANK_MOVED);
		if (vmc_load_relaxed(&index->stripes[i].count) > 0)
			move_stripe(index, to, i);
		vmc_latch_release(latch_there, VMC_RANK_MOVED);
		unlatch(index, i);
	}
}
