/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lru.c -- least recently used, exact in the order it is fed
 *
 * A doubly linked ring of nodes through a sentinel: sentinel.next is the most
 * recently used node, sentinel.prev the next victim.
 *
 *   for every held node n:   n.prev.next == n  and  n.next.prev == n
 *   held nodes               == nodes met going round once
 *
 * All calls come under the user's one lock. What costs here is cache misses:
 * moving a node writes to two neighbours that nobody has touched for long.
 * Touches come in batches so that these misses overlap: first every neighbour
 * of the batch is prefetched, then the moves are made. Victims are known in
 * advance: upcoming() lets their user fetch all that evicting them will need.
 *
 * Rejected: a log of touches in place of the list (no neighbour is written,
 * but it must be compacted by walking all entries, and takes 16 to 24 bytes an
 * entry where the list takes 16); a time stamp in the entry, sampled at
 * eviction (not exact).
 */
#include "policy.h"

#include "base/error.h"

#include <errno.h>

struct lru {
	struct vmc_policy base;
	struct vmc_memory memory;
	struct vmc_policy_node sentinel;
};

static struct lru *
lru_of(struct vmc_policy *policy)
{
	return (struct lru *)policy;
}

static void
link_after(struct vmc_policy_node *node, struct vmc_policy_node *place)
{
	node->prev = place;
	node->next = place->next;
	place->next->prev = node;
	place->next = node;
}

static void
take_out(struct vmc_policy_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->prev = NULL;
}

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory)
{
	struct lru *lru = vmc_alloc(memory, sizeof(*lru));

	if (!lru)
		return -ENOMEM;
	lru->base.ops = &vmc_policy_lru;
	lru->memory = *memory;
	lru->sentinel.prev = lru->sentinel.next = &lru->sentinel;
	*policy = &lru->base;
	return 0;
}

static void
destroy(struct vmc_policy *policy)
{
	struct lru *lru = lru_of(policy);
	struct vmc_memory memory = lru->memory;

	vmc_free(&memory, lru, sizeof(*lru));
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	unsigned count)
{
	struct vmc_policy_node *newest = &lru_of(policy)->sentinel;

	for (unsigned i = 0; i < count; i++) { /* NULL does no harm */
		__builtin_prefetch(nodes[i]->prev, 1);
		__builtin_prefetch(nodes[i]->next, 1);
	}
	for (unsigned i = 0; i < count; i++) {
		if (nodes[i]->prev)
			take_out(nodes[i]);
		link_after(nodes[i], newest);
	}
}

static void
remove_node(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	(void)policy;
	if (node->prev)
		take_out(node);
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct lru *lru = lru_of(policy);
	struct vmc_policy_node *node = lru->sentinel.prev;

	if (node == &lru->sentinel)
		return NULL;
	take_out(node);
	return node;
}

static void
restore(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	link_after(node, lru_of(policy)->sentinel.prev);
}

static unsigned
upcoming(
	struct vmc_policy *policy, struct vmc_policy_node **nodes, unsigned max)
{
	struct vmc_policy_node *sentinel = &lru_of(policy)->sentinel;
	struct vmc_policy_node *node = sentinel->prev;
	unsigned n = 0;

	for (; n < max && node != sentinel; node = node->prev)
		nodes[n++] = node;
	__builtin_prefetch(node, 1);
	return n;
}

static int
check(struct vmc_policy *policy, uint64_t *held)
{
	struct lru *lru = lru_of(policy);
	struct vmc_policy_node *node = &lru->sentinel;

	*held = 0;
	do {
		if (!node->next || node->next->prev != node)
			return vmc_fail_const(EINVAL, "lru: a link is broken");
		node = node->next;
		++*held;
	} while (node != &lru->sentinel);
	--*held;
	return 0;
}

const struct vmc_policy_ops vmc_policy_lru = {
	.name = "lru",
	.wants_touches = true,
	.create = create,
	.destroy = destroy,
	.touch = touch,
	.remove = remove_node,
	.victim = victim,
	.restore = restore,
	.upcoming = upcoming,
	.check = check,
};
