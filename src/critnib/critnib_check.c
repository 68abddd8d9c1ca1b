/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_check.c -- the invariants of the trie, walked
 */
#include "critnib_internal.h"

#include "base/error.h"

#include <errno.h>

static int
wrong(const char *what)
{
	return vmc_fail(EINVAL, "critnib: %s", what);
}

static unsigned
nibble_in(const struct vmc_critnib *index, const struct node *node, uint64_t g,
	uint64_t w)
{
	return vmc_critnib_nibble(g, rest_of(node, hash_of(index, w)));
}

/*
 * Invariants of a leaf in the bag for nibbles from `from` to before `to` of a
 * group: its hash leads there, and ends with its mark.
 */
static int
check_leaf(const struct vmc_critnib *index, const struct node *node, uint64_t g,
	uint64_t group_prefix, unsigned from, unsigned to, uint64_t w)
{
	uint64_t hash = hash_of(index, w);
	unsigned nibble = nibble_in(index, node, g, w);

	if (!leads_to(hash, node) ||
		(hash ^ group_prefix) >> (HASH_BITS - node->skip - d_of(g)))
		return wrong("leaf in another group");
	if (nibble < from || nibble >= to)
		return wrong("leaf in another bag");
	if (hash << VMC_BAG_MARK_SHIFT >> VMC_BAG_MARK_SHIFT !=
		w >> VMC_BAG_MARK_SHIFT)
		return wrong("wrong mark");
	return 0;
}

static int check_node(const struct vmc_critnib *index, const struct node *node);

/*
 * Of a bag and those chained to it, which have leaves, and all the same hash;
 * or of the node below it, where there are no others. Adds to *count.
 */
static int
check_bag(const struct vmc_critnib *index, const struct node *node, uint64_t g,
	uint64_t group_prefix, unsigned from, unsigned to, const bag *first,
	uint64_t *count)
{
	const struct node *below = node_below(first);
	bool have_hash = false;
	uint64_t hash = 0;
	int err = 0;

	if (below) {
		for (unsigned i = 0; i < WORDS - 1; i++)
			if (vmc_load_relaxed(&first->word[i]))
				return wrong("leaf or link above a node");
		if (!leads_to(below->prefix, node) ||
			below->skip < node->skip + NIBBLE_BITS ||
			below->skip % NIBBLE_BITS ||
			vmc_load_relaxed(&below->count) == 0)
			return wrong("node that leads nowhere");
		*count += vmc_load_relaxed(&below->count);
		return check_node(index, below);
	}
	for (const bag *b = first; b && !err; b = chained(b)) {
		if (b != first && !vmc_bag_leaves(b))
			return wrong("empty chained bag");
		for (unsigned i = 0; i < WORDS && !err; i++) {
			uint64_t w = vmc_load_relaxed(&b->word[i]);
			if (w & LINK && i < WORDS - 1)
				return wrong("lost link");
			if (!vmc_bag_is_leaf(w))
				continue;
			err = check_leaf(
				index, node, g, group_prefix, from, to, w);
			++*count;
			if (!err && b == first &&
				nibble_of_word(w) !=
					nibble_in(index, node, g, w))
				return wrong("wrong nibble");
			if (err || !chained(first))
				continue;
			if (have_hash && hash != hash_of(index, w))
				return wrong("chain of several hashes");
			hash = hash_of(index, w);
			have_hash = true;
		}
	}
	return err;
}

/* Invariants of a group: it has leaves or links, and its bags are in order. */
static int
check_group(const struct vmc_critnib *index, const struct node *node,
	uint64_t g, uint64_t group_prefix, uint64_t *count)
{
	const bag *b = vmc_bag_address(g);
	unsigned from = 0;

	for (unsigned n = bags_in(g); n > 0; n--, b++) {
		unsigned to = end_of(begins_of(g), from);
		int err = check_bag(
			index, node, g, group_prefix, from, to, b, count);
		if (err)
			return err;
		from = to;
	}
	if (!vmc_bag_address(g) ? begins_of(g) != 0 : from != NIBBLES)
		return wrong("bags that begin nowhere");
	return 0;
}

/*
 * Invariants of a node: each group stands in all words of the table that are
 * for it; the count is that of the leaves.
 */
static int
check_node(const struct vmc_critnib *index, const struct node *node)
{
	uint64_t table = vmc_load_relaxed(node->table);
	unsigned k = table & VMC_CRITNIB_LOW;
	const group *groups = vmc_bag_address(table);
	uint64_t count = 0;
	uint32_t deepest = 0;

	if (node->skip + k + NIBBLE_BITS > HASH_BITS)
		return wrong("table too large");
	for (size_t i = 0; i < (size_t)1 << k;) {
		uint64_t g = vmc_load_relaxed(&groups[i]);
		if (d_of(g) > k || i & (((size_t)1 << (k - d_of(g))) - 1))
			return wrong("group at the wrong place");
		uint64_t prefix =
			node->prefix |
			(uint64_t)i << (HASH_BITS - 1 - node->skip - k) << 1;
		int err = check_group(index, node, g, prefix, &count);
		if (err)
			return err;
		deepest += d_of(g) == k;
		for (size_t n = (size_t)1 << (k - d_of(g)); n > 0; n--, i++)
			if (vmc_load_relaxed(&groups[i]) != g)
				return wrong("group that has gone");
	}
	if (k > 0 && deepest != node->deepest)
		return wrong("number of deepest groups");
	if (count != vmc_load_relaxed(&node->count))
		return wrong("count");
	return 0;
}

int
vmc_critnib_check(struct vmc_index *base)
{
	const struct vmc_critnib *index = critnib(base);

	for (unsigned i = 0; i < STRIPES; i++) {
		int err = check_node(index, &index->stripes[i].root);
		if (err)
			return err;
	}
	return 0;
}
