/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_move.c -- all leaves to another trie, a word for each stripe
 *
 * What leads to the leaves of a stripe is the word of its root: where the
 * root's table is. It is stored in the other trie, and here the root gets its
 * own first group, which is empty. Nodes, groups and bags stay where they are,
 * and are given back by the other trie, through the same limbos. While the
 * table has but one group, that group is in the stripe itself: then the group's
 * word is what moves.
 *
 * Both stripes are latched: so who removes a leaf and does not find it here
 * finds it there. Readers go by the words that they have loaded. One that has
 * loaded the old ones meets the leaves of the other trie; its epoch began
 * before the move ended. One that loads the first group of a root that had a
 * table before finds it empty, as it will be after the move.
 */
#include "critnib_internal.h"

#include <assert.h>

int
vmc_critnib_alike(struct vmc_index *base, struct vmc_index **out)
{
	struct vmc_critnib *index = critnib(base);

	return vmc_critnib_new(
		out, index->hash_of, index->hash_arg, &index->memory);
}

static void
move_root(struct node *from, struct node *to)
{
	uint64_t table = vmc_load_relaxed(from->table);

	assert(vmc_load_relaxed(&to->count) == 0 && k_of(to) == 0);
	if (k_of(from) > 0)
		vmc_store_release(to->table, table);
	else
		vmc_store_release(
			&to->first[0], vmc_load_relaxed(&from->first[0]));
	to->deepest = from->deepest;
	vmc_store_relaxed(&to->count, vmc_load_relaxed(&from->count));
	/* pairs with the acquire loads in find */
	vmc_store_release(&from->first[0], 0);
	vmc_store_release(from->table, (uintptr_t)from->first);
	from->deepest = 0;
	vmc_store_relaxed(&from->count, 0);
}

void
vmc_critnib_move(struct vmc_index *base, struct vmc_index *other)
{
	struct vmc_critnib *index = critnib(base), *to = critnib(other);

	for (unsigned i = 0; i < STRIPES; i++) {
		struct vmc_latch *latch_there = &to->stripes[i].latch;
		latch(index, i);
		vmc_latch_acquire(latch_there, VMC_RANK_MOVED);
		if (vmc_load_relaxed(&index->stripes[i].root.count) > 0)
			move_root(
				&index->stripes[i].root, &to->stripes[i].root);
		vmc_latch_release(latch_there, VMC_RANK_MOVED);
		unlatch(index, i);
	}
}
