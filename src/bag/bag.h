/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bag.h -- bags of leaves, of which both indexes are made, and what a caller
 * of either sees (src/index.h)
 *
 * Leaves are opaque pointers below 2^48, at least 16-byte aligned. With each
 * goes a note of 35 bits, which a find can tell before it has read the leaf.
 *
 *   bag, 192 bytes     16 words, then a note for each
 *   word   leaf:       mark (12) | own (1) | note's top (3) | address (44) |
 *                      own (3) | 0
 *          link:       0 (16) | address of what comes behind (44) | 0 (2) |
 *                      node (1) | 1; only in the last word
 *          0:          free
 *
 * The mark is the low 12 bits of the leaf's hash; the bits "own" belong to the
 * index. A leaf of another key is recognised by its mark without being read,
 * except one time in 4096. So a find that succeeds waits for two CPU cache
 * misses one after the other, the bag and the leaf; a find that fails waits for
 * the first. The note comes with the bag: what it names can be prefetched while
 * the leaf is loaded.
 *
 * All 16 words are compared without a branch. A mispredicted branch costs more
 * than the 16 comparisons: it keeps the processor from starting the loads of
 * the next lookup. The processor goes the further ahead the fewer instructions
 * there are, so only the common case is inline.
 */
#ifndef VMC_BAG_H
#define VMC_BAG_H

#include "base/atomic.h"
#include "base/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__) && !defined(VMC_TSAN)
#include <emmintrin.h>
#define VMC_BAG_SSE2 1
#endif

#define VMC_BAG_WORDS 16
#define VMC_BAG_LINK UINT64_C(1)
#define VMC_BAG_NODE UINT64_C(2)
#define VMC_BAG_ADDRESS_BITS 48
#define VMC_BAG_ADDRESS UINT64_C(0x0000fffffffffff0)
#define VMC_BAG_MARK_SHIFT 52
#define VMC_BAG_NOTE_BITS 32
#define VMC_BAG_NOTE_TOP 7u

#define VMC_INDEX_NOTE_MAX ((UINT64_C(1) << 35) - 1)

typedef _Atomic uint64_t vmc_bag_word;

struct vmc_bag {
	vmc_bag_word word[VMC_BAG_WORDS];
	/* hints: one may be another leaf's than the word's */
	_Atomic uint32_t note[VMC_BAG_WORDS];
};

static_assert(sizeof(struct vmc_bag) == 192, "three lines");

static inline void *
vmc_bag_address(uint64_t word)
{
	return (void *)(uintptr_t)(word & VMC_BAG_ADDRESS);
}

static inline bool
vmc_bag_is_leaf(uint64_t word)
{
	return word != 0 && !(word & VMC_BAG_LINK);
}

static inline uint64_t
vmc_bag_word_of(const void *leaf, uint64_t hash, uint64_t note)
{
	return (uintptr_t)leaf |
	       note >> VMC_BAG_NOTE_BITS << VMC_BAG_ADDRESS_BITS |
	       hash << VMC_BAG_MARK_SHIFT;
}

/* A bit for each word that has the mark of the hash, or had it just now. */
static inline unsigned
vmc_bag_candidates(const struct vmc_bag *bag, uint64_t hash)
{
#ifdef VMC_BAG_SSE2
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

	for (unsigned i = 0; i < VMC_BAG_WORDS; i++) {
		uint64_t word = vmc_load_relaxed(&bag->word[i]);
		found |=
			(unsigned)(word >> VMC_BAG_MARK_SHIFT == (hash & 0xfff))
			<< i;
	}
	return found;
#endif
}

/* The link to what comes behind this bag; 0: it is the last. */
static inline uint64_t
vmc_bag_link(const struct vmc_bag *bag)
{
	uint64_t word = vmc_load_acquire(&bag->word[VMC_BAG_WORDS - 1]);

	return word & VMC_BAG_LINK ? word : 0;
}

/* Bring what a find, an insertion or a removal will read into the cache. */
static inline __attribute__((always_inline)) void
vmc_bag_prefetch(const struct vmc_bag *bag)
{
	__builtin_prefetch(&bag->word[0]);
	__builtin_prefetch(&bag->word[VMC_BAG_WORDS / 2]);
	__builtin_prefetch(&bag->note[0]);
}

/* --- what writers do to a bag, under the latch that it belongs to --- */

static inline void
vmc_bag_put(struct vmc_bag *bag, unsigned i, uint64_t word, uint32_t note)
{
	vmc_store_relaxed(&bag->note[i], note);
	/* pairs with the acquire load in find */
	vmc_store_release(&bag->word[i], word);
}

/* A bit for each word that holds a leaf. */
static inline unsigned
vmc_bag_leaves(const struct vmc_bag *bag)
{
	unsigned found = 0;

	for (unsigned i = 0; i < VMC_BAG_WORDS; i++)
		found |= (unsigned)vmc_bag_is_leaf(
				 vmc_load_relaxed(&bag->word[i]))
			 << i;
	return found;
}

/* The first free word; VMC_BAG_WORDS: there is none. */
static inline unsigned
vmc_bag_free_word(const struct vmc_bag *bag)
{
	/* a free word has the mark 0 (and a leaf in 4096) */
	unsigned free = vmc_bag_candidates(bag, 0);

	for (; free; free &= free - 1) {
		unsigned i = (unsigned)__builtin_ctz(free);
		if (vmc_load_relaxed(&bag->word[i]) == 0)
			return i;
	}
	return VMC_BAG_WORDS;
}

/* The word in which this leaf is; VMC_BAG_WORDS: in none of this bag. */
static inline unsigned
vmc_bag_word_with(const struct vmc_bag *bag, uint64_t hash, const void *leaf)
{
	unsigned found = vmc_bag_candidates(bag, hash);

	for (; found; found &= found - 1) {
		unsigned i = (unsigned)__builtin_ctz(found);
		uint64_t word = vmc_load_relaxed(&bag->word[i]);
		if (vmc_bag_is_leaf(word) && vmc_bag_address(word) == leaf)
			return i;
	}
	return VMC_BAG_WORDS;
}

/* Fetch the leaves whose hashes are wanted, all at once. */
static inline __attribute__((always_inline)) void
vmc_bag_prefetch_leaves(const struct vmc_bag *bag)
{
	for (unsigned i = 0; i < VMC_BAG_WORDS; i++)
		__builtin_prefetch(
			vmc_bag_address(vmc_load_relaxed(&bag->word[i])));
}

/* --- what both indexes have in common for their callers --- */

struct vmc_index;

/* The hash of a leaf in the index; must not change while it is there. */
typedef uint64_t vmc_index_hash_fn(const void *leaf, const void *arg);
/* Is this leaf the one that is looked for? */
typedef bool vmc_index_match_fn(const void *leaf, const void *key);
/* A leaf that a walk has met. */
typedef void vmc_index_visit_fn(void *leaf, void *arg);

/* Where a hash leads: its first bag, NULL if there is none yet. */
struct vmc_index_spot {
	struct vmc_bag *bag;
	uint64_t seen; /* what said so: the index's own */
	/* where that was; what was in the bag is there while it is the same */
	const _Atomic uint64_t *source;
};

/* Are the bags of that spot's hash as they were when it was found? */
static inline bool
vmc_index_unchanged(const struct vmc_index_spot *spot)
{
	/* what was read of the bags was read before this */
	vmc_fence_acquire();
	return vmc_load_acquire(spot->source) == spot->seen;
}

/* A free place for a leaf, in an index that is latched for it. */
struct vmc_index_place {
	struct vmc_bag *in;
	unsigned i;
	uint64_t own; /* bits of its word */
};

/* A leaf that may be the one, not touched so far, and where to go on from. */
struct vmc_index_candidate {
	void *leaf;        /* NULL: there is none */
	uint64_t note;     /* its low part */
	uint64_t note_top; /* the rest */
	uint64_t seen;     /* of the spot */
	const struct vmc_bag *bag;
	unsigned from; /* a bit for its word, and for those still to be seen */
};

/* The first of the words that are set in `more`; false: it is no leaf. */
static inline __attribute__((always_inline)) bool
vmc_bag_take(struct vmc_index_candidate *c, const struct vmc_bag *bag,
	unsigned more, uint64_t seen)
{
	unsigned i = (unsigned)__builtin_ctz(more);
	uint64_t word = vmc_load_acquire(&bag->word[i]);

	c->leaf = vmc_bag_address(word);
	c->note = vmc_load_relaxed(&bag->note[i]);
	c->note_top = word >> VMC_BAG_ADDRESS_BITS & VMC_BAG_NOTE_TOP;
	c->seen = seen;
	c->bag = bag;
	c->from = more;
	return c->leaf && !(word & VMC_BAG_LINK);
}

/*
 * Under the latch, of one bag: the leaf of that hash for which match says true,
 * and in which word, else NULL. (match is asked about leaves of other hashes
 * too.)
 */
static inline __attribute__((always_inline)) void *
vmc_bag_find(const struct vmc_bag *bag, uint64_t hash,
	vmc_index_match_fn *match, const void *key, unsigned *i)
{
	struct vmc_index_candidate c;
	unsigned more = vmc_bag_candidates(bag, hash);

	for (; more; more &= more - 1) {
		*i = (unsigned)__builtin_ctz(more);
		if (vmc_bag_take(&c, bag, more, 0) && match(c.leaf, key))
			return c.leaf;
	}
	return NULL;
}

/* What differs between the indexes beyond where a hash leads: see index.h. */
struct vmc_index_ops {
	void (*destroy)(struct vmc_index *, vmc_index_visit_fn *, void *arg);
	struct vmc_index_candidate (*go_on)(struct vmc_index *, uint64_t hash,
		const struct vmc_bag *, unsigned more, uint64_t seen);
	void (*prefetch_latch)(struct vmc_index *, uint64_t hash);
	int (*begin)(struct vmc_index *, uint64_t hash, struct vmc_index_spot,
		vmc_index_match_fn *, const void *key,
		struct vmc_index_place *);
	void (*publish)(struct vmc_index *, uint64_t hash, void *leaf,
		uint64_t note, const struct vmc_index_place *);
	void *(*begin_exchange)(struct vmc_index *, uint64_t hash,
		vmc_index_match_fn *, const void *key,
		struct vmc_index_place *);
	void (*cancel_exchange)(struct vmc_index *, uint64_t hash);
	int (*remove)(struct vmc_index *, uint64_t hash, const void *leaf);
	int (*alike)(struct vmc_index *, struct vmc_index **out);
	void (*move)(struct vmc_index *, struct vmc_index *to);
	size_t (*walk)(struct vmc_index *, uint64_t *position,
		vmc_index_visit_fn *, void *arg);
	uint64_t (*position)(uint64_t hash);
	uint64_t (*count)(struct vmc_index *);
	int (*check)(struct vmc_index *);
	void (*renew_latches)(struct vmc_index *);
};

/* The first member of either index; immutable. */
struct vmc_index {
	const struct vmc_index_ops *ops;
	/* where a hash leads is computed from sizes, which may have changed */
	bool computed;
	_Atomic uint64_t constant; /* 0: the source of spots that are not */
};

#endif
