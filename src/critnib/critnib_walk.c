/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_walk.c -- walking all leaves in the order of their hashes
 *
 * A bag has all leaves of the hashes that lead to it, and these are neighbours;
 * so a step yields the leaves of a bag from the position on, and the next step
 * begins behind the last hash that leads to this bag, whatever bags there are
 * then.
 */
#include "critnib_internal.h"

/* Of one bag, from that hash on, in order. */
static size_t
visit_bag(const struct vmc_critnib *index, const bag *b, uint64_t from,
	vmc_index_visit_fn *visit, void *arg)
{
	uint64_t hash[WORDS];
	void *leaf[WORDS];
	size_t met = 0;

	vmc_bag_prefetch_leaves(b);
	for (unsigned m = vmc_bag_leaves(b); m; m &= m - 1) {
		uint64_t w = vmc_load_relaxed(&b->word[__builtin_ctz(m)]);
		uint64_t h = hash_of(index, w);
		size_t at = met;
		if (h < from)
			continue;
		for (; at > 0 && hash[at - 1] > h; at--) {
			hash[at] = hash[at - 1];
			leaf[at] = leaf[at - 1];
		}
		hash[at] = h;
		leaf[at] = vmc_bag_address(w);
		met++;
	}
	for (size_t i = 0; i < met; i++)
		visit(leaf[i], arg);
	return met;
}

/*
 * A step within a stripe that has leaves; *at is the last hash that leads to
 * the same bag then. A node below may have a prefix so short that hashes have
 * it which lead elsewhere from above: so what comes first ends the step.
 */
static size_t
visit_next(struct vmc_critnib *index, uint64_t *at, vmc_index_visit_fn *visit,
	void *arg)
{
	const struct node *node = root_of(index, *at);
	uint64_t from = *at, last;
	size_t met = 0;

	*at = UINT64_MAX;
	for (;;) {
		uint64_t g = group_of(node, from);
		uint64_t rest = rest_of(node, from);
		unsigned bits = node->skip + d_of(g), nibble;
		uint64_t all = UINT64_MAX >> bits;
		const bag *b = vmc_critnib_bag_of(g, rest);
		nibble = end_of(begins_of(g), vmc_critnib_nibble(g, rest)) - 1;
		/* the last hash of that nibble */
		last = (from & ~all) |
		       (uint64_t)nibble << (HASH_BITS - NIBBLE_BITS) >> bits |
		       all >> NIBBLE_BITS;
		if (last < *at)
			*at = last;
		node = b ? node_below(b) : NULL;
		if (!node) {
			for (; b; b = chained(b))
				met += visit_bag(index, b, from, visit, arg);
			return met;
		}
		if (from > (node->prefix | UINT64_MAX >> node->skip))
			return 0;
		if (from < node->prefix)
			from = node->prefix;
	}
}

size_t
vmc_critnib_walk(struct vmc_index *base, uint64_t *position,
	vmc_index_visit_fn *visit, void *arg)
{
	struct vmc_critnib *index = critnib(base);
	uint64_t at = *position;
	size_t met = 0;

	do {
		unsigned stripe = stripe_of(at);
		latch(index, stripe);
		if (vmc_load_relaxed(&index->stripes[stripe].root.count) == 0)
			at |= UINT64_MAX >> STRIPE_BITS;
		else
			met = visit_next(index, &at, visit, arg);
		unlatch(index, stripe);
		at++;
	} while (met == 0 && at != 0);
	*position = at;
	return met;
}
