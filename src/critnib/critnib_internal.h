/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_internal.h -- what the index is made of, for critnib.c and its check
 *
 * Words, bags and tables are drawn in critnib_find.h.
 */
#ifndef VMC_CRITNIB_INTERNAL_H
#define VMC_CRITNIB_INTERNAL_H

#include "critnib_find.h"

#include "base/lock.h"

#include <assert.h>
#include <stdalign.h>

enum {
	STRIPES = VMC_CRITNIB_STRIPES,
	WORDS = VMC_CRITNIB_WORDS,
	LINE = 64,
};

#define SIZE_BITS VMC_CRITNIB_SIZE_BITS
#define CHUNK_BITS VMC_CRITNIB_CHUNK_BITS
#define LINK VMC_CRITNIB_LINK
#define ADDRESS_BITS VMC_CRITNIB_ADDRESS_BITS
#define MARK_SHIFT VMC_CRITNIB_MARK_SHIFT

typedef vmc_critnib_word word;
typedef struct vmc_critnib_bag bag;

static_assert(sizeof(word) == sizeof(void *), "a word holds a pointer");
static_assert(sizeof(bag) == 192, "three lines");

/* A line of its own: writers of other stripes do not disturb. */
struct stripe {
	alignas(LINE) struct vmc_latch latch;
	/* written under the latch, read without */
	_Atomic uint64_t count;
	/* under the latch: pointers that the table has room for */
	uint32_t capacity;
};

typedef vmc_critnib_chunk chunk;

struct vmc_critnib {
	struct vmc_critnib_roots roots;
	/* each stripe's table until it grows */
	alignas(LINE) chunk first[STRIPES];
	/* immutable */
	vmc_critnib_hash_fn *hash_of;
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
hash_of(const struct vmc_critnib *index, uint64_t w)
{
	return index->hash_of(vmc_critnib_address(w), index->hash_arg);
}

static inline uint32_t
bags_of(const struct vmc_critnib_root *root)
{
	return (uint32_t)vmc_load_relaxed(&root->size);
}

/* --- chunks of bags --- */

static inline unsigned
chunk_log(const struct vmc_critnib *index)
{
	uint64_t size = vmc_load_relaxed(&index->roots.of[0].size);

	return size >> SIZE_BITS & ((1u << CHUNK_BITS) - 1);
}

static inline size_t
chunk_size(const struct vmc_critnib *index)
{
	return sizeof(bag) << chunk_log(index);
}

static inline uint32_t
chunk_of(const struct vmc_critnib *index, uint32_t number)
{
	return number >> chunk_log(index);
}

static inline bool
is_first_of_chunk(const struct vmc_critnib *index, uint32_t number)
{
	return chunk_of(index, number) << chunk_log(index) == number;
}

/* What a table has of a chunk, and back; NULL for 0. */
static inline uintptr_t
chunk_from(const struct vmc_critnib *index, const bag *bags, uint32_t at)
{
	return (uintptr_t)bags - at * chunk_size(index) + 1;
}

static inline bag *
bags_in(const struct vmc_critnib *index, uintptr_t c, uint32_t at)
{
	return c ? (bag *)(c - 1 + at * chunk_size(index)) : NULL;
}

/* Under the latch. */
static inline bag *
bag_at(const struct vmc_critnib *index, unsigned stripe, uint32_t number)
{
	const struct vmc_critnib_root *root = &index->roots.of[stripe];

	return vmc_critnib_bag_at(vmc_load_relaxed(&root->table),
		vmc_load_relaxed(&root->size), number);
}

/* --- a word --- */

static inline bool
is_leaf(uint64_t w)
{
	return w != 0 && !(w & LINK);
}

static inline uint64_t
word_of(const void *leaf, uint64_t hash, uint64_t note)
{
	return (uintptr_t)leaf | note >> VMC_CRITNIB_NOTE_BITS << ADDRESS_BITS |
	       hash << MARK_SHIFT;
}

/* A bit for each word that holds a leaf. */
static inline unsigned
leaves_in(const bag *b)
{
	unsigned found = 0;

	for (unsigned i = 0; i < WORDS; i++)
		found |= (unsigned)is_leaf(vmc_load_relaxed(&b->word[i])) << i;
	return found;
}

static inline unsigned
count_bits(unsigned set)
{
	unsigned n = 0;

	for (; set; set &= set - 1)
		n++;
	return n;
}

#endif
