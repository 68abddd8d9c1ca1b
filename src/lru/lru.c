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
 * All calls but those that fetch come under the user's one lock. What costs
 * here is cache misses: moving a node writes to two neighbours that nobody has
 * touched for long. Touches come in batches so that these misses overlap: first
 * every neighbour of the batch is prefetched, then the moves are made. Taking
 * victims follows prev from node to node, a miss each that cannot be foreseen;
 * so users walk ahead without the lock, one node further at a time. And where a
 * batch was fed, each node has a hint, which is where the fourth after it was:
 * so that the walk has several misses under way, not one after the other. A
 * hint is an address to fetch from and is never followed; what it leads to may
 * be elsewhere in the order by now, or freed.
 *
 * Why those that fetch may follow prev without the lock, though any node may be
 * taken out meanwhile. Under the lock, prev of a held node is a held node or
 * the sentinel, and that of any other node is NULL. So a value that is read
 * from prev of a node was held when it was stored there, and until it was
 * overwritten. A node freed after it was taken out, and after all walks had
 * ended that began before that, cannot be met: who took it out overwrote
 * prev of its neighbour first, and a walk that begins later sees that. The
 * stores release what the node consists of, and fetch() acquires it.
 *
 * Why it may go on from where it stopped, whatever has happened meanwhile.
 * Who takes a node out counts that in `taken` afterwards. fetch() loads the
 * count first, and then pointers; the next call follows the last of them only
 * if it loads the same count. Had that node been taken out before the first
 * load told so, the pointers read behind it could not have led there (acquire
 * of the count's release). If it was taken out later, the count has changed
 * since; a call that does not see that, like one that does not see the change
 * of a pointer, began while the node was held, or its memory is not freed yet.
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
	/* how often a node was taken out: written under the lock */
	_Atomic uint64_t taken;
};

static struct lru *
lru_of(struct vmc_policy *policy)
{
	return (struct lru *)policy;
}

static void
link_after(struct vmc_policy_node *node, struct vmc_policy_node *place)
{
	struct vmc_policy_node *next = vmc_load_relaxed(&place->next);

	vmc_store_relaxed(&node->next, next);
	vmc_store_release(&node->prev, place);
	vmc_store_release(&next->prev, node);
	vmc_store_relaxed(&place->next, node);
}

static void
take_out(struct lru *lru, struct vmc_policy_node *node)
{
	struct vmc_policy_node *prev = vmc_load_relaxed(&node->prev);
	struct vmc_policy_node *next = vmc_load_relaxed(&node->next);

	vmc_store_relaxed(&prev->next, next);
	vmc_store_release(&next->prev, prev);
	vmc_store_relaxed(&node->prev, NULL);
	/* release: who knows of it meets the node no more */
	vmc_store_release(&lru->taken, vmc_load_relaxed(&lru->taken) + 1);
}

/* Entries begin at such addresses. */
#define HINT_UNIT 16
#define HINT_AHEAD 4

static void
set_hint(struct vmc_policy_node *node, const struct vmc_policy_node *to)
{
	intptr_t units = ((intptr_t)to - (intptr_t)node) / HINT_UNIT;

	if (units != (int32_t)units)
		units = 0;
	vmc_store_relaxed(&node->hint, (int32_t)units);
}

/* The node, and what stands behind it in a small entry. */
static inline __attribute__((always_inline)) void
prefetch(uintptr_t node)
{
	__builtin_prefetch((const void *)node);
	__builtin_prefetch((const void *)(node + 47));
}

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory)
{
	struct lru *lru = vmc_alloc(memory, sizeof(*lru));

	if (!lru)
		return -ENOMEM;
	lru->base.ops = &vmc_policy_lru;
	lru->memory = *memory;
	vmc_store_relaxed(&lru->sentinel.prev, &lru->sentinel);
	vmc_store_relaxed(&lru->sentinel.next, &lru->sentinel);
	vmc_store_relaxed(&lru->taken, 0);
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
	struct lru *lru = lru_of(policy);

	for (unsigned i = 0; i < count; i++) { /* NULL does no harm */
		__builtin_prefetch(vmc_load_relaxed(&nodes[i]->prev));
		__builtin_prefetch(vmc_load_relaxed(&nodes[i]->next));
	}
	for (unsigned i = 0; i < count; i++) {
		if (vmc_load_relaxed(&nodes[i]->prev))
			take_out(lru, nodes[i]);
		link_after(nodes[i], &lru->sentinel);
		if (i + HINT_AHEAD < count)
			set_hint(nodes[i], nodes[i + HINT_AHEAD]);
	}
}

static void
remove_node(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	if (vmc_load_relaxed(&node->prev))
		take_out(lru_of(policy), node);
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct lru *lru = lru_of(policy);
	struct vmc_policy_node *node = vmc_load_relaxed(&lru->sentinel.prev);

	if (node == &lru->sentinel)
		return NULL;
	take_out(lru, node);
	return node;
}

static void
restore(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	link_after(node, vmc_load_relaxed(&lru_of(policy)->sentinel.prev));
}

/* So many nodes after this one, as far as there are any held. */
static struct vmc_policy_node *
go_on(const struct lru *lru, struct vmc_policy_node *node, unsigned steps)
{
	for (; steps > 0 && node && node != &lru->sentinel; steps--)
		node = vmc_load_acquire(&node->prev);
	return node;
}

/* Where it meets a node that is out, or comes round, it fetches nothing new. */
static void
fetch(struct vmc_policy *policy, struct vmc_policy_walk *walk)
{
	struct lru *lru = lru_of(policy);
	uint64_t taken = vmc_load_acquire(&lru->taken);
	struct vmc_policy_node *first = vmc_load_acquire(&lru->sentinel.prev);
	struct vmc_policy_node *node = walk->at;

	if (first != walk->from) {
		walk->raced = walk->from != NULL;
		walk->from = node = first;
		walk->ahead = 0;
	} else if (taken != walk->taken) {
		node = go_on(lru, first, walk->ahead);
	}
	walk->taken = taken;
	if (walk->ahead < VMC_POLICY_AHEAD && node && node != &lru->sentinel) {
		/* this one has arrived: so it can tell of others */
		intptr_t hint = vmc_load_relaxed(&node->hint);
		prefetch((uintptr_t)node + (uintptr_t)(hint * HINT_UNIT));
		node = vmc_load_acquire(&node->prev);
		prefetch((uintptr_t)node);
		walk->ahead++;
	}
	walk->at = node;
}

/*
 * And the one after them, which becomes the last. Without this whoever takes
 * them under the lock waits for each to leave the other processor: 9 % of a put
 * on two that are 200 ns apart.
 */
static void
fetch_to_write(struct vmc_policy *policy)
{
	struct lru *lru = lru_of(policy);
	struct vmc_policy_node *node = vmc_load_acquire(&lru->sentinel.prev);

	for (unsigned i = 0; i <= VMC_POLICY_AHEAD; i++) {
		if (!node || node == &lru->sentinel)
			return;
		vmc_prefetch_write(node);
		node = vmc_load_acquire(&node->prev);
	}
}

static int
check(struct vmc_policy *policy, uint64_t *held)
{
	struct lru *lru = lru_of(policy);
	struct vmc_policy_node *node = &lru->sentinel;

	*held = 0;
	do {
		struct vmc_policy_node *next = vmc_load_relaxed(&node->next);
		if (!next || vmc_load_relaxed(&next->prev) != node)
			return vmc_fail_const(EINVAL, "lru: a link is broken");
		node = next;
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
	.fetch = fetch,
	.fetch_to_write = fetch_to_write,
	.check = check,
};
