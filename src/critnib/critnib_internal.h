/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_internal.h -- what the trie is made of, for the files of this folder
 *
 * Bags are drawn in bag/bag.h, tables and groups in critnib_find.h. In a leaf's
 * word, its "own" bits are its nibble in the group that its bag is in.
 */
#ifndef VMC_CRITNIB_INTERNAL_H
#define VMC_CRITNIB_INTERNAL_H

#include "critnib.h"
#include "critnib_find.h"

#include "base/lock.h"

#include <stdalign.h>
#include <string.h>

enum {
	STRIPES = VMC_CRITNIB_STRIPES,
	STRIPE_BITS = VMC_CRITNIB_STRIPE_BITS,
	WORDS = VMC_BAG_WORDS,
	NIBBLES = 16,
	NIBBLE_BITS = 4,
	HASH_BITS = 64,
	LINE = 64,
	/* a node branches at a nibble of its own: no more under each other */
	DEPTH = HASH_BITS / NIBBLE_BITS,
	K_MAX = VMC_CRITNIB_LOW,
};

#define LINK VMC_BAG_LINK
#define NODE VMC_BAG_NODE

typedef struct vmc_bag bag;
typedef vmc_critnib_group group;
typedef struct vmc_index_place place;

/*
 * Written under the latch of the stripe; read without: *table, and what never
 * changes. skip: so many bits of the hash are the same in all leaves below,
 * and lead here; those of the prefix.
 */
struct node {
	/* what leads to the table: in the stripe's root, of the readers' */
	_Atomic uint64_t *table;
	_Atomic uint64_t own_table;
	alignas(16) group first[1]; /* the table while k is 0 */
	uint64_t prefix;
	unsigned skip;
	/* groups with d == k */
	uint32_t deepest;
	/* leaves in it and below; read without the latch */
	_Atomic uint64_t count;
};

/* Lines of its own: writers of other stripes do not disturb. */
struct stripe {
	alignas(LINE) struct vmc_latch latch;
	struct node root;
};

struct vmc_critnib {
	struct vmc_critnib_tables tables;
	/* immutable */
	alignas(LINE) vmc_index_hash_fn *hash_of;
	const void *hash_arg;
	struct vmc_memory memory;
	void *allocation;
	struct stripe stripes[STRIPES];
};

/* What a group holds: leaves, and bags with a link, which stay as they are. */
struct content {
	unsigned leaves;
	unsigned links;
	uint8_t count[NIBBLES]; /* of leaves, by nibble */
	uint8_t span[NIBBLES];  /* nibbles of the bag with a link there; 0 */
	const bag *link[NIBBLES];
	uint64_t word[NIBBLES * WORDS];
	uint32_t note[NIBBLES * WORDS];
};

static inline struct vmc_critnib *
critnib(struct vmc_index *index)
{
	return (struct vmc_critnib *)index;
}

static inline unsigned
stripe_of(uint64_t hash)
{
	return (unsigned)(hash >> (HASH_BITS - STRIPE_BITS));
}

static inline struct node *
root_of(struct vmc_critnib *index, uint64_t hash)
{
	return &index->stripes[stripe_of(hash)].root;
}

static inline void
latch(struct vmc_critnib *index, unsigned stripe)
{
	vmc_latch_acquire(&index->stripes[stripe].latch, VMC_RANK_INDEX);
}

static inline void
unlatch(struct vmc_critnib *index, unsigned stripe)
{
	vmc_latch_release(&index->stripes[stripe].latch, VMC_RANK_INDEX);
}

static inline uint64_t
hash_of(const struct vmc_critnib *index, uint64_t word)
{
	return index->hash_of(vmc_bag_address(word), index->hash_arg);
}

static inline unsigned
k_of(const struct node *node)
{
	return vmc_load_relaxed(node->table) & VMC_CRITNIB_LOW;
}

static inline unsigned
d_of(uint64_t g)
{
	return g & VMC_CRITNIB_LOW;
}

/* What the group of a node is found by, of a hash. */
static inline uint64_t
rest_of(const struct node *node, uint64_t hash)
{
	return hash << node->skip;
}

static inline group *
group_at(const struct node *node, uint64_t hash)
{
	return vmc_critnib_group_at(
		vmc_load_acquire(node->table), rest_of(node, hash));
}

static inline uint64_t
group_of(const struct node *node, uint64_t hash)
{
	return vmc_load_acquire(group_at(node, hash));
}

/* Does a hash lead to this node, so that it may have leaves of it? */
static inline bool
leads_to(uint64_t hash, const struct node *node)
{
	return (hash ^ node->prefix) >> (HASH_BITS - node->skip) == 0;
}

static inline unsigned
begins_of(uint64_t g)
{
	return (unsigned)(g >> VMC_CRITNIB_BEGINS_SHIFT);
}

static inline unsigned
bags_in(uint64_t g)
{
	return vmc_bag_address(g) ? vmc_critnib_count_bits(begins_of(g)) + 1
				  : 0;
}

static inline size_t
group_size(uint64_t g)
{
	return bags_in(g) * sizeof(bag);
}

/* The nibble behind that of a bag's last: with it the next bag begins. */
static inline unsigned
end_of(unsigned begins, unsigned nibble)
{
	unsigned behind = begins >> nibble >> 1;

	return behind ? nibble + 1 + (unsigned)__builtin_ctz(behind)
		      : (unsigned)NIBBLES;
}

static inline unsigned
nibble_of_word(uint64_t word)
{
	return (unsigned)((word >> 1 & 7) | (word >> 51 & 1) << 3);
}

/* The "own" bits of a word for that nibble. */
static inline uint64_t
own_bits(unsigned nibble)
{
	return (uint64_t)(nibble & 7) << 1 | (uint64_t)(nibble >> 3) << 51;
}

static inline uint64_t
with_nibble(uint64_t word, unsigned nibble)
{
	return (word & ~own_bits(NIBBLES - 1)) | own_bits(nibble);
}

/* The node below a bag; NULL: there is none. */
static inline struct node *
node_below(const bag *b)
{
	uint64_t link = vmc_bag_link(b);

	return link & NODE ? vmc_bag_address(link) : NULL;
}

/* The bag chained behind this one, for leaves of the same hash; NULL. */
static inline bag *
chained(const bag *b)
{
	uint64_t link = vmc_bag_link(b);

	return link & NODE ? NULL : vmc_bag_address(link);
}

static inline void
retire_group(const struct vmc_critnib *index, uint64_t g)
{
	if (vmc_bag_address(g))
		vmc_retire(&index->memory, vmc_bag_address(g), group_size(g));
}

static inline void
add_leaf(struct content *c, uint64_t word, uint32_t note, unsigned nibble)
{
	c->word[c->leaves] = with_nibble(word, nibble);
	c->note[c->leaves++] = note;
	c->count[nibble]++;
}

static inline void
add_link(struct content *c, const bag *b, unsigned nibble, unsigned span)
{
	c->link[nibble] = b;
	c->span[nibble] = (uint8_t)span;
	c->links++;
}

static inline void
start_content(struct content *c)
{
	c->leaves = c->links = 0;
	memset(c->count, 0, sizeof(c->count));
	memset(c->span, 0, sizeof(c->span));
}

static inline size_t
table_size(unsigned k)
{
	return sizeof(group) << k;
}

/* Any leaf of a bag, or of what is chained to it. */
static inline uint64_t
some_leaf(const bag *b)
{
	while (!vmc_bag_leaves(b))
		b = chained(b);
	return vmc_load_relaxed(&b->word[__builtin_ctz(vmc_bag_leaves(b))]);
}

/* --- critnib_group.c: making groups anew, under the latch --- */

/* What arrange says where a bag is too small for the leaves of a nibble. */
#define IMPOSSIBLE UINT32_MAX

/*
 * What a group holds, with a bag `by`, which has a link, for nibble `at` in
 * place of one of its bags; by NULL: without that one.
 */
void vmc_critnib_gather_but(struct content *c, uint64_t g, const bag *replaced,
	const bag *by, unsigned at);
uint32_t vmc_critnib_arrange(const struct content *c, unsigned more);
bool vmc_critnib_build(const struct vmc_critnib *index, const struct node *node,
	const struct content *c, uint32_t begins, unsigned d, uint64_t *out);
bool vmc_critnib_rebuild(struct vmc_critnib *index, struct node *node,
	uint64_t hash, const struct content *c, uint32_t begins);

/* Cleared; NULL: no memory, or none that a word can hold. */
void *vmc_critnib_allocate(const struct vmc_critnib *index, size_t size);

/* See to it that a bag is there for the hash. False: no memory. */
bool vmc_critnib_make_bag(
	struct vmc_critnib *index, struct node *node, uint64_t hash);

/*
 * The bag for the hash, which has no link, is full: another arrangement, with
 * room for the hash, or nearer to that; then look again. False: no memory.
 */
bool vmc_critnib_make_room(
	struct vmc_critnib *index, struct node *node, uint64_t hash);

/* Few leaves are left in the bag for the hash: fewer bags, if that will do. */
void vmc_critnib_shrink(
	struct vmc_critnib *index, struct node *node, uint64_t hash);

/* --- critnib_node.c: what is behind a bag, under the latch --- */

/* All that is behind the bag for the hash, and in it, moves below a new node.
 */
bool vmc_critnib_push_down(
	struct vmc_critnib *index, struct node *node, uint64_t hash);

/* The node below this bag does not have the hash's prefix: one above it. */
struct node *vmc_critnib_fork(struct vmc_critnib *index, bag *b, uint64_t hash);

/* Of a node below: is it no longer worth one? */
void vmc_critnib_pull_up(
	struct vmc_critnib *index, struct node *parent, bag *b, uint64_t hash);

/* What a node leads to, and its table; by vmc_retire or vmc_free. */
typedef void give_back_fn(const struct vmc_memory *, void *ptr, size_t size);
void vmc_critnib_clear(struct vmc_critnib *index, struct node *node,
	give_back_fn *give_back, vmc_index_visit_fn *drop, void *arg);

int vmc_critnib_alike(struct vmc_index *index, struct vmc_index **out);
void vmc_critnib_move(struct vmc_index *index, struct vmc_index *to);
size_t vmc_critnib_walk(struct vmc_index *index, uint64_t *position,
	vmc_index_visit_fn *visit, void *arg);
int vmc_critnib_check(struct vmc_index *index);

#endif
