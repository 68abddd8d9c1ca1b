/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib.c -- tries over the bits of a hash, flattened, with bags for leaves
 *
 * The layout is drawn in critnib_find.h, with the lookup. The top eight bits of
 * a hash choose a stripe, the next ones a slot of its directory, which leads
 * to a bag of up to 16 leaves. A bag of depth d has all leaves of its stripe
 * whose next d bits are the same; in a directory of depth D that takes
 * 2^(D-d) slots side by side.
 *
 *   bag full        it is split in two by the next bit
 *   d == D then     the directory is doubled, if it is small for its leaves
 *   no split then   another bag is chained behind (also for equal hashes)
 *   bag near empty  it takes in the leaves of the bag beside it, if these are
 *                   few and it has the same depth
 *   stripe empty    back to the one slot it began with
 *
 * This is extendible hashing (Fagin, Nievergelt, Pippenger, Strong 1979), a
 * trie whose inner nodes are an array. What it began as, a crit-nibble trie
 * with one leaf a word, took 5 bytes a leaf less (11 to 14; this is 15 to 20)
 * but one or two cache misses more, each after the other; a branch at each
 * node that the processor guessed wrong, and with it lost the next lookup's
 * misses, which it had begun; and an allocation and a retirement for most
 * insertions and removals.
 *
 * Writers lock their stripe. Readers run with them and with each other, and
 * find every leaf that is there during all of the find:
 * - a leaf is stored into a free word by release, which pairs with find's
 *   acquire of the word; no other leaf is touched. A removed leaf's word is
 *   stored free;
 * - a split fills new bags first and stores the slots then (release, acquire).
 *   The old bag is retired as it is: who stands in it finds what was there;
 * - a merge copies the leaves of one bag into free words of the other before
 *   it stores the slots. The bag that was emptied is retired as it was;
 * - a chained bag gets the leaf in the last word of the one before it, which
 *   then becomes the link: a reader finds that leaf in the one place or,
 *   having met the link, in the other. A chained bag leaves when it is empty;
 *   no leaf moves back;
 * - a directory of twice the size leads to the same bags; the old one is
 *   retired. The first one is a part of the index and overwritten only when
 *   its stripe is empty: until then, who read its address before it was left
 *   finds in it what was there.
 * A leaf that is removed meanwhile may be found too, even after the removal
 * returned, by a reader in something retired: whoever removes a leaf retires
 * it, and whoever finds one asks it whether it still counts.
 *
 * All of this but chaining is best effort: without memory the next insertion
 * tries again. Removing needs none.
 */
#include "critnib_internal.h"

#include <errno.h>
#include <string.h>

/*
 * Leaves per slot from which a directory is doubled rather than a bag chained
 * to one whose depth is that of the directory: at 8 leaves a slot, one slot in
 * 250 has more than 16.
 */
#define GROW_AT 8
/* A prefix of 8 + 40 bits leaves the mark its own 12, and is never met. */
#define DEPTH_MAX 40

/*
 * A bag with so few leaves looks at its neighbour, and takes in its leaves if
 * both have no more than so many together.
 */
#define MERGE_FROM 4
#define MERGE_UP_TO 10

/* An allocation is aligned to 16; the index moves up in it to a line. */
#define ALLOCATION_SIZE (sizeof(struct vmc_critnib) + LINE - 16)

/* NULL: no memory, or none that a word can hold (which no system gives
 * unless asked for it). */
static void *
allocate(const struct vmc_critnib *index, size_t size)
{
	void *p = vmc_alloc(&index->memory, size);

	if ((uintptr_t)p >> ADDRESS_BITS) {
		vmc_free(&index->memory, p, size);
		return NULL;
	}
	return p ? memset(p, 0, size) : NULL;
}

static void
put_into(bag *b, unsigned i, uint64_t leaf, uint32_t note)
{
	vmc_store_relaxed(&b->note[i], note);
	/* pairs with the acquire load in find */
	vmc_store_release(&b->word[i], leaf);
}

/* Chain an empty bag behind the last one, which is full. NULL: no memory. */
static bag *
chain(const struct vmc_critnib *index, bag *last)
{
	bag *next = allocate(index, sizeof(*next));

	if (!next)
		return NULL;
	unsigned end = WORDS - 1;
	put_into(next, 0, vmc_load_relaxed(&last->word[end]),
		vmc_load_relaxed(&last->note[end]));
	vmc_store_release(&last->word[end], (uintptr_t)next | LINK);
	return next;
}

static void
bag_free(const struct vmc_critnib *index, bag *b)
{
	vmc_free(&index->memory, b, sizeof(*b));
}

static void
bag_retire(const struct vmc_critnib *index, bag *b)
{
	vmc_retire(&index->memory, b, sizeof(*b));
}

/* Free or retire a bag and those chained to it. */
static void
dispose(const struct vmc_critnib *index, bag *b,
	void (*how)(const struct vmc_critnib *index, bag *b))
{
	while (b) {
		bag *next = vmc_critnib_next(b);
		how(index, b);
		b = next;
	}
}

/* The slots around this one that lead to the same bag. */
static void
set_slots(uint64_t root, size_t i, uint64_t slot)
{
	size_t span = slot_span(root, slot);
	word *first = root_slots(root) + (i & ~(span - 1));

	for (size_t s = 0; s < span; s++)
		vmc_store_release(first + s, slot);
}

/* One half of a bag that is split, under construction. */
struct half {
	bag *first;
	bag *last;
	unsigned used; /* words of the last one */
};

static bool
add_to(const struct vmc_critnib *index, struct half *half, uint64_t leaf,
	uint32_t note)
{
	if (!half->first) {
		half->first = half->last = allocate(index, sizeof(bag));
		half->used = 0;
	} else if (half->used == WORDS) {
		bag *next = chain(index, half->last);
		if (!next)
			return false;
		half->last = next;
		half->used = 1;
	}
	if (!half->first)
		return false;
	put_into(half->last, half->used++, leaf, note);
	return true;
}

/* Fetch the leaves whose hashes are wanted, all at once. */
static void
prefetch_leaves(const bag *b)
{
	for (unsigned i = 0; i < WORDS; i++)
		__builtin_prefetch(
			vmc_critnib_address(vmc_load_relaxed(&b->word[i])));
}

/* Split the bag in slot i, and what is chained to it. False: no memory. */
static bool
split(const struct vmc_critnib *index, uint64_t root, size_t i)
{
	uint64_t old = vmc_load_relaxed(root_slots(root) + i);
	unsigned depth = slot_depth(old);
	struct half halves[2] = {{0}};

	for (bag *b = vmc_critnib_address(old); b; b = vmc_critnib_next(b)) {
		prefetch_leaves(b);
		for (unsigned m = leaves_in(b); m; m &= m - 1) {
			unsigned at = (unsigned)__builtin_ctz(m);
			uint64_t w = vmc_load_relaxed(&b->word[at]);
			uint64_t side = hash_of(index, w) >> (55 - depth) & 1;

			if (add_to(index, &halves[side], w,
				    vmc_load_relaxed(&b->note[at])))
				continue;
			dispose(index, halves[0].first, bag_free);
			dispose(index, halves[1].first, bag_free);
			return false;
		}
	}
	size_t half_span = slot_span(root, old) / 2;
	set_slots(root, i & ~half_span, slot_of(halves[0].first, depth + 1));
	set_slots(root, i | half_span, slot_of(halves[1].first, depth + 1));
	dispose(index, vmc_critnib_address(old), bag_retire);
	return true;
}

/* Replace a stripe's directory by one of twice the slots. */
static bool
grow(const struct vmc_critnib *index, word *root_link)
{
	uint64_t old = vmc_load_relaxed(root_link);
	unsigned depth = root_depth(old);
	word *from = root_slots(old);
	word *to = depth == DEPTH_MAX
			   ? NULL
			   : allocate(index, 2 * root_count(old) * sizeof(*to));

	if (!to)
		return false;
	for (size_t i = 0; i < root_count(old); i++) {
		uint64_t slot = vmc_load_relaxed(&from[i]);
		vmc_store_relaxed(&to[2 * i], slot);
		vmc_store_relaxed(&to[2 * i + 1], slot);
	}
	vmc_store_release(root_link, root_of(to, depth + 1));
	if (depth > 0)
		vmc_retire(
			&index->memory, from, root_count(old) * sizeof(*from));
	return true;
}

/* A free word in the bags; else where to go on from. */
struct place {
	bag *in;    /* the bag with the free word, or the last one */
	unsigned i; /* WORDS: there is none */
};

static struct place
find_place(bag *b)
{
	for (;;) {
		unsigned taken = leaves_in(b);
		bag *next = vmc_critnib_next(b);

		if (next)
			taken |= 1u << (WORDS - 1);
		if (taken != (1u << WORDS) - 1)
			return (struct place){
				b, (unsigned)__builtin_ctz(~taken)};
		if (!next)
			return (struct place){b, WORDS};
		b = next;
	}
}

/* A free word for that hash. False: no memory. */
static bool
make_place(struct vmc_critnib *index, uint64_t hash, struct place *place)
{
	word *root_link = &index->roots.of[stripe_of(hash)];
	uint64_t count = vmc_load_relaxed(&index->stripes[hash >> 56].count);

	for (;;) {
		uint64_t root = vmc_load_relaxed(root_link);
		size_t i = (size_t)(vmc_critnib_slot(root, hash) -
				    root_slots(root));
		uint64_t slot = vmc_load_relaxed(root_slots(root) + i);
		bag *b = vmc_critnib_address(slot);

		if (!b) {
			b = allocate(index, sizeof(*b));
			if (!b)
				return false;
			set_slots(root, i, slot_of(b, slot_depth(slot)));
		}
		*place = find_place(b);
		if (place->i < WORDS)
			return true;
		if (slot_depth(slot) == root_depth(root) &&
			count > GROW_AT * root_count(root) &&
			grow(index, root_link))
			continue;
		if (slot_depth(slot) < root_depth(root) &&
			split(index, root, i))
			continue;
		bag *next = chain(index, place->in);
		*place = (struct place){next, 1};
		return next != NULL;
	}
}

int
vmc_critnib_insert(struct vmc_critnib *index, uint64_t hash, void *leaf,
	uint64_t note, vmc_critnib_match_fn *match, const void *key)
{
	struct stripe *stripe = &index->stripes[stripe_of(hash)];
	struct place place;
	int err = 0;

	assert(leaf != NULL && note <= VMC_CRITNIB_NOTE_MAX);
	assert(vmc_critnib_address((uintptr_t)leaf) == leaf);
	vmc_lock_acquire(&stripe->lock);
	if (vmc_critnib_find(index, hash, match, key)) {
		err = -EEXIST;
	} else if (!make_place(index, hash, &place)) {
		err = -ENOMEM;
	} else {
		put_into(place.in, place.i, word_of(leaf, hash, note),
			(uint32_t)note);
		vmc_owner_add(&stripe->count, 1);
	}
	vmc_lock_release(&stripe->lock);
	return err;
}

/* Let the first slot be the directory of its stripe, which is empty. */
static void
start_over(struct vmc_critnib *index, unsigned stripe)
{
	vmc_store_relaxed(&index->first[stripe], 0);
	vmc_store_release(
		&index->roots.of[stripe], root_of(&index->first[stripe], 0));
}

/*
 * Take in the leaves of the neighbour, as often as there are few enough. One
 * of the two may be missing.
 */
static void
merge(const struct vmc_critnib *index, uint64_t root, size_t i)
{
	word *slots = root_slots(root);

	for (;;) {
		uint64_t slot = vmc_load_relaxed(&slots[i]);
		unsigned depth = slot_depth(slot);
		if (depth == 0)
			return;
		uint64_t other =
			vmc_load_relaxed(&slots[i ^ slot_span(root, slot)]);
		bag *to = vmc_critnib_address(slot);
		bag *from = vmc_critnib_address(other);
		unsigned here = to ? leaves_in(to) : 0;
		unsigned there = from ? leaves_in(from) : 0;

		if (slot_depth(other) != depth ||
			(to && vmc_critnib_next(to)) ||
			(from && vmc_critnib_next(from)) ||
			count_bits(here) + count_bits(there) > MERGE_UP_TO)
			return;
		for (; to && there; there &= there - 1) {
			unsigned source = (unsigned)__builtin_ctz(there);
			unsigned target = (unsigned)__builtin_ctz(~here);

			put_into(to, target,
				vmc_load_relaxed(&from->word[source]),
				vmc_load_relaxed(&from->note[source]));
			here |= 1u << target;
		}
		set_slots(root, i, slot_of(to ? to : from, depth - 1));
		if (to && from)
			bag_retire(index, from);
	}
}

/* The bag before, if any, and the one in which this leaf is; NULL. */
static bag *
find_leaf(bag *b, uint64_t hash, const void *leaf, bag **before, unsigned *i)
{
	*before = NULL;
	for (; b; *before = b, b = vmc_critnib_next(b)) {
		unsigned found = vmc_critnib_candidates(b, hash);
		for (; found; found &= found - 1) {
			*i = (unsigned)__builtin_ctz(found);
			uint64_t w = vmc_load_relaxed(&b->word[*i]);
			if (is_leaf(w) && vmc_critnib_address(w) == leaf)
				return b;
		}
	}
	return NULL;
}

static int
remove_locked(struct vmc_critnib *index, uint64_t hash, const void *leaf)
{
	struct stripe *stripe = &index->stripes[stripe_of(hash)];
	uint64_t root = vmc_load_relaxed(&index->roots.of[stripe_of(hash)]);
	word *slot = vmc_critnib_slot(root, hash);
	bag *before;
	unsigned i;
	bag *b = find_leaf(vmc_critnib_address(vmc_load_relaxed(slot)), hash,
		leaf, &before, &i);

	if (!b)
		return -ENOENT;
	vmc_store_relaxed(&b->word[i], 0);
	unsigned left = leaves_in(b);
	if (before && !left) {
		vmc_store_release(&before->word[WORDS - 1],
			vmc_load_relaxed(&b->word[WORDS - 1]));
		bag_retire(index, b);
		b = before;
		left = leaves_in(b);
	}
	vmc_owner_add(&stripe->count, UINT64_MAX);
	if (count_bits(left) <= MERGE_FROM)
		merge(index, root, (size_t)(slot - root_slots(root)));
	return 0;
}

/* An empty stripe needs no more than its first slot. */
static void
shrink(struct vmc_critnib *index, unsigned stripe)
{
	uint64_t root = vmc_load_relaxed(&index->roots.of[stripe]);
	word *slots = root_slots(root);
	uint64_t slot = vmc_load_relaxed(&slots[0]);
	size_t count = root_count(root);
	size_t span;

	start_over(index, stripe); /* clears the slot, if there is but one */
	for (size_t i = 0; i < count; i += span) {
		if (i > 0)
			slot = vmc_load_relaxed(&slots[i]);
		span = slot_span(root, slot);
		dispose(index, vmc_critnib_address(slot), bag_retire);
	}
	if (root_depth(root) > 0)
		vmc_retire(&index->memory, slots, count * sizeof(*slots));
}

int
vmc_critnib_remove(struct vmc_critnib *index, uint64_t hash, const void *leaf)
{
	struct stripe *stripe = &index->stripes[stripe_of(hash)];

	vmc_lock_acquire(&stripe->lock);
	int err = remove_locked(index, hash, leaf);
	if (err == 0 && vmc_load_relaxed(&stripe->count) == 0)
		shrink(index, stripe_of(hash));
	vmc_lock_release(&stripe->lock);
	return err;
}

uint64_t
vmc_critnib_count(struct vmc_critnib *index)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < STRIPES; i++)
		count += vmc_load_relaxed(&index->stripes[i].count);
	return count;
}

int
vmc_critnib_new(struct vmc_critnib **out, vmc_critnib_hash_fn *hash_of_leaf,
	const void *arg, const struct vmc_memory *memory)
{
	void *allocation = vmc_alloc(memory, ALLOCATION_SIZE);

	if (allocation == NULL)
		return -ENOMEM;
	struct vmc_critnib *index =
		(void *)(((uintptr_t)allocation + LINE - 1) &
			 ~(uintptr_t)(LINE - 1));
	index->hash_of = hash_of_leaf;
	index->hash_arg = arg;
	index->memory = *memory;
	index->allocation = allocation;
	for (unsigned i = 0; i < STRIPES; i++) {
		start_over(index, i);
		atomic_init(&index->stripes[i].count, 0);
		vmc_lock_init(&index->stripes[i].lock, VMC_RANK_INDEX);
	}
	*out = index;
	return 0;
}

static void
drop_leaves(const bag *b, void (*drop)(void *leaf, void *arg), void *arg)
{
	for (; b; b = vmc_critnib_next(b))
		for (unsigned m = leaves_in(b); m; m &= m - 1)
			drop(vmc_critnib_address(vmc_load_relaxed(
				     &b->word[__builtin_ctz(m)])),
				arg);
}

void
vmc_critnib_delete(struct vmc_critnib *index,
	void (*drop)(void *leaf, void *arg), void *arg)
{
	struct vmc_memory memory = index->memory;

	for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
		uint64_t root = vmc_load_relaxed(&index->roots.of[stripe]);
		word *slots = root_slots(root);
		size_t span;

		vmc_lock_destroy(&index->stripes[stripe].lock);
		for (size_t i = 0; i < root_count(root); i += span) {
			uint64_t slot = vmc_load_relaxed(&slots[i]);
			span = slot_span(root, slot);
			if (drop)
				drop_leaves(
					vmc_critnib_address(slot), drop, arg);
			dispose(index, vmc_critnib_address(slot), bag_free);
		}
		if (root_depth(root) > 0)
			vmc_free(&memory, slots,
				root_count(root) * sizeof(*slots));
	}
	vmc_free(&memory, index->allocation, ALLOCATION_SIZE);
}
