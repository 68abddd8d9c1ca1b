/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_find.h -- the lookup, inline, and as much of the structure as it
 * follows
 *
 *   hash   | 8 bits | ... number of bits of the bag's number | 12 bits |
 *            stripe                                             mark
 *
 *   bag n of a stripe  in one of the chunks that its table leads to
 *   bag, 192 bytes     16 words, then a note for each
 *   word   leaf:       mark (12) | note's top (4) | address (48), bit 0 clear
 *          link:       0 (16) | address of the next bag (48), bit 0 set;
 *                      only in the last word
 *          0:          free
 *
 * A finder that meets another leaf than it looks for knows by the mark, all
 * but one time in 4096, without touching it. So a find that succeeds waits for
 * two cache misses one after the other, the bag and the leaf, and one that
 * fails for the first of them: the tables are so small that they stay in the
 * processor's own cache. The note comes with the bag: what it says can be
 * fetched while the leaf is.
 *
 * Which word it is is not decided by a branch that depends on what is read: a
 * wrong guess would cost more than the comparing, since the processor could
 * not go ahead to the misses of the next lookup. How far it goes ahead is a
 * question of how few instructions there are: hence only what is usual is
 * inline.
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
#define VMC_CRITNIB_SIZE_BITS 32
#define VMC_CRITNIB_CHUNK_BITS 5

typedef _Atomic uint64_t vmc_critnib_word;

struct vmc_critnib_bag {
	vmc_critnib_word word[VMC_CRITNIB_WORDS];
	/* hints: one may be another leaf's than the word's */
	_Atomic uint32_t note[VMC_CRITNIB_WORDS];
};

/*
 * What a table has of a chunk: the address where bag 0 would be, if the bags
 * before the chunk stood before it, and 1 more. 0: it is not there.
 */
typedef _Atomic uintptr_t vmc_critnib_chunk;

/* Where the bags of a stripe are. Written under the stripe's latch. */
struct vmc_critnib_root {
	/*
	 * 32 bits: the number of bags, at least 1. 5 bits: the power of two of
	 * the bags in a chunk, which never changes. 27 bits: how often the
	 * number has changed, so that a finder sees that it has.
	 */
	_Atomic uint64_t size;
	vmc_critnib_chunk *_Atomic table;
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
	/* ^ for -, as gcc makes one instruction of it then */
	uint32_t mask = (UINT32_C(2) << (31 ^ __builtin_clz(bags))) - 1;
	uint32_t number = (uint32_t)(hash >> 12) & mask;

	return number & (mask >> (number >= bags));
}

/* Bag so-and-so of a table; NULL: its chunk is not there. */
static inline struct vmc_critnib_bag *
vmc_critnib_bag_at(vmc_critnib_chunk *table, uint64_t size, uint32_t number)
{
	uint32_t at = number >> (size >> VMC_CRITNIB_SIZE_BITS & 31);
	uintptr_t chunk = vmc_load_acquire(&table[at]);
	uintptr_t offset = number * sizeof(struct vmc_critnib_bag);

	return chunk ? (struct vmc_critnib_bag *)(chunk - 1 + offset) : NULL;
}

/*
 * The first bag for that hash, and the size that says so; NULL: none yet. A
 * table that is too small for the size is never used: a larger one is stored
 * before the size that needs it, and a smaller one after a smaller size, which
 * is seen then.
 */
static inline struct vmc_critnib_spot
vmc_critnib_spot_of(struct vmc_critnib *index, uint64_t hash)
{
	struct vmc_critnib_root *root =
		&((struct vmc_critnib_roots *)index)->of[hash >> 56];
	vmc_critnib_chunk *table;
	uint64_t size;

	do {
		size = vmc_load_acquire(&root->size);
		table = vmc_load_acquire(&root->table);
	} while (__builtin_expect(vmc_load_acquire(&root->size) != size, 0));
	uint32_t number = vmc_critnib_bag_number((uint32_t)size, hash);
	return (struct vmc_critnib_spot){
		vmc_critnib_bag_at(table, size, number), size};
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
	void *leaf;        /* NULL: there is none */
	uint64_t note;     /* its low part */
	uint64_t note_top; /* the rest */
	uint64_t size;
	const struct vmc_critnib_bag *bag;
	unsigned from; /* a bit for its word, and for those still to be seen */
};

/* Are the bags of that hash as they were when there were `size`? */
static inline bool
vmc_critnib_unchanged(
	const struct vmc_critnib *index, uint64_t hash, uint64_t size)
{
	const struct vmc_critnib_roots *roots = (const void *)index;

	/* what was read of the bags was read before this */
	vmc_fence_acquire();
	return vmc_load_acquire(&roots->of[hash >> 56].size) == size;
}

/* The first of the words that are set in `more`; false: it is no leaf. */
static inline __attribute__((always_inline)) bool
vmc_critnib_take(struct vmc_critnib_candidate *c,
	const struct vmc_critnib_bag *bag, unsigned more, uint64_t size)
{
	unsigned i = (unsigned)__builtin_ctz(more);
	uint64_t word = vmc_load_acquire(&bag->word[i]);

	c->leaf = vmc_critnib_address(word);
	c->note = vmc_load_relaxed(&bag->note[i]);
	c->note_top = word >> VMC_CRITNIB_ADDRESS_BITS & 15;
	c->size = size;
	c->bag = bag;
	c->from = more;
	return c->leaf && !(word & VMC_CRITNIB_LINK);
}

/*
 * The next candidate among the words that are set in `more`, and in the bags
 * behind this one. Where there is none, but bags were split or joined since
 * there were `size`, the leaf may have been on its way from one bag to another:
 * once more, from the start.
 */
struct vmc_critnib_candidate vmc_critnib_go_on(struct vmc_critnib *index,
	uint64_t hash, const struct vmc_critnib_bag *bag, unsigned more,
	uint64_t size);

static inline __attribute__((always_inline)) struct vmc_critnib_candidate
vmc_critnib_first(struct vmc_critnib *index, uint64_t hash,
	struct vmc_critnib_spot spot, bool notes)
{
	const struct vmc_critnib_bag *bag = spot.bag;
	uint64_t size = spot.size;
	struct vmc_critnib_candidate c;
	unsigned more = 0;

	if (__builtin_expect(bag != NULL, 1)) {
		if (notes)
			__builtin_prefetch(bag->note);
		more = vmc_critnib_candidates(bag, hash);
		if (more && vmc_critnib_take(&c, bag, more, size))
			return c;
		if (!more && !vmc_critnib_next(bag) &&
			vmc_critnib_unchanged(index, hash, size))
			return (struct vmc_critnib_candidate){0};
	}
	return vmc_critnib_go_on(index, hash, bag, more, size);
}

/*
 * For each leaf c.leaf that is probably of that hash: every leaf of that hash
 * that is in the index during the whole of the walk is met, and one in 4096 of
 * others in the same bag. notes: c.note will be wanted. Lock-free; within an
 * epoch, of which the spot must be (see vmc_critnib_refresh).
 */
#define VMC_CRITNIB_FOR_EACH_FROM(c, index, hash, spot, notes)                 \
	for (struct vmc_critnib_candidate c =                                  \
			vmc_critnib_first((index), (hash), (spot), (notes));   \
		c.leaf; c = vmc_critnib_go_on((index), (hash), c.bag,          \
				c.from & (c.from - 1), c.size))

#define VMC_CRITNIB_FOR_EACH(c, index, hash, notes)                            \
	VMC_CRITNIB_FOR_EACH_FROM(c, (index), (hash),                          \
		vmc_critnib_spot_of((index), (hash)), (notes))

/* The leaf met there for which match says true, else NULL. */
static inline __attribute__((always_inline)) void *
vmc_critnib_find_from(struct vmc_critnib *index, uint64_t hash,
	struct vmc_critnib_spot spot, vmc_critnib_match_fn *match,
	const void *key)
{
	VMC_CRITNIB_FOR_EACH_FROM(c, index, hash, spot, false)
	if (match(c.leaf, key))
		return c.leaf;
	return NULL;
}

static inline __attribute__((always_inline)) void *
vmc_critnib_find(struct vmc_critnib *index, uint64_t hash,
	vmc_critnib_match_fn *match, const void *key)
{
	return vmc_critnib_find_from(
		index, hash, vmc_critnib_spot_of(index, hash), match, key);
}

/*
 * Bring what a later find, insertion or removal of that hash will read into
 * the cache. Within an epoch.
 */
static inline __attribute__((always_inline)) struct vmc_critnib_spot
vmc_critnib_prefetch(struct vmc_critnib *index, uint64_t hash)
{
	struct vmc_critnib_spot spot = vmc_critnib_spot_of(index, hash);

	if (spot.bag) {
		__builtin_prefetch(&spot.bag->word[0]);
		__builtin_prefetch(&spot.bag->word[VMC_CRITNIB_WORDS / 2]);
		__builtin_prefetch(&spot.bag->note[0]);
	}
	return spot;
}

/*
 * A spot found before, for use in this epoch or under the latch: the same, or
 * where the hash leads now if the size has changed, or there was no bag. No bag
 * is retired to which the size led that is the current one then: so if the size
 * is the same, the bag is there until the epoch or the latch ends.
 */
static inline struct vmc_critnib_spot
vmc_critnib_refresh(
	struct vmc_critnib *index, uint64_t hash, struct vmc_critnib_spot spot)
{
	const struct vmc_critnib_roots *roots = (const void *)index;

	uint64_t size = vmc_load_acquire(&roots->of[hash >> 56].size);

	if (__builtin_expect(spot.bag && spot.size == size, 1))
		return spot;
	return vmc_critnib_spot_of(index, hash);
}

#endif
