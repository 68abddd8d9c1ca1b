/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order_internal.h -- the nodes of the trie (order.c), for the files of this
 * folder
 *
 *   node    at (5) | room (1) | count (1) | latch (1) | word (8) ...
 *   word    0 (11) | symbol + 1 (5) | address (44) | 0 (3) | node (1)
 *           0: free
 */
#ifndef VMC_ORDER_INTERNAL_H
#define VMC_ORDER_INTERNAL_H

#include "order.h"

#include "base/lock.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

typedef _Atomic uint64_t vmc_order_word;

enum {
	/* the end of a key, and the 16 nibbles, in this order */
	SYMBOLS = 17,
	SYMBOL_SHIFT = 48,
	GONE = 255
};

#define IS_NODE UINT64_C(1)
#define ADDRESS UINT64_C(0x0000fffffffffff0)

/* Of places: behind all. */
#define NOWHERE UINT64_MAX

struct node {
	/* immutable; where it branches: the nibble, 0 being a byte's upper */
	uint32_t byte;
	uint8_t low;
	uint8_t room; /* words */
	/* under the latch, read without */
	_Atomic uint8_t count; /* of children; GONE: not in the trie any more */
	struct vmc_latch latch;
	vmc_order_word word[];
};

static_assert(offsetof(struct node, word) == 8, "no padding");

struct vmc_order {
	/* immutable: one word, with the symbol 0, which leads to all */
	struct node *root;
	vmc_order_key_fn *key_of;
	struct vmc_memory memory;
};

/* Children that nodes of a size have room for. */
static inline unsigned
room_of_size(unsigned size)
{
	static const uint8_t rooms[VMC_ORDER_SIZES] = {3, 9, SYMBOLS};

	return rooms[size];
}

static inline size_t
bytes_of_room(unsigned room)
{
	return offsetof(struct node, word) + room * sizeof(vmc_order_word);
}

static inline void *
address_of(uint64_t word)
{
	return (void *)(uintptr_t)(word & ADDRESS);
}

static inline struct node *
node_of(uint64_t word)
{
	return address_of(word);
}

static inline bool
is_leaf(uint64_t word)
{
	return word != 0 && !(word & IS_NODE);
}

static inline uint64_t
with_symbol(uint64_t word, unsigned symbol)
{
	return (word & (ADDRESS | IS_NODE)) | (uint64_t)(symbol + 1)
						      << SYMBOL_SHIFT;
}

static inline unsigned
symbol_of(uint64_t word)
{
	return (unsigned)(word >> SYMBOL_SHIFT) - 1;
}

/* Places of symbols in keys, in order: two for each byte. */
static inline uint64_t
place_of(const struct node *node)
{
	return (uint64_t)node->byte << 1 | node->low;
}

static inline unsigned
symbol_at(struct vmc_order_key key, uint32_t byte, bool low)
{
	if (byte >= key.size)
		return 0;
	unsigned value = ((const unsigned char *)key.data)[byte];
	return 1 + (low ? value & 15 : value >> 4);
}

static inline unsigned
symbol_at_place(struct vmc_order_key key, uint64_t place)
{
	return symbol_at(key, (uint32_t)(place >> 1), place & 1);
}

/* Of the root always 0: behind the end of every key. */
static inline unsigned
symbol_for(const struct node *node, struct vmc_order_key key)
{
	return symbol_at(key, node->byte, node->low);
}

/* Where two keys differ first; NOWHERE: they are equal. */
static inline uint64_t
difference(struct vmc_order_key a, struct vmc_order_key b)
{
	const unsigned char *x = a.data, *y = b.data;
	size_t n = a.size < b.size ? a.size : b.size, i = 0;

	while (i + 8 <= n && memcmp(x + i, y + i, 8) == 0)
		i += 8;
	while (i < n && x[i] == y[i])
		i++;
	if (i < n)
		return (uint64_t)i << 1 | ((x[i] ^ y[i]) < 16);
	return a.size == b.size ? NOWHERE : (uint64_t)i << 1;
}

/*
 * The child of that symbol, with its word; 0: none. In a node with room for
 * all each has its place, in others they are in no order. A word is read once:
 * the next moment another symbol may be there.
 */
static inline uint64_t
child_of(struct node *node, unsigned symbol, vmc_order_word **at)
{
	if (node->room == SYMBOLS) {
		*at = &node->word[symbol];
		return vmc_load_acquire(*at);
	}
	for (unsigned i = 0; i < node->room; i++) {
		uint64_t word = vmc_load_acquire(&node->word[i]);
		if (word >> SYMBOL_SHIFT == symbol + 1) {
			*at = &node->word[i];
			return word;
		}
	}
	*at = NULL;
	return 0;
}

/* Where the symbols of a key lead, as far as they lead anywhere. */
struct path {
	/* the last node, and the word that leads to it; NULL: it is the root */
	struct node *above;
	vmc_order_word *above_at;
	struct node *node;
	/* of the key's symbol there: a leaf, or 0 */
	vmc_order_word *at;
	uint64_t word;
};

static inline void
vmc_order_descend(
	struct vmc_order *order, struct vmc_order_key key, struct path *p)
{
	p->above = NULL;
	p->above_at = NULL;
	p->node = order->root;
	p->at = &order->root->word[0];
	p->word = vmc_load_acquire(p->at);
	while (p->word & IS_NODE) {
		p->above = p->node;
		p->above_at = p->at;
		p->node = node_of(p->word);
		p->word = child_of(p->node, symbol_for(p->node, key), &p->at);
	}
}

/*
 * A leaf at the end of that path, or below: as all leaves that have ever been
 * below one node begin with the same symbols, it tells how far the key agrees
 * with them. 0: there is none, or none was met for all the changes.
 */
uint64_t vmc_order_some_leaf(const struct path *p);

#endif
