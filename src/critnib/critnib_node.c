/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_node.c -- nodes below a bag, and chains behind it: where more leaves
 * than a bag holds agree in all bits so far; all under the stripe's latch
 */
#include "critnib_internal.h"

#include <string.h>

/* As few leaves go back into the bag above. */
#define PULLED 8u

/* Where all the leaves of a bag that is full have the hash that comes. */
static bool
chain(const struct vmc_critnib *index, bag *b)
{
	const unsigned end = WORDS - 1;
	uint64_t last = vmc_load_relaxed(&b->word[end]);
	bag *next = vmc_critnib_allocate(index, sizeof(*next));

	if (!next)
		return false;
	/* a leaf, which moves, or what was behind, which stays behind */
	vmc_bag_put(next, last & LINK ? end : 0, last,
		vmc_load_relaxed(&b->note[end]));
	/* pairs with the acquire load in find */
	vmc_store_release(&b->word[end], (uintptr_t)next | LINK);
	return true;
}

static struct node *
make_node(const struct vmc_critnib *index, uint64_t hash, uint64_t differs)
{
	struct node *node = vmc_critnib_allocate(index, sizeof(*node));

	if (!node)
		return NULL;
	node->skip = (unsigned)__builtin_clzll(differs) & ~(NIBBLE_BITS - 1u);
	node->prefix = hash & ~(UINT64_MAX >> node->skip);
	node->table = &node->own_table;
	vmc_store_relaxed(&node->own_table, (uintptr_t)node->first);
	return node;
}

/* A bag with nothing but a link to that node. */
static void
make_link(bag *b, const struct node *node)
{
	memset(b, 0, sizeof(*b));
	vmc_store_relaxed(&b->word[WORDS - 1], (uintptr_t)node | LINK | NODE);
}

/* What the node's group, its only one, holds first; and room for the hash. */
static bool
fill_node(const struct vmc_critnib *index, struct node *node, uint64_t hash,
	const struct content *c)
{
	uint64_t g;
	uint32_t begins = vmc_critnib_arrange(
		c, vmc_critnib_nibble(0, rest_of(node, hash)));

	assert(begins != IMPOSSIBLE);
	if (!vmc_critnib_build(index, node, c, begins, 0, &g))
		return false;
	vmc_store_relaxed(&node->first[0], g);
	return true;
}

/* The leaves of a bag, or the bag itself if others are chained to it. */
static void
move_down(const struct vmc_critnib *index, const bag *b, struct node *node,
	struct content *c)
{
	uint64_t count = 0;

	start_content(c);
	for (const bag *each = b; each; each = chained(each)) {
		for (unsigned m = vmc_bag_leaves(each); m; m &= m - 1) {
			unsigned i = (unsigned)__builtin_ctz(m);
			uint64_t w = vmc_load_relaxed(&each->word[i]);
			unsigned nibble = vmc_critnib_nibble(
				0, rest_of(node, hash_of(index, w)));
			if (!chained(b))
				add_leaf(c, w, vmc_load_relaxed(&each->note[i]),
					nibble);
			else if (count == 0)
				add_link(c, b, nibble, 1);
			count++;
		}
	}
	vmc_store_relaxed(&node->count, count);
}

bool
vmc_critnib_push_down(
	struct vmc_critnib *index, struct node *node, uint64_t hash)
{
	uint64_t g = group_of(node, hash), differs = 0, below;
	unsigned nibble = vmc_critnib_nibble(g, rest_of(node, hash));
	bag *b = vmc_critnib_bag_of(g, rest_of(node, hash));
	uint64_t other = hash_of(index, some_leaf(b));
	unsigned others = vmc_critnib_nibble(g, rest_of(node, other));
	struct content c;
	bag stub;

	if (others != nibble) { /* a bag with a chain, for many nibbles */
		vmc_critnib_gather_but(&c, g, b, b, others);
		return vmc_critnib_rebuild(
			index, node, hash, &c, vmc_critnib_arrange(&c, nibble));
	}
	vmc_bag_prefetch_leaves(b);
	for (unsigned m = vmc_bag_leaves(b); m; m &= m - 1)
		differs |= hash ^
			   hash_of(index, vmc_load_relaxed(
						  &b->word[__builtin_ctz(m)]));
	differs |= hash ^ other;
	if (differs == 0)
		return chain(index, b);
	struct node *lower = make_node(index, hash, differs);
	if (!lower)
		return false;
	move_down(index, b, lower, &c);
	if (!fill_node(index, lower, hash, &c)) {
		vmc_free(&index->memory, lower, sizeof(*lower));
		return false;
	}
	make_link(&stub, lower);
	vmc_critnib_gather_but(&c, g, b, &stub, nibble);
	if (vmc_critnib_rebuild(
		    index, node, hash, &c, vmc_critnib_arrange(&c, NIBBLES)))
		return true;
	below = vmc_load_relaxed(&lower->first[0]);
	vmc_free(&index->memory, vmc_bag_address(below), group_size(below));
	vmc_free(&index->memory, lower, sizeof(*lower));
	return false;
}

struct node *
vmc_critnib_fork(struct vmc_critnib *index, bag *b, uint64_t hash)
{
	struct node *below = node_below(b);
	struct node *node = make_node(index, hash, hash ^ below->prefix);
	struct content c;
	bag stub;

	if (!node)
		return NULL;
	make_link(&stub, below);
	start_content(&c);
	add_link(&c, &stub, vmc_critnib_nibble(0, rest_of(node, below->prefix)),
		1);
	if (!fill_node(index, node, hash, &c)) {
		vmc_free(&index->memory, node, sizeof(*node));
		return NULL;
	}
	vmc_store_relaxed(&node->count, vmc_load_relaxed(&below->count));
	/* pairs with the acquire load in find */
	vmc_store_release(&b->word[WORDS - 1], (uintptr_t)node | LINK | NODE);
	return node;
}

/* --- nodes that are no longer worth it --- */

static void
clear_bag(struct vmc_critnib *index, bag *b, give_back_fn *give_back,
	vmc_index_visit_fn *drop, void *arg)
{
	struct node *below = node_below(b);
	bag *next = b;

	while (next && drop) {
		for (unsigned m = vmc_bag_leaves(next); m; m &= m - 1)
			drop(vmc_bag_address(vmc_load_relaxed(
				     &next->word[__builtin_ctz(m)])),
				arg);
		next = chained(next);
	}
	for (b = chained(b); b; b = next) {
		next = chained(b);
		give_back(&index->memory, b, sizeof(*b));
	}
	if (below) {
		vmc_critnib_clear(index, below, give_back, drop, arg);
		give_back(&index->memory, below, sizeof(*below));
	}
}

void
vmc_critnib_clear(struct vmc_critnib *index, struct node *node,
	give_back_fn *give_back, vmc_index_visit_fn *drop, void *arg)
{
	uint64_t table = vmc_load_relaxed(node->table);
	unsigned k = table & VMC_CRITNIB_LOW;
	group *groups = vmc_bag_address(table);
	uint64_t only = vmc_load_relaxed(&groups[0]);

	/*
	 * A root stays: nothing leads from it to what is given back. Another
	 * node goes as it is: readers come to it from the bag that was above,
	 * for leaves which may just have moved up.
	 */
	if (node->table != &node->own_table) {
		vmc_store_release(&node->first[0], 0);
		vmc_store_release(node->table, (uintptr_t)node->first);
		node->deepest = 0;
	}
	for (size_t i = 0; i < (size_t)1 << k;) {
		uint64_t g = i == 0 ? only : vmc_load_relaxed(&groups[i]);
		bag *bags = vmc_bag_address(g);
		for (unsigned n = 0; n < bags_in(g); n++)
			clear_bag(index, &bags[n], give_back, drop, arg);
		if (bags)
			give_back(&index->memory, bags, group_size(g));
		i += (size_t)1 << (k - d_of(g));
	}
	if (k > 0)
		give_back(&index->memory, (void *)groups, table_size(k));
}

/* All leaves of a node into a group that has the node's place. */
static void
gather_below(const struct vmc_critnib *index, const struct node *below,
	const struct node *node, unsigned d, struct content *c)
{
	uint64_t table = vmc_load_relaxed(below->table);
	unsigned k = table & VMC_CRITNIB_LOW;
	group *groups = vmc_bag_address(table);

	for (size_t i = 0; i < (size_t)1 << k;) {
		uint64_t g = vmc_load_relaxed(&groups[i]);
		const bag *bags = vmc_bag_address(g);
		for (unsigned n = 0; n < bags_in(g); n++) {
			const bag *b = &bags[n];
			if (node_below(b))
				gather_below(index, node_below(b), node, d, c);
			for (; b; b = chained(b)) {
				unsigned m = vmc_bag_leaves(b);
				for (; m; m &= m - 1) {
					unsigned at =
						(unsigned)__builtin_ctz(m);
					uint64_t w =
						vmc_load_relaxed(&b->word[at]);
					add_leaf(c, w,
						vmc_load_relaxed(&b->note[at]),
						vmc_critnib_nibble(d,
							rest_of(node,
								hash_of(index,
									w))));
				}
			}
		}
		i += (size_t)1 << (k - d_of(g));
	}
}

/* The node's only child is another node: the link to that takes its place. */
static void
skip_node(struct vmc_critnib *index, bag *b, struct node *node)
{
	uint64_t g = vmc_load_relaxed(&node->first[0]);
	const bag *bags = vmc_bag_address(g);
	const bag *only = NULL;

	if (k_of(node) > 0)
		return;
	for (unsigned n = 0; n < bags_in(g); n++) {
		if (only && vmc_bag_link(&bags[n]))
			return;
		if (vmc_bag_leaves(&bags[n]) || chained(&bags[n]))
			return;
		if (vmc_bag_link(&bags[n]))
			only = &bags[n];
	}
	if (!only)
		return;
	/* pairs with the acquire load in find */
	vmc_store_release(&b->word[WORDS - 1], vmc_bag_link(only));
	retire_group(index, g);
	vmc_retire(&index->memory, node, sizeof(*node));
}

void
vmc_critnib_pull_up(
	struct vmc_critnib *index, struct node *parent, bag *b, uint64_t hash)
{
	struct node *node = node_below(b);
	uint64_t g = group_of(parent, hash);
	struct content c;

	if (vmc_load_relaxed(&node->count) > PULLED) {
		skip_node(index, b, node);
		return;
	}
	vmc_critnib_gather_but(&c, g, b, NULL, 0);
	gather_below(index, node, parent, d_of(g), &c);
	uint32_t begins = vmc_critnib_arrange(&c, NIBBLES);
	if (begins == IMPOSSIBLE ||
		!vmc_critnib_rebuild(index, parent, hash, &c, begins))
		return;
	vmc_critnib_clear(index, node, vmc_retire, NULL, NULL);
	vmc_retire(&index->memory, node, sizeof(*node));
}
