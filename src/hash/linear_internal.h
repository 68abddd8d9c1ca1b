/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear_internal.h -- what linear hashing is made of, for linear.c and its
 * check
 *
 * Bags are drawn in bag/bag.h, tables in linear_find.h.
 */
#ifndef VMC_LINEAR_INTERNAL_H
#define VMC_LINEAR_INTERNAL_H

#include "linear.h"
#include "linear_find.h"

#include "base/lock.h"

#include <stdalign.h>

enum {
	STRIPES = VMC_LINEAR_STRIPES,
	WORDS = VMC_BAG_WORDS,
	LINE = 64,
};

#define SIZE_BITS VMC_LINEAR_SIZE_BITS
#define CHUNK_BITS VMC_LINEAR_CHUNK_BITS
#define LINK VMC_BAG_LINK
#define ADDRESS_BITS VMC_BAG_ADDRESS_BITS
#define MARK_SHIFT VMC_BAG_MARK_SHIFT

typedef vmc_bag_word word;
typedef struct vmc_bag bag;

static_assert(sizeof(word) == sizeof(void *), "a word holds a pointer");

/* A line of its own: writers of other stripes do not disturb. */
struct stripe {
	alignas(LINE) struct vmc_latch latch;
	/* written under the latch, read without */
	_Atomic uint64_t count;
	/* under the latch: pointers that the table has room for */
	uint32_t capacity;
};

typedef vmc_linear_chunk chunk;

struct vmc_linear {
	struct vmc_linear_roots roots;
	/* each stripe's table until it grows */
	alignas(LINE) chunk first[STRIPES];
	/* immutable */
	vmc_index_hash_fn *hash_of;
	const void *hash_arg;
	struct vmc_memory memory;
	void *allocation;
	struct stripe stripes[STRIPES];
};

static inline unsigned
stripe_of(uint64_t hash)
{
	return (unsigned)(hash >> 56);
}

static inline uint64_t
hash_of(const struct vmc_linear *index, uint64_t w)
{
	return index->hash_of(vmc_bag_address(w), index->hash_arg);
}

static inline uint32_t
bags_of(const struct vmc_linear_root *root)
{
	return (uint32_t)vmc_load_relaxed(&root->size);
}

/* Store a number of bags, which pairs with find's acquire of the size. */
static inline void
set_bags(struct vmc_linear_root *root, uint32_t bags)
{
	uint64_t size = vmc_load_relaxed(&root->size);

	vmc_store_release(&root->size,
		((size >> SIZE_BITS) + (1u << CHUNK_BITS)) << SIZE_BITS | bags);
}

/* --- chunks of bags --- */

static inline unsigned
chunk_log(const struct vmc_linear *index)
{
	uint64_t size = vmc_load_relaxed(&index->roots.of[0].size);

	return size >> SIZE_BITS & ((1u << CHUNK_BITS) - 1);
}

static inline size_t
chunk_size(const struct vmc_linear *index)
{
	return sizeof(bag) << chunk_log(index);
}

static inline uint32_t
chunk_of(const struct vmc_linear *index, uint32_t number)
{
	return number >> chunk_log(index);
}

static inline bool
is_first_of_chunk(const struct vmc_linear *index, uint32_t number)
{
	return chunk_of(index, number) << chunk_log(index) == number;
}

/* What a table has of a chunk, and back; NULL for 0. */
static inline uintptr_t
chunk_from(const struct vmc_linear *index, const bag *bags, uint32_t at)
{
	return (uintptr_t)bags - at * chunk_size(index) + 1;
}

static inline bag *
bags_in(const struct vmc_linear *index, uintptr_t c, uint32_t at)
{
	return c ? (bag *)(c - 1 + at * chunk_size(index)) : NULL;
}

/* Under the latch. */
static inline bag *
bag_at(const struct vmc_linear *index, unsigned stripe, uint32_t number)
{
	const struct vmc_linear_root *root = &index->roots.of[stripe];

	return vmc_linear_bag_at(vmc_load_relaxed(&root->table),
		vmc_load_relaxed(&root->size), number);
}

static inline struct vmc_linear *
linear(struct vmc_index *index)
{
	return (struct vmc_linear *)index;
}

static inline void
latch(struct vmc_linear *index, unsigned stripe)
{
	vmc_latch_acquire(&index->stripes[stripe].latch, VMC_RANK_INDEX);
}

static inline void
unlatch(struct vmc_linear *index, unsigned stripe)
{
	vmc_latch_release(&index->stripes[stripe].latch, VMC_RANK_INDEX);
}

/* The bag chained behind this one; NULL: it is the last. */
static inline bag *
chained(const bag *b)
{
	return vmc_bag_address(vmc_bag_link(b));
}

int vmc_linear_check(struct vmc_index *index);
int vmc_linear_alike(struct vmc_index *index, struct vmc_index **out);
void vmc_linear_move(struct vmc_index *index, struct vmc_index *to);
uint64_t vmc_linear_position(uint64_t hash);
size_t vmc_linear_walk(struct vmc_index *index, uint64_t *position,
	vmc_index_visit_fn *visit, void *arg);

#endif
