/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib.c -- nibble tries under 256 direct roots that grow
 *
 * The layout is drawn in critnib_find.h, with the lookup. The top eight bits of
 * a hash choose a stripe, the next 4 * level bits a slot of its root; below a
 * slot there is a node a nibble, until the leaves part.
 *
 * Writers lock their stripe. Readers run with them and with each other: one
 * acquire load a level, each pairing with the release store that put the word
 * there; all that can be reached through a word was written before it was.
 * A node's bitmap never changes, nor does a cell's leaf. Writers do three
 * things:
 * - replace a word by one that leads to the same leaves, and one more or one
 *   less. A reader finds the leaves that stay through either. What is no
 *   longer part of the index is frozen and retired: who stands in it still
 *   finds, in it or below, all that was there;
 * - store a leaf into an empty child, or empty one: no other leaf is touched;
 * - grow a root by 16 slots for one: the child for nibble i of the node in
 *   slot s moves to slot 16 * s + i; root and top nodes are frozen and retired.
 * So a leaf that is in the index during all of a find is found. One that is
 * removed meanwhile may be found too, even after the removal returned, by a
 * reader in something frozen: whoever removes a leaf retires it, and whoever
 * finds one asks it whether it still counts.
 *
 * Roots grow best effort, and go back to the first one when their stripe is
 * empty. That one is a part of the index and only cleared then: a reader that
 * was in it before the growth finds what was there until the leaf in question
 * is removed. Removing needs no memory: what could be compacted waits if there
 * is none.
 *
 * Measured (benchmarks/micro_critnib, 10^4 to 10^7 leaves): a leaf takes 11 to
 * 14 bytes, roots and all, a byte more after churn, and is found through 0.7
 * to 1.7 nodes. From 10^6 leaves on, a find costs as much as 2.5 to 3.5 reads
 * of a leaf through an array, each after the other.
 *
 * Rejected:
 * - a header in each node, with the bitmap and the number of nibbles to skip
 *   where all leaves below agree (what gave the structure its name): below a
 *   direct root over random bits skipping saves 0.2 bytes a leaf, the headers
 *   cost 3 to 4, a second line to read, and a look at some leaf below
 *   wherever an insertion comes to a gap;
 * - growing by less than 16: nodes would have to be split, not dissolved, for
 *   0.4 nodes less to go through on average.
 */
#include "critnib_internal.h"

#include <errno.h>
#include <string.h>

/*
 * Leaves per slot beyond which a root grows, to a sixteenth of that: then 8
 * bytes of a leaf's space are its slot. With half as many a leaf takes up to 19
 * bytes; twice as many save nothing, and paths get up to 2 nodes long.
 */
#define GROW_AT 16

/* An allocation is aligned to 16; the index moves up in it to a line. */
#define ALLOCATION_SIZE (sizeof(struct vmc_critnib) + LINE - 16)

/* Where a writer went: the links it followed, the root's slot first. */
struct path {
	slot *links[DEPTH + 1];
	unsigned last;
	/* the nibble that a node in the last link tests */
	int shift;
};

/* A root of empty slots; 0: no memory. */
static uint64_t
root_new(const struct vmc_critnib *index, unsigned level)
{
	size_t size = root_count(level) * sizeof(slot);
	slot *slots = vmc_alloc(&index->memory, size);

	if (slots == NULL)
		return 0;
	memset(slots, 0, size);
	return (uintptr_t)slots | level;
}

static void
root_free(const struct vmc_critnib *index, uint64_t root)
{
	vmc_free(&index->memory, root_slots(root),
		root_count(root_level(root)) * sizeof(slot));
}

/*
 * A node of the children that the bitmap names, taken from an array indexed
 * by nibble. 0: no memory, or none that 48 bits can address (which no system
 * gives unless asked for it).
 */
static uint64_t
node_new(const struct vmc_critnib *index, unsigned bitmap,
	const uint64_t *by_nibble)
{
	uint64_t node = (uint64_t)bitmap << BITMAP_SHIFT | NODE;
	slot *child = vmc_alloc(&index->memory, node_size(node));

	if (child == NULL)
		return 0;
	if ((uintptr_t)child & ~ADDRESS) {
		vmc_free(&index->memory, child, node_size(node));
		return 0;
	}
	node |= (uintptr_t)child;
	for (; bitmap; bitmap &= bitmap - 1)
		vmc_store_relaxed(child++, by_nibble[__builtin_ctz(bitmap)]);
	return node;
}

static void
node_free(const struct vmc_critnib *index, uint64_t node)
{
	vmc_free(&index->memory, children_of(node), node_size(node));
}

static void
node_retire(const struct vmc_critnib *index, uint64_t node)
{
	vmc_retire(&index->memory, children_of(node), node_size(node));
}

/* Follow the hash as far as there are nodes for it. The word arrived at. */
static uint64_t
descend(uint64_t root, uint64_t hash, struct path *path)
{
	slot *link = vmc_critnib_root_slot(root, hash);
	uint64_t word = vmc_load_relaxed(link);

	path->last = 0;
	path->links[0] = link;
	path->shift = vmc_critnib_root_shift(root);
	while (word & NODE &&
		vmc_critnib_has_child(word, nibble_of(hash, path->shift))) {
		link = vmc_critnib_child(word, nibble_of(hash, path->shift));
		word = vmc_load_relaxed(link);
		path->links[++path->last] = link;
		path->shift -= 4;
	}
	return word;
}

static bool
has_hash(const struct vmc_critnib *index, uint64_t word, uint64_t hash)
{
	if (!(word & CELL) && mark_difference(word, hash))
		return false;
	return hash_of(index, word) == hash;
}

/*
 * The hash of a leaf's or cell's word, which is not this one, as far down as
 * they first differ. They agree above the nibble at shift.
 */
static uint64_t
differing_hash(const struct vmc_critnib *index, uint64_t word, uint64_t hash,
	int shift)
{
	if (!(word & CELL) && shift <= MARK_HIGH && mark_difference(word, hash))
		return hash ^ mark_difference(word, hash);
	return hash_of(index, word);
}

/* The nibble at shift of what a leaf or cell leads to. */
static unsigned
nibble_at(const struct vmc_critnib *index, uint64_t word, int shift)
{
	if (!(word & CELL) && shift >= MARK_LOW && shift <= MARK_HIGH)
		return word >> (shift - MARK_LOW + BITMAP_SHIFT) & (FAN - 1);
	return nibble_of(hash_of(index, word), shift);
}

/*
 * The word, a leaf or a cell, and a leaf of another hash, under nodes for
 * the nibbles from shift down to the first that differs. 0: no memory.
 */
static uint64_t
split(const struct vmc_critnib *index, uint64_t word, const void *leaf,
	int shift)
{
	uint64_t hash = index->hash_of(leaf);
	uint64_t other = differing_hash(index, word, hash, shift);
	int at = (63 - __builtin_clzll(hash ^ other)) & ~3;
	unsigned nibble = nibble_of(hash, at), second = nibble_of(other, at);
	uint64_t by_nibble[FAN];

	by_nibble[nibble] = word_of(leaf, hash);
	by_nibble[second] = word;
	uint64_t node = node_new(index, 1u << nibble | 1u << second, by_nibble);

	while (node != 0 && at < shift) {
		at += 4;
		nibble = nibble_of(hash, at);
		by_nibble[nibble] = node;
		uint64_t above = node_new(index, 1u << nibble, by_nibble);
		while (above == 0 && node & NODE) {
			uint64_t below = vmc_load_relaxed(children_of(node));
			node_free(index, node);
			node = below;
		}
		if (above == 0)
			return 0;
		node = above;
	}
	return node;
}

/* Give the node one more child; drops the empty ones. 0: no memory. */
static uint64_t
widen(const struct vmc_critnib *index, uint64_t node, unsigned nibble,
	uint64_t leaf)
{
	uint64_t by_nibble[FAN];
	unsigned live = node_spread(node, by_nibble);

	by_nibble[nibble] = leaf;
	return node_new(index, live | 1u << nibble, by_nibble);
}

/* A leaf in front of others of its hash. 0: no memory. */
static uint64_t
chain(const struct vmc_critnib *index, void *leaf, uint64_t rest)
{
	struct vmc_critnib_cell *cell =
		vmc_alloc(&index->memory, sizeof(*cell));

	if (cell == NULL)
		return 0;
	cell->leaf = leaf;
	vmc_store_relaxed(&cell->next, rest);
	return (uintptr_t)cell | CELL;
}

static bool
any_match(uint64_t word, vmc_critnib_match_fn *match, const void *key)
{
	for (; word & CELL; word = vmc_load_relaxed(&cell_of(word)->next))
		if (match(cell_of(word)->leaf, key))
			return true;
	return match(leaf_of(word), key);
}

/*
 * Replace a stripe's root by one of sixteen times the slots; if there is no
 * memory for it, another insertion will try again.
 */
static void
grow(const struct vmc_critnib *index, slot *root_link)
{
	uint64_t old = vmc_load_relaxed(root_link);
	slot *from = root_slots(old);
	size_t count = root_count(root_level(old));
	uint64_t root = root_new(index, root_level(old) + 1);

	if (root == 0)
		return;
	slot *to = root_slots(root);
	int shift = vmc_critnib_root_shift(old);
	for (size_t i = 0; i < count; i++) {
		uint64_t word = vmc_load_relaxed(&from[i]);
		uint64_t by_nibble[FAN] = {0};

		if (word & NODE) {
			node_spread(word, by_nibble);
			for (unsigned n = 0; n < FAN; n++)
				vmc_store_relaxed(
					&to[i * FAN + n], by_nibble[n]);
		} else if (word) {
			unsigned n = nibble_at(index, word, shift);
			vmc_store_relaxed(&to[i * FAN + n], word);
		}
	}
	vmc_store_release(root_link, root);
	for (size_t i = 0; i < count; i++) {
		uint64_t word = vmc_load_relaxed(&from[i]);
		if (word & NODE)
			node_retire(index, word);
	}
	if (root_level(old) > LEVEL_FIRST)
		vmc_retire(&index->memory, from, count * sizeof(slot));
}

/* Let the first root be that of its stripe, which is empty. */
static void
start_over(struct vmc_critnib *index, unsigned stripe)
{
	slot *first = index->first[stripe];

	for (unsigned n = 0; n < FAN; n++)
		vmc_store_relaxed(&first[n], 0);
	vmc_store_release(
		&index->roots.of[stripe], (uintptr_t)first | LEVEL_FIRST);
}

static int
insert_locked(struct vmc_critnib *index, uint64_t hash, void *leaf,
	vmc_critnib_match_fn *match, const void *key)
{
	_Atomic uint64_t *count = &index->stripes[stripe_of(hash)].count;
	slot *root_link = &index->roots.of[stripe_of(hash)];
	uint64_t root = vmc_load_relaxed(root_link);
	struct path path;
	uint64_t old = descend(root, hash, &path);
	uint64_t word;

	if (old == 0) {
		word = word_of(leaf, hash);
	} else if (old & NODE) {
		word = widen(index, old, nibble_of(hash, path.shift),
			word_of(leaf, hash));
	} else if (!has_hash(index, old, hash)) {
		word = split(index, old, leaf, path.shift);
	} else {
		if (any_match(old, match, key))
			return -EEXIST;
		word = chain(index, leaf, old);
	}
	if (word == 0)
		return -ENOMEM;

	/* pairs with the acquire loads in find */
	vmc_store_release(path.links[path.last], word);
	if (old & NODE)
		node_retire(index, old);
	vmc_owner_add(count, 1);
	if (vmc_load_relaxed(count) > GROW_AT * root_count(root_level(root)))
		grow(index, root_link);
	return 0;
}

int
vmc_critnib_insert(struct vmc_critnib *index, void *leaf,
	vmc_critnib_match_fn *match, const void *key)
{
	uint64_t hash = index->hash_of(leaf);
	struct stripe *stripe = &index->stripes[stripe_of(hash)];

	assert(leaf != NULL && leaf_of((uintptr_t)leaf) == leaf);
	vmc_lock_acquire(&stripe->lock);
	int err = insert_locked(index, hash, leaf, match, key);
	vmc_lock_release(&stripe->lock);
	return err;
}

/*
 * After a child was emptied: remove nodes without children, put an only child
 * that is a leaf or cell into its node's place, and compact a node that has
 * more than one empty child.
 */
static void
prune(const struct vmc_critnib *index, const struct path *path)
{
	for (unsigned i = path->last; i-- > 0;) {
		uint64_t node = vmc_load_relaxed(path->links[i]);
		uint64_t by_nibble[FAN];
		unsigned live = node_spread(node, by_nibble);
		uint64_t first = live ? by_nibble[__builtin_ctz(live)] : 0;
		uint64_t word;

		if ((live & (live - 1)) == 0 && (first & NODE) == 0)
			word = first;
		else if (vmc_critnib_count_bits(bitmap_of(node) & ~live) > 1)
			word = node_new(index, live, by_nibble);
		else
			return;
		if (word == 0 && live)
			return;
		vmc_store_release(path->links[i], word);
		node_retire(index, node);
		if (word & NODE)
			return;
	}
}

static int
remove_locked(struct vmc_critnib *index, uint64_t hash, const void *leaf)
{
	uint64_t root = vmc_load_relaxed(&index->roots.of[stripe_of(hash)]);
	struct path path;
	uint64_t word = descend(root, hash, &path);
	slot *link = path.links[path.last];

	while (word & CELL) {
		struct vmc_critnib_cell *cell = cell_of(word);
		uint64_t next = vmc_load_relaxed(&cell->next);

		if (cell->leaf == leaf || next == word_of(leaf, hash)) {
			uint64_t stays = word_of(cell->leaf, hash);
			if (cell->leaf == leaf)
				stays = next;
			vmc_store_release(link, stays);
			vmc_retire(&index->memory, cell, sizeof(*cell));
			return 0;
		}
		link = &cell->next;
		word = next;
	}
	if (word != word_of(leaf, hash))
		return -ENOENT;
	vmc_store_relaxed(link, 0);
	prune(index, &path);
	return 0;
}

/* An empty stripe needs no more than its first root. */
static void
shrink(struct vmc_critnib *index, unsigned stripe)
{
	uint64_t old = vmc_load_relaxed(&index->roots.of[stripe]);

	if (root_level(old) == LEVEL_FIRST)
		return;
	start_over(index, stripe);
	vmc_retire(&index->memory, root_slots(old),
		root_count(root_level(old)) * sizeof(slot));
}

int
vmc_critnib_remove(struct vmc_critnib *index, const void *leaf)
{
	uint64_t hash = index->hash_of(leaf);
	struct stripe *stripe = &index->stripes[stripe_of(hash)];

	vmc_lock_acquire(&stripe->lock);
	int err = remove_locked(index, hash, leaf);
	if (err == 0) {
		vmc_owner_add(&stripe->count, UINT64_MAX);
		if (vmc_load_relaxed(&stripe->count) == 0)
			shrink(index, stripe_of(hash));
	}
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
	const struct vmc_memory *memory)
{
	void *allocation = vmc_alloc(memory, ALLOCATION_SIZE);

	if (allocation == NULL)
		return -ENOMEM;
	struct vmc_critnib *index =
		(void *)(((uintptr_t)allocation + LINE - 1) &
			 ~(uintptr_t)(LINE - 1));
	index->hash_of = hash_of_leaf;
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
drop_word(const struct vmc_critnib *index, uint64_t word,
	void (*drop)(void *leaf, void *arg), void *arg)
{
	if (word & NODE) {
		slot *child = children_of(word);
		unsigned count = vmc_critnib_count_bits(bitmap_of(word));

		for (unsigned i = 0; i < count; i++)
			drop_word(
				index, vmc_load_relaxed(child + i), drop, arg);
		node_free(index, word);
		return;
	}
	while (word & CELL) {
		struct vmc_critnib_cell *cell = cell_of(word);
		word = vmc_load_relaxed(&cell->next);
		if (drop)
			drop(cell->leaf, arg);
		vmc_free(&index->memory, cell, sizeof(*cell));
	}
	if (word && drop)
		drop(leaf_of(word), arg);
}

void
vmc_critnib_delete(struct vmc_critnib *index,
	void (*drop)(void *leaf, void *arg), void *arg)
{
	struct vmc_memory memory = index->memory;

	for (unsigned i = 0; i < STRIPES; i++) {
		uint64_t root = vmc_load_relaxed(&index->roots.of[i]);

		vmc_lock_destroy(&index->stripes[i].lock);
		for (size_t s = 0; s < root_count(root_level(root)); s++)
			drop_word(index, vmc_load_relaxed(&root_slots(root)[s]),
				drop, arg);
		if (root_level(root) > LEVEL_FIRST)
			root_free(index, root);
	}
	vmc_free(&memory, index->allocation, ALLOCATION_SIZE);
}
