/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order_walk.c -- walking through leaves in order, without a lock
 *
 * A walk descends by the symbols of the key that it starts from, and pushes the
 * words to the right of its path on a stack, the nearest last: there it goes
 * on. A node on the stack may have been replaced by then; order.c says why the
 * walk still meets each leaf that stays.
 *
 * A trie may be as deep as keys are long. The stack has room for some hundred
 * words: if there are more, the farthest are dropped, and the walk ends before
 * it would come to them. The next walk starts from the last key.
 *
 * To where the start key leads. By its symbols a search comes to some leaf, and
 * the place at which the keys differ says where the start key would be: on the
 * way to that leaf, at the first word that leads behind the place. All that is
 * below this word is on one side of the key. That word must be on the way to
 * that very leaf, which a concurrent change may prevent: then the walk starts
 * again.
 */
#include "order_internal.h"

#include <errno.h>

#include "base/error.h"

#define KEPT 128u

struct pending {
	unsigned count;
	bool lost;
	uint64_t word[KEPT];
};

static void
push(struct pending *pending, uint64_t word)
{
	if (pending->count == KEPT) {
		pending->count = KEPT / 2;
		memmove(pending->word, pending->word + KEPT / 2,
			KEPT / 2 * sizeof(*pending->word));
		pending->lost = true;
	}
	pending->word[pending->count++] = word;
}

/* The node's children of that symbol and above, the first one last. */
static void
push_from(struct pending *pending, struct node *node, unsigned symbol)
{
	uint64_t found[SYMBOLS];
	unsigned count = 0;

	for (unsigned i = 0; i < node->room; i++) {
		uint64_t word = vmc_load_acquire(&node->word[i]);
		unsigned k = count;
		if (!word || symbol_of(word) < symbol)
			continue;
		while (k > 0 && symbol_of(found[k - 1]) > symbol_of(word))
			k--;
		/* it went and came again, into another word, meanwhile */
		if (k > 0 && symbol_of(found[k - 1]) == symbol_of(word))
			continue;
		memmove(found + k + 1, found + k,
			(count++ - k) * sizeof(*found));
		found[k] = word;
	}
	while (count > 0)
		push(pending, found[--count]);
}

/* Does the key lead from that word to the end of that path? */
static bool
leads_to(uint64_t word, struct vmc_order_key key, const struct path *p)
{
	vmc_order_word *at;

	if (is_leaf(word))
		return address_of(word) == address_of(p->word);
	while (word & IS_NODE && node_of(word) != p->node)
		word = child_of(
			node_of(word), symbol_for(node_of(word), key), &at);
	return (word & IS_NODE) != 0;
}

/* What is not less than the key, or greater. False: a change has come between.
 */
static bool
start(struct vmc_order *order, struct vmc_order_key from, bool behind,
	struct pending *pending)
{
	struct node *node = order->root;
	vmc_order_word *at;
	struct path p;

	pending->count = 0;
	pending->lost = false;
	vmc_order_descend(order, from, &p);
	uint64_t some = vmc_order_some_leaf(&p);
	if (!some)
		return p.node == order->root;
	struct vmc_order_key key = order->key_of(address_of(some));
	uint64_t place = difference(from, key);
	uint64_t word = child_of(node, 0, &at);
	while (word & IS_NODE && place_of(node_of(word)) <= place) {
		node = node_of(word);
		unsigned symbol = symbol_for(node, from);
		push_from(pending, node, symbol + 1);
		if (place_of(node) == place)
			return node == p.node;
		word = child_of(node, symbol, &at);
	}
	if (!word || !leads_to(word, from, &p))
		return false;
	bool greater = place == NOWHERE ? !behind
					: symbol_at_place(from, place) <
						  symbol_at_place(key, place);
	if (greater)
		push(pending, word);
	return true;
}

bool
vmc_order_walk(struct vmc_order *order, struct vmc_order_key from, bool behind,
	vmc_order_visit_fn *visit, void *arg)
{
	struct pending pending;

	while (!start(order, from, behind, &pending))
		;
	while (pending.count > 0) {
		uint64_t word = pending.word[--pending.count];
		if (word & IS_NODE)
			push_from(&pending, node_of(word), 0);
		else if (!visit(address_of(word), arg))
			return false;
	}
	return !pending.lost;
}

/* --- checking --- */

struct checking {
	struct vmc_order *order;
	struct vmc_order_key last;
	uint64_t count;
	const char *wrong; /* NULL: nothing */
};

static const char *
check_node(struct node *node, const struct node *above, bool is_root)
{
	unsigned count = 0, seen = 0;

	for (unsigned i = 0; i < node->room; i++) {
		uint64_t word = vmc_load_relaxed(&node->word[i]);
		if (!word)
			continue;
		unsigned symbol = symbol_of(word);
		if (symbol >= SYMBOLS || seen & 1u << symbol)
			return "order: no symbol, or twice the same";
		if (node->room == SYMBOLS && symbol != i)
			return "order: a child in the place of another";
		seen |= 1u << symbol;
		count++;
	}
	if (vmc_load_relaxed(&node->count) != count)
		return "order: a node does not know its children";
	if (vmc_latch_is_held(&node->latch))
		return "order: a node is latched";
	if (!is_root && count < 2)
		return "order: a node with less than two children";
	if (above && place_of(node) <= place_of(above))
		return "order: a node not behind the one above it";
	return NULL;
}

/* vmc_order_visit_fn: the leaf is behind the last one, and its key leads to it
 */
static bool
check_leaf(const void *leaf, void *arg)
{
	struct checking *c = arg;
	struct vmc_order_key key = c->order->key_of(leaf);
	struct node *node = c->order->root, *above = NULL;
	vmc_order_word *at;
	uint64_t word;

	c->wrong = check_node(node, NULL, true);
	while ((word = child_of(node, symbol_for(node, key), &at)) & IS_NODE &&
		!c->wrong) {
		node = node_of(word);
		c->wrong = check_node(node, above, false);
		above = node;
	}
	uint64_t place = c->count ? difference(c->last, key) : 0;
	if (!c->wrong && address_of(word) != leaf)
		c->wrong = "order: a key leads to another leaf";
	if (!c->wrong && c->count &&
		(place == NOWHERE || symbol_at_place(c->last, place) >
					     symbol_at_place(key, place)))
		c->wrong = "order: leaves are not in order";
	c->last = key;
	c->count++;
	return c->wrong == NULL;
}

int
vmc_order_check(struct vmc_order *order, uint64_t *count)
{
	struct checking c = {.order = order};

	while (!vmc_order_walk(order, c.last, c.count > 0, check_leaf, &c) &&
		!c.wrong)
		;
	*count = c.count;
	if (!c.wrong && vmc_load_relaxed(&order->root->count) != (c.count > 0))
		c.wrong = "order: the root does not know its child";
	return c.wrong ? vmc_fail_const(EINVAL, c.wrong) : 0;
}
