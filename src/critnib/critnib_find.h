/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_find.h -- the lookup, inline, and as much of the structure as it
 * follows
 *
 *   hash   | 8 bits | ... number of bits of the bag's number | 12 bits |
 *            stripe                                             mark
 *
 *   bag n of a stripe  in its table, pointer n / 4, place n % 4 of 4 bags
 *   bag, 192 bytes     16 words, then a note for each
 *   word   leaf:       mark (12) | note's top (4) | address (48), bit 0 clear
 *          link:       0 (16) | address of the next bag (48), bit 0 set;
 *                      only in the last word
 *          0:          free
 *
 * A finder that meets another leaf than it looks for knows by the mark, all
 * but one time in 4096, without touching it. So a find that succeeds waits for
 * two cache misses one after the other, the bag and the leaf, and one that
 * fails for the first of them: the tables take a byte for four leaves and stay
 * in the processor's own cache. The note comes with the bag: what it says can
 * be fetched while the leaf is.
 *
 * Which word it is is not decided by a branch that depends on what is read: a
 * wrong guess would cost more than the comparing, since the processor could
 * not go ahead to the misses of the next lookup.
 */
#ifndef VMC_CRITNIB_FIND_H
#define VMC_CRITNIB_FIND_H

#include "critnib.h"

#include "base/atomic.h"

#if defined(__SSE2__) && !defined(VMC_TSAN)
#include <emmintrin.h>
#define VMC_CRITNIB_SSE2 1
#endif

#define VMC_CRITNIB_STRIPES 256
#define VMC_CRITNIB_WORDS 16
#define VMC_CRITNIB_LINK UINT64_C(1)
#define VMC_CRITNIB_ADDRESS_BITS 48
#define VMC_CRITNIB_MARK_SHIFT 52
#define VMC_CRITNIB_NOTE_BITS 32

typedef _Atomic uint64_t vmc_critnib_word;

struct vmc_critnib_bag {
	vmc_critnib_word word[VMC_CRITNIB_WORDS];
	/* hints: one may be another leaf's than the word's */
	_Atomic uint32_t note[VMC_CRITNIB_WORDS];
};

#define VMC_CRITNIB_CHUNK 4u

/* Where the bags of a stripe are. Written under the stripe's latch. */
struct vmc_critnib_root {
	/*
	 * Low half: the number of bags, at least 1; high half: how often that
	 * number has changed, so that a finder sees that it has.
	 */
	_Atomic uint64_t size;
	struct vmc_critnib_bag *_Atomic *_Atomic table;
};

/*
 * The first member of struct vmc_critnib. Apart from the latches, so that
 * readers' lines stay clean.
 */
struct vmc_critnib_roots {
	struct vmc_critnib_root of[VMC_CRITNIB_STRIPES];
};

static inline void *
vmc_critnib_address(uint64_t word)
{
	return (void *)(uintptr_t)(word << 16 >> 16 & ~VMC_CRITNIB_LINK);
}

/*
 * The number of the bag for a hash among so many (at least 1): linear hashing,
 * see critnib.c.
 */
static inline uint32_t
vmc_critnib_bag_number(uint32_t bags, uint64_t hash)
{
	uint32_t half = UINT32_C(1) << (31 - __builtin_clz(bags));
	uint32_t number = (uint32_t)(hash >> 12) & (2 * half - 1);

	return number - (number >= bags ? half : 0);
}

/* Bag so-and-so of a table; NULL: its chunk is not there. */
static inline struct vmc_critnib_bag *
vmc_critnib_bag_at(struct vmc_critnib_bag *_Atomic *table, uint32_t number)
{
	struct vmc_critnib_bag *chunk =
		vmc_load_acquire(&table[number / VMC_CRITNIB_CHUNK]);

	return chunk ? chunk + number % VMC_CRITNIB_CHUNK : NULL;
}

/*
 * The first bag for that hash, and the size that says so; NULL: none yet. A
 * table that is too small for the size is never used: a larger one is stored
 * before the size that needs it, and a smaller one after a smaller size, which
 * is seen then.
 */
static inline struct vmc_critnib_bag *
vmc_critnib_first_bag(struct vmc_critnib *index, uint64_t hash, uint64_t *size)
{
	struct vmc_critnib_root *root =
		&((struct vmc_critnib_roots *)index)->of[hash >> 56];
	struct vmc_critnib_bag *_Atomic *table;

	do {
		*size = vmc_load_acquire(&root->size);
		table = vmc_load_acquire(&root->table);
	} while (__builtin_expect(vmc_load_acquire(&root->size) != *size, 0));
	return vmc_critnib_bag_at(
		table, vmc_critnib_bag_number((uint32_t)*size, hash));
}

/* A bit for each word that has the mark of the hash, or had it just now. */
static inline unsigned
vmc_critnib_candidates(const struct vmc_critnib_bag *bag, uint64_t hash)
{
#ifdef VMC_CRITNIB_SSE2
	/*
	 * Eight bytes of an aligned vector are read in one piece on every
	 * processor that has these instructions. What is found this way is
	 * only where to look: the word is loaded again, with its order.
	 */
	const __m128i *pair = (const void *)bag->word;
	__m128i mark = _mm_set1_epi16((short)(hash & 0xfff));
	__m128i eight[2];

	for (unsigned i = 0; i < 2; i++, pair += 4) {
		__m128 a = _mm_shuffle_ps(_mm_castsi128_ps(pair[0]),
			_mm_castsi128_ps(pair[1]), 0xdd);
		__m128 b = _mm_shuffle_ps(_mm_castsi128_ps(pair[2]),
			_mm_castsi128_ps(pair[3]), 0xdd);
		eight[i] =
			_mm_packs_epi32(_mm_srli_epi32(_mm_castps_si128(a), 20),
				_mm_srli_epi32(_mm_castps_si128(b), 20));
		eight[i] = _mm_cmpeq_epi16(eight[i], mark);
	}
	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(eight[0], eight[1]));
#else
	unsigned found = 0;

	for (unsigned i = 0; i < VMC_CRITNIB_WORDS; i++) {
		uint64_t word = vmc_load_relaxed(&bag->word[i]);
		found |= (unsigned)(word >> VMC_CRITNIB_MARK_SHIFT ==
				    (hash & 0xfff))
			 << i;
	}
	return found;
#endif
}

/* The bag chained behind this one; NULL: it is the last. */
static inline struct vmc_critnib_bag *
vmc_critnib_next(const struct vmc_critnib_bag *bag)
{
	uint64_t word = vmc_load_acquire(&bag->word[VMC_CRITNIB_WORDS - 1]);

	return word & VMC_CRITNIB_LINK ? vmc_critnib_address(word) : NULL;
}

/* A leaf that may be the one, not touched so far, and where to go on from. */
struct vmc_critnib_candidate {
	void *leaf; /* NULL: there is none */
	uint64_t note;
	uint64_t size;
	const struct vmc_critnib_bag *bag;
	unsigned more;
};

/* The next candidate of the bag and those behind it. */
static inline __attribute__((always_inline)) bool
vmc_critnib_next_in_bags(struct vmc_critnib_candidate *c, uint64_t hash)
{
	while (c->bag) {
		for (; c->more; c->more &= c->more - 1) {
			unsigned i = (unsigned)__builtin_ctz(c->more);
			uint64_t word = vmc_load_acquire(&c->bag->word[i]);

			c->leaf = vmc_critnib_address(word);
			if (!c->leaf || word & VMC_CRITNIB_LINK)
				continue;
			uint64_t top = word >> VMC_CRITNIB_ADDRESS_BITS & 15;
			c->note = vmc_load_relaxed(&c->bag->note[i]) |
				  top << VMC_CRITNIB_NOTE_BITS;
			c->more &= c->more - 1;
			return true;
		}
		c->bag = vmc_critnib_next(c->bag);
		if (c->bag)
			c->more = vmc_critnib_candidates(c->bag, hash);
	}
	c->leaf = NULL;
	return false;
}

/*
 * On from the candidate to the next. Where there is none, but bags were split
 * or joined meanwhile, the leaf may have been on its way from one bag to
 * another: once more, from the start.
 */
static inline __attribute__((always_inline)) void
vmc_critnib_go_on(struct vmc_critnib_candidate *c, struct vmc_critnib *index,
	uint64_t hash)
{
	while (!vmc_critnib_next_in_bags(c, hash)) {
		struct vmc_critnib_root *root =
			&((struct vmc_critnib_roots *)index)->of[hash >> 56];

		/* what was read of the bags was read before this */
		vmc_fence_acquire();
		if (vmc_load_acquire(&root->size) == c->size)
			return;
		c->bag = vmc_critnib_first_bag(index, hash, &c->size);
		if (c->bag)
			c->more = vmc_critnib_candidates(c->bag, hash);
	}
}

static inline __attribute__((always_inline)) struct vmc_critnib_candidate
vmc_critnib_first(struct vmc_critnib *index, uint64_t hash, bool notes)
{
	struct vmc_critnib_candidate c = {0};

	c.bag = vmc_critnib_first_bag(index, hash, &c.size);
	if (c.bag) {
		if (notes)
			__builtin_prefetch(c.bag->note);
		c.more = vmc_critnib_candidates(c.bag, hash);
	}
	vmc_critnib_go_on(&c, index, hash);
	return c;
}

/*
 * For each leaf c.leaf that is probably of that hash: every leaf of that hash
 * that is in the index during the whole of the walk is met, and one in 4096 of
 * others in the same bag. notes: c.note will be wanted. Lock-free; within an
 * epoch.
 */
#define VMC_CRITNIB_FOR_EACH(c, index, hash, notes)                            \
	for (struct vmc_critnib_candidate c =                                  \
			vmc_critnib_first((index), (hash), (notes));           \
		c.leaf; vmc_critnib_go_on(&c, (index), (hash)))

/* The leaf met there for which match says true, else NULL. */
static inline __attribute__((always_inline)) void *
vmc_critnib_find(struct vmc_critnib *index, uint64_t hash,
	vmc_critnib_match_fn *match, const void *key)
{
	VMC_CRITNIB_FOR_EACH(c, index, hash, false)
	if (match(c.leaf, key))
		return c.leaf;
	return NULL;
}

/*
 * Bring what a later find, insertion or removal of that hash will read into
 * the cache. Within an epoch.
 */
static inline void
vmc_critnib_prefetch(struct vmc_critnib *index, uint64_t hash)
{
	uint64_t size;
	const char *bag =
		(const char *)vmc_critnib_first_bag(index, hash, &size);

	if (!bag)
		return;
	__builtin_prefetch(bag);
	__builtin_prefetch(bag + 64);
	__builtin_prefetch(bag + 128);
}

#endif
