/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order.c -- a crit-nibble trie over the bytes of keys: changes
 *
 * A node branches at one place of the keys below it, a nibble: all of them
 * agree before it, and have at least two different symbols there. The symbol
 * is the nibble + 1, or 0 where the key has ended, so that a key comes before
 * all that it is a prefix of. Places where all agree have no node, and are not
 * stored: so a trie of n keys has less than n nodes, however long the keys
 * are, and a search compares one whole key in the end.
 *
 *   "car" "cart" "dog"     root -> [byte 0, lower] -3-> [byte 3, upper] -end->
 * car |                    +--------7--> cart
 *                                        +--4--> dog
 *
 * Nodes have room for 3, 9 or 17 children: 32, 80 or 144 bytes. They
 * grow when they are full, and shrink when a third of their room is enough; so
 * a key of 16 bytes, one of a million, costs 18
 * (tests/unit/test_order_memory.c).
 *
 * Changes. A child comes or goes by one store into a word of a node that is
 * latched. A node that gets too small or too large is replaced: it is copied,
 * and one store into the word above it puts the copy in its place; both nodes
 * are latched, the upper one first. From then on the old node is GONE: nobody
 * changes it any more, and it is freed by epoch. A node that is left with one
 * child is replaced by that child in the same way. Latches are only tried: a
 * thread that does not get one leaves the epoch, and begins again. Memory for a
 * new node is in the caller's stock beforehand, so setting cannot fail;
 * removing works without memory, and makes a node smaller if there is some.
 *
 * Why readers need no lock. (1) The words of a node may change, but not its
 * place, nor the symbols before its place: all leaves that were ever below it
 * begin with the same symbols (its prefix), and the prefix of a child begins
 * with that of its parent. So the node or leaf that a reader finds by a word
 * belongs to that word's symbols, however old the word is. (2) Each node that a
 * reader reaches was in the trie at some moment since the reader began. Proof
 * by induction: its parent was, and the word was read in the parent then, or
 * after the parent was GONE; the words of a GONE node stay what they were when
 * it went, which was after the reader reached it. So a leaf that is there all
 * the time is below each node on the reader's path. Each word is stored with
 * release and loaded with acquire: what it leads to is complete.
 *
 * Why a change is made where it belongs. A change finds its place without a
 * latch. By (1) its findings about the key stay true for the nodes that it has
 * seen, if they are still in the trie. They are, unless they are GONE, and only
 * a thread that has latched a node can make it GONE. So with the latch it
 * checks that the node is not GONE and that the word is still the same, and
 * otherwise begins again.
 *
 * Rejected: one latch for all, for which threads that put would wait; nodes
 * that are copied at each change, which takes an allocation and a retirement
 * for each.
 */
#include "order_internal.h"

#include <errno.h>

enum outcome { DONE, AGAIN, WAIT };

/* A change under way. */
struct change {
	struct vmc_order *order;
	struct vmc_order_stock *stock;
	struct vmc_order_key key;
	uint64_t leaf;        /* the word, without a symbol */
	struct node *retired; /* what went */
	size_t taken;         /* bytes of the stock */
	unsigned few;         /* the node has, and room for so many; 0 */
};

/* --- memory --- */

static void *
allocate(const struct vmc_memory *memory, unsigned room)
{
	size_t size = bytes_of_room(room);
	void *node = vmc_alloc(memory, size);

	if (node && address_of((uintptr_t)node) != node) {
		vmc_free(memory, node, size);
		return NULL;
	}
	return node;
}

int
vmc_order_stock(struct vmc_order *order, struct vmc_order_stock *stock)
{
	for (unsigned i = 0; i < VMC_ORDER_SIZES; i++) {
		if (stock->has & 1u << i)
			continue;
		stock->node[i] = allocate(&order->memory, room_of_size(i));
		if (!stock->node[i])
			return -ENOMEM;
		stock->has |= 1u << i;
	}
	return 0;
}

void
vmc_order_unstock(struct vmc_order *order, struct vmc_order_stock *stock)
{
	for (unsigned i = 0; i < VMC_ORDER_SIZES; i++)
		if (stock->has & 1u << i)
			vmc_free(&order->memory, stock->node[i],
				bytes_of_room(room_of_size(i)));
	stock->has = 0;
}

/* Before others know it. */
static void
start_node(struct node *node, unsigned room, uint64_t place)
{
	node->byte = (uint32_t)(place >> 1);
	node->low = place & 1;
	node->room = (uint8_t)room;
	atomic_init(&node->count, 0);
	atomic_init(&node->latch.held, false);
	for (unsigned i = 0; i < room; i++)
		atomic_init(&node->word[i], 0);
}

/* From the stock, where it stays until it is used. */
static struct node *
take_node(struct change *c, unsigned size, uint64_t place)
{
	struct node *node = c->stock->node[size];

	assert(c->stock->has & 1u << size);
	start_node(node, room_of_size(size), place);
	return node;
}

static void
use_node(struct change *c, unsigned size)
{
	c->stock->has &= ~(1u << size);
	c->taken += bytes_of_room(room_of_size(size));
}

int
vmc_order_new(struct vmc_order **order, vmc_order_key_fn *key_of,
	const struct vmc_memory *memory)
{
	struct vmc_order *made = vmc_alloc(memory, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->root = allocate(memory, 1);
	if (!made->root) {
		vmc_free(memory, made, sizeof(*made));
		return -ENOMEM;
	}
	start_node(made->root, 1, (uint64_t)UINT32_MAX << 1);
	made->key_of = key_of;
	made->memory = *memory;
	*order = made;
	return 0;
}

/* The last word that is in use, behind which there is none; NULL. */
static vmc_order_word *
last_word(struct node *node)
{
	for (unsigned i = node->room; i-- > 0;)
		if (vmc_load_relaxed(&node->word[i]))
			return &node->word[i];
	return NULL;
}

/*
 * However deep it is: while something below a node is freed, the word that led
 * there leads to the node above.
 */
void
vmc_order_delete(struct vmc_order *order)
{
	const struct vmc_memory memory = order->memory;
	struct node *node = order->root, *above = NULL;

	while (node) {
		vmc_order_word *at = last_word(node);
		uint64_t word = at ? vmc_load_relaxed(at) : 0;
		if (word & IS_NODE) {
			vmc_store_relaxed(at, (uintptr_t)above | IS_NODE);
			above = node;
			node = node_of(word);
		} else if (at) {
			vmc_store_relaxed(at, 0);
		} else {
			vmc_free(&memory, node, bytes_of_room(node->room));
			node = above;
			if (node) {
				at = last_word(node);
				above = node_of(vmc_load_relaxed(at));
				vmc_store_relaxed(at, 0);
			}
		}
	}
	vmc_free(&memory, order, sizeof(*order));
}

/* --- latches --- */

static bool
latch(struct node *node)
{
	return vmc_latch_try(&node->latch, VMC_RANK_ORDER);
}

static void
unlatch(struct node *node)
{
	vmc_latch_release(&node->latch, VMC_RANK_ORDER);
}

/* The last node of the path and the one above, which still leads to it. */
static enum outcome
latch_both(const struct path *p)
{
	if (!latch(p->above))
		return WAIT;
	if (vmc_load_relaxed(&p->above->count) == GONE ||
		address_of(vmc_load_relaxed(p->above_at)) != p->node) {
		unlatch(p->above);
		return AGAIN;
	}
	/* the rank is held already */
	if (!vmc_exchange_acq_rel(&p->node->latch.held, true))
		return DONE;
	unlatch(p->above);
	return WAIT;
}

static void
unlatch_both(const struct path *p)
{
	vmc_store_release(&p->node->latch.held, false);
	unlatch(p->above);
}

/* With both latched: what follows the last node is this, of its symbol. */
static void
replace_node(struct change *c, const struct path *p, uint64_t by)
{
	unsigned symbol = symbol_of(vmc_load_relaxed(p->above_at));

	/* pairs with the acquire load in child_of(), and in a walk */
	vmc_store_release(p->above_at, with_symbol(by, symbol));
	vmc_store_relaxed(&p->node->count, GONE);
	c->retired = p->node;
}

/* The node's word, latched: another one, or 0, for what it is. */
static enum outcome
change_word(const struct path *p, uint64_t by)
{
	enum outcome result = AGAIN;

	if (!latch(p->node))
		return WAIT;
	if (vmc_load_relaxed(&p->node->count) != GONE &&
		vmc_load_relaxed(p->at) == p->word) {
		/* pairs with the acquire load in child_of(), and in a walk */
		vmc_store_release(p->at, by);
		result = DONE;
	}
	unlatch(p->node);
	return result;
}

/* --- setting --- */

/* A free word for that symbol. NULL: none is, or it is there. */
static inline vmc_order_word *
free_word(struct node *node, unsigned symbol)
{
	vmc_order_word *free = NULL;

	if (node->room == SYMBOLS)
		return vmc_load_relaxed(&node->word[symbol])
			       ? NULL
			       : &node->word[symbol];
	for (unsigned i = 0; i < node->room; i++) {
		uint64_t word = vmc_load_relaxed(&node->word[i]);
		if (word >> SYMBOL_SHIFT == symbol + 1)
			return NULL;
		if (!word)
			free = &node->word[i];
	}
	return free;
}

static inline void
set_child(struct node *node, vmc_order_word *at, uint64_t word, unsigned symbol)
{
	/* pairs with the acquire load in child_of(), and in a walk */
	vmc_store_release(at, with_symbol(word, symbol));
	vmc_store_relaxed(
		&node->count, (uint8_t)(vmc_load_relaxed(&node->count) + 1));
}

/* To a node that nobody knows yet, and that has room. */
static inline void
add_child(struct node *node, uint64_t word, unsigned symbol)
{
	unsigned i =
		node->room == SYMBOLS ? symbol : vmc_load_relaxed(&node->count);

	set_child(node, &node->word[i], word, symbol);
}

/* The same children in a node of another size, which will be used. */
static struct node *
copy_node(struct change *c, const struct node *node, unsigned size)
{
	struct node *copy = take_node(c, size, place_of(node));

	for (unsigned i = 0; i < node->room; i++) {
		uint64_t word = vmc_load_relaxed(&node->word[i]);
		if (word)
			add_child(copy, word, symbol_of(word));
	}
	use_node(c, size);
	return copy;
}

static unsigned
size_of_room(unsigned room)
{
	unsigned size = 0;

	while (room_of_size(size) < room)
		size++;
	return size;
}

/* The node is full. */
static enum outcome
grow(struct change *c, const struct path *p, unsigned symbol)
{
	struct node *node = p->node;
	vmc_order_word *at;

	if (!p->above) /* the root, which is not empty any more */
		return AGAIN;
	enum outcome result = latch_both(p);
	if (result != DONE)
		return result;
	if (vmc_load_relaxed(&node->count) == node->room &&
		!child_of(node, symbol, &at)) {
		struct node *larger =
			copy_node(c, node, size_of_room(node->room) + 1);
		add_child(larger, c->leaf, symbol);
		replace_node(c, p, (uintptr_t)larger | IS_NODE);
	} else {
		result = AGAIN;
	}
	unlatch_both(p);
	return result;
}

/* The node branches where the key differs from all below it. */
static enum outcome
add(struct change *c, const struct path *p)
{
	struct node *node = p->node;
	unsigned symbol = symbol_for(node, c->key);
	enum outcome result = AGAIN;

	if (vmc_load_relaxed(&node->count) >= node->room)
		return grow(c, p, symbol);
	if (!latch(node))
		return WAIT;
	/* GONE is more than any room */
	vmc_order_word *at = vmc_load_relaxed(&node->count) < node->room
				     ? free_word(node, symbol)
				     : NULL;
	if (at) {
		set_child(node, at, c->leaf, symbol);
		result = DONE;
	}
	unlatch(node);
	return result;
}

/* A new node between the path's last one and what its word leads to. */
static enum outcome
split(struct change *c, const struct path *p, struct vmc_order_key other,
	uint64_t place)
{
	struct node *node = take_node(c, 0, place);

	add_child(node, p->word, symbol_at_place(other, place));
	add_child(node, c->leaf, symbol_at_place(c->key, place));
	enum outcome result = change_word(
		p, with_symbol((uintptr_t)node | IS_NODE, symbol_of(p->word)));
	if (result == DONE)
		use_node(c, 0);
	return result;
}

/*
 * The key differs from all below `last` at a place before that: the first word
 * on the path to it that leads behind the place. False: there is none any more.
 */
static bool
find_edge(struct change *c, const struct node *last, uint64_t place,
	struct path *p)
{
	p->node = c->order->root;
	for (;;) {
		p->word =
			child_of(p->node, symbol_for(p->node, c->key), &p->at);
		if (!(p->word & IS_NODE))
			return false;
		struct node *next = node_of(p->word);
		if (place_of(next) >= place)
			break;
		p->node = next;
	}
	/* the leaf that was compared is below it if `last` is */
	struct node *node = node_of(p->word);
	while (node != last) {
		vmc_order_word *at;
		uint64_t word = child_of(node, symbol_for(node, c->key), &at);
		if (!(word & IS_NODE))
			return false;
		node = node_of(word);
	}
	return true;
}

static enum outcome
try_set(struct change *c)
{
	struct path p;

	vmc_order_descend(c->order, c->key, &p);
	uint64_t some = vmc_order_some_leaf(&p);
	if (!some)
		return p.above ? AGAIN : add(c, &p);
	struct vmc_order_key other = c->order->key_of(address_of(some));
	uint64_t place = difference(c->key, other);
	if (p.word && place == NOWHERE)
		return change_word(&p, with_symbol(c->leaf, symbol_of(p.word)));
	if (p.above && place == place_of(p.node))
		return add(c, &p);
	if (!p.above || place > place_of(p.node))
		return p.word ? split(c, &p, other, place) : AGAIN;
	if (!find_edge(c, p.node, place, &p) ||
		place_of(node_of(p.word)) == place)
		return AGAIN;
	return split(c, &p, other, place);
}

/* A child that is there; in a node with room for all, one close to that word */
static uint64_t
some_child(const struct node *node, const vmc_order_word *at)
{
	unsigned first =
		node->room == SYMBOLS && at ? (unsigned)(at - node->word) : 0;
	unsigned i = first;
	uint64_t word;

	do {
		word = vmc_load_acquire(&node->word[i]);
		i = i > 0 ? i - 1 : node->room - 1u;
	} while (!word && i != first);
	return word;
}

uint64_t
vmc_order_some_leaf(const struct path *p)
{
	uint64_t word = p->word ? p->word : some_child(p->node, p->at);

	while (word & IS_NODE)
		word = some_child(node_of(word), NULL);
	return word;
}

/* --- removing --- */

/* So few that a smaller node has room to spare. */
static bool
is_few(unsigned count, unsigned room)
{
	return room > room_of_size(0) && 3 * count < room + 2;
}

/* With one child left the node goes. */
static enum outcome
remove_with_node(struct change *c, const struct path *p)
{
	struct node *node = p->node;
	uint64_t other = 0;
	enum outcome result = latch_both(p);

	if (result != DONE)
		return result;
	if (vmc_load_relaxed(p->at) == p->word &&
		vmc_load_relaxed(&node->count) == 2) {
		for (unsigned i = 0; i < node->room; i++)
			if (&node->word[i] != p->at)
				other |= vmc_load_relaxed(&node->word[i]);
		replace_node(c, p, other);
	} else {
		result = AGAIN;
	}
	unlatch_both(p);
	return result;
}

static enum outcome
try_remove(struct change *c)
{
	struct path p;

	vmc_order_descend(c->order, c->key, &p);
	struct node *node = p.node;
	if (!p.word || address_of(p.word) != address_of(c->leaf))
		return DONE; /* another one has its key */
	unsigned count = vmc_load_relaxed(&node->count);
	if (p.above && count <= 2)
		return remove_with_node(c, &p);
	if (!latch(node))
		return WAIT;
	enum outcome result = AGAIN;
	count = vmc_load_relaxed(&node->count);
	if (count != GONE && (!p.above || count > 2) &&
		vmc_load_relaxed(p.at) == p.word) {
		/* pairs with the acquire load in child_of(), and in a walk */
		vmc_store_release(p.at, 0);
		vmc_store_relaxed(&node->count, (uint8_t)(count - 1));
		if (p.above && is_few(count - 1, node->room))
			c->few = node->room;
		result = DONE;
	}
	unlatch(node);
	return result;
}

/*
 * The node that the key led to has few children left: a smaller one, if it
 * still has, and nobody is in the way.
 */
static enum outcome
try_shrink(struct change *c)
{
	struct path p;

	vmc_order_descend(c->order, c->key, &p);
	if (!p.above || latch_both(&p) != DONE)
		return DONE;
	if (p.node->room == c->few &&
		is_few(vmc_load_relaxed(&p.node->count), c->few)) {
		struct node *smaller =
			copy_node(c, p.node, size_of_room(c->few) - 1);
		replace_node(c, &p, (uintptr_t)smaller | IS_NODE);
	}
	unlatch_both(&p);
	return DONE;
}

/* --- both --- */

static void
make_change(struct change *c, struct vmc_thread *thread,
	enum outcome (*try)(struct change *))
{
	for (unsigned round = 0;; round++) {
		vmc_epoch_enter(thread);
		enum outcome result = try(c);
		vmc_epoch_exit(thread);
		if (result == DONE)
			break;
		if (result == WAIT)
			vmc_latch_pause(round);
	}
	if (c->retired)
		vmc_retire(&c->order->memory, c->retired,
			bytes_of_room(c->retired->room));
}

size_t
vmc_order_set(struct vmc_order *order, struct vmc_thread *thread,
	struct vmc_order_stock *stock, const void *leaf)
{
	struct change c = {.order = order,
		.stock = stock,
		.key = order->key_of(leaf),
		.leaf = (uintptr_t)leaf};

	assert(address_of((uintptr_t)leaf) == leaf);
	make_change(&c, thread, try_set);
	return c.taken;
}

static __attribute__((noinline)) void
shrink(struct change *c, struct vmc_thread *thread)
{
	struct vmc_order *order = c->order;
	unsigned size = size_of_room(c->few) - 1;
	struct vmc_order_stock stock = {.has = 1u << size};

	stock.node[size] = allocate(&order->memory, room_of_size(size));
	if (!stock.node[size])
		return;
	c->stock = &stock;
	make_change(c, thread, try_shrink);
	vmc_order_unstock(order, &stock);
}

size_t
vmc_order_remove(
	struct vmc_order *order, struct vmc_thread *thread, const void *leaf)
{
	struct change c = {.order = order,
		.key = order->key_of(leaf),
		.leaf = (uintptr_t)leaf};

	make_change(&c, thread, try_remove);
	if (__builtin_expect(c.few, 0))
		shrink(&c, thread);
	return c.taken;
}
