/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear.c -- bags of leaves by linear hashing
 *
 * The layout is drawn in bag/bag.h and linear_find.h. The top eight bits of
 * a hash choose a stripe, others one of its bags of up to 16 leaves: of n bags,
 * with 2^d <= n < 2^(d+1), number x mod 2^(d+1) of the hash, or that without
 * its top bit where there is no such bag yet. So one bag more means that one,
 * n - 2^d, is split in two, and one less that the last is joined to the one
 * it came from:
 *
 *   more than LOAD leaves a bag    bag n - 2^d is split into that and bag n
 *   less than half of that         the last bag is joined to its origin
 *   a bag is full                  another is chained behind it; it leaves when
 *                                  it is empty
 *   a stripe is empty              back to no bag at all
 *
 * Linear hashing (Litwin 1980): the bags that are split come round in turn, so
 * the leaves of a bag are between LOAD and twice as many before, and between
 * half of LOAD and LOAD after its split, LOAD on average whatever the number
 * of leaves; no insertion pays for more than the split of one bag; and
 * where a bag is can be computed. Bags come in chunks, to which each stripe's
 * table leads; a chunk stays where it is.
 *
 * Writers latch their stripe. Readers run with them and with each other, and
 * find every leaf that is there during all of the find:
 * - a leaf is stored into a free word by release, which pairs with find's
 *   acquire of the word; no other leaf is touched;
 * - a leaf that moves to another bag, in a split or a join, is there first;
 *   then the size changes, then the leaf's first word is cleared, each by a
 *   release. A reader that misses the leaf in the bag that the old size leads
 *   to has read the cleared word, and so reads the new size after that
 *   (acquire): it looks again. Sizes have a version, so none comes back
 *   until the stripe has changed 2^27 times;
 * - a chained bag gets the leaf in the last word of the one before it, which
 *   then becomes the link: a reader finds that leaf in the one place or, having
 *   met the link, in the other. No leaf moves back. A reader in a chained bag
 *   that was unlinked and retired finds it empty, and goes on;
 * - a table of twice the pointers is stored before the size that needs it, and
 *   the first, small one again after the size that it is enough for; chunks
 *   that a smaller size has no use for are retired after it was stored.
 * A leaf that is removed meanwhile may be found too, by a reader that read its
 * word before: a removed leaf is retired, and a reader that finds one checks
 * whether it is still valid.
 *
 * Splitting and joining are best effort: without memory the next insertion
 * tries again. Removing needs none.
 *
 * Measured with 10^6 leaves, and in a cache of 1.5 GiB and values of 1 KiB;
 * this takes 28 bytes a leaf. Before it:
 * - a crit-nibble trie with one leaf a word took 12 bytes a leaf, but a find
 *   waited for one or two cache misses more, with branches between them that
 *   depend on what was read, and most insertions and removals allocated and
 *   retired. With the bags and notes a get took 376 ns in place of 427;
 * - extendible hashing (Fagin et al. 1979) took 18 bytes a leaf, 23 after
 *   churn. The slots of its directory, 2 MB, were found waited for in profiles
 *   of put. Without it a get took 337 ns in place of 405, a put 384 for 479;
 * - chunks of four bags, whatever the number: the tables took 400 KB, and
 *   waiting for them was half of the wait for the index. With tables that are
 *   short a get takes 333 ns in place of 352, with values of 256 B 283 for 338,
 *   and a put of these 327 for 402.
 */
#include "linear_internal.h"

#include <errno.h>
#include <string.h>

/* Leaves a bag, on average: 15 / 2, so that unsplit ones have up to 15. */
#define LOAD_OF(bags) (15 * (uint64_t)(bags) / 2)

/* An allocation is aligned to 16; the index moves up in it to a line. */
#define ALLOCATION_SIZE (sizeof(struct vmc_linear) + LINE - 16)

/*
 * Cleared. NULL: no memory, or none that a word can hold (which no system
 * gives unless asked for it).
 */
static void *
allocate(const struct vmc_linear *index, size_t size)
{
	void *p = vmc_alloc(&index->memory, size);

	if ((uintptr_t)p >> ADDRESS_BITS) {
		vmc_free(&index->memory, p, size);
		return NULL;
	}
	return p ? memset(p, 0, size) : NULL;
}

/* i is WORDS: in is the last bag, and full. */
typedef struct vmc_index_place place;

/* The first free word in the bag and those chained to it. */
static place
find_place(bag *b)
{
	for (;;) {
		unsigned i = vmc_bag_free_word(b);
		bag *next = i < WORDS ? NULL : chained(b);
		if (!next)
			return (place){.in = b, .i = i};
		b = next;
	}
}

/* The same, chaining a bag if there is none. False: no memory. */
static bool
make_place(const struct vmc_linear *index, bag *b, place *where)
{
	const unsigned end = WORDS - 1;

	*where = find_place(b);
	if (where->i < WORDS)
		return true;
	bag *last = where->in;
	bag *next = allocate(index, sizeof(*next));
	if (!next)
		return false;
	vmc_bag_put(next, 0, vmc_load_relaxed(&last->word[end]),
		vmc_load_relaxed(&last->note[end]));
	vmc_store_release(&last->word[end], (uintptr_t)next | LINK);
	*where = (place){.in = next, .i = 1};
	return true;
}

/* Take the bags that are empty out of the chain behind this one. */
static void
unchain(const struct vmc_linear *index, bag *first)
{
	bag *b = first;
	bag *next;

	while ((next = chained(b))) {
		if (vmc_bag_leaves(next)) {
			b = next;
			continue;
		}
		vmc_store_release(&b->word[WORDS - 1],
			vmc_load_relaxed(&next->word[WORDS - 1]));
		vmc_retire(&index->memory, next, sizeof(*next));
	}
}

/* See to it that there is a bag of that number. False: no memory. */
static bool
make_bag(struct vmc_linear *index, unsigned stripe, uint32_t number)
{
	struct vmc_linear_root *root = &index->roots.of[stripe];
	struct stripe *s = &index->stripes[stripe];
	chunk *table = vmc_load_relaxed(&root->table);
	uint32_t at = chunk_of(index, number);

	if (at == s->capacity) {
		chunk *larger = allocate(index, 2 * at * sizeof(*table));
		if (!larger)
			return false;
		for (uint32_t i = 0; i < at; i++)
			vmc_store_relaxed(
				&larger[i], vmc_load_relaxed(&table[i]));
		vmc_store_release(&root->table, larger);
		if (table != &index->first[stripe])
			vmc_retire(&index->memory, (void *)table,
				at * sizeof(*table));
		s->capacity = 2 * at;
		table = larger;
	}
	if (!vmc_load_relaxed(&table[at])) {
		bag *bags = allocate(index, chunk_size(index));
		if (!bags)
			return false;
		vmc_store_release(&table[at], chunk_from(index, bags, at));
	}
	return true;
}

/* Which leaves of the bag belong to bag `number` of so many bags. */
static unsigned
leaves_of(const struct vmc_linear *index, const bag *b, uint32_t number,
	uint32_t bags)
{
	unsigned found = 0;

	vmc_bag_prefetch_leaves(b);
	for (unsigned m = vmc_bag_leaves(b); m; m &= m - 1) {
		unsigned i = (unsigned)__builtin_ctz(m);
		uint64_t w = vmc_load_relaxed(&b->word[i]);
		if (vmc_linear_bag_number(bags, hash_of(index, w)) == number)
			found |= 1u << i;
	}
	return found;
}

static bool
copy_leaves(const struct vmc_linear *index, const bag *from, unsigned which,
	bag *to)
{
	for (; which; which &= which - 1) {
		unsigned i = (unsigned)__builtin_ctz(which);
		place where;

		if (!make_place(index, to, &where))
			return false;
		vmc_bag_put(where.in, where.i, vmc_load_relaxed(&from->word[i]),
			vmc_load_relaxed(&from->note[i]));
	}
	return true;
}

/*
 * Clear the words of the leaves that belong to bag `number`, the last one, in
 * this bag and those chained to it.
 */
static void
take_back(const struct vmc_linear *index, bag *first, uint32_t number)
{
	for (bag *b = first; b; b = chained(b)) {
		unsigned which = leaves_of(index, b, number, number + 1);
		for (; which; which &= which - 1)
			vmc_store_release(&b->word[__builtin_ctz(which)], 0);
	}
	unchain(index, first);
}

/* One bag more; as many as there are, if there is no memory. */
static void
split(struct vmc_linear *index, unsigned stripe)
{
	struct vmc_linear_root *root = &index->roots.of[stripe];
	uint32_t bags = bags_of(root);

	if (bags == UINT32_MAX / 2 || !make_bag(index, stripe, bags))
		return;
	bag *to = bag_at(index, stripe, bags);
	bag *from = bag_at(index, stripe,
		vmc_linear_bag_number(bags, (uint64_t)bags << 12));
	for (bag *b = from; b; b = chained(b)) {
		unsigned which = leaves_of(index, b, bags, bags + 1);
		if (!copy_leaves(index, b, which, to)) {
			take_back(index, to, bags);
			return;
		}
	}
	set_bags(root, bags + 1);
	take_back(index, from, bags);
}

/* One bag less; as many as there are, if there is no memory. */
static void
join(struct vmc_linear *index, unsigned stripe)
{
	struct vmc_linear_root *root = &index->roots.of[stripe];
	uint32_t last = bags_of(root) - 1;
	bag *from = bag_at(index, stripe, last);
	bag *to = bag_at(index, stripe,
		vmc_linear_bag_number(last, (uint64_t)last << 12));
	bool copied = true;

	for (bag *b = from; b && copied; b = chained(b))
		copied = copy_leaves(index, b, vmc_bag_leaves(b), to);
	if (copied)
		set_bags(root, last);
	take_back(index, copied ? from : to, last);
	if (copied && is_first_of_chunk(index, last)) {
		chunk *table = vmc_load_relaxed(&root->table);
		vmc_store_release(&table[chunk_of(index, last)], 0);
		vmc_retire(&index->memory, from, chunk_size(index));
	}
}

/*
 * Where there is no candidate any more, but bags were split or joined since
 * there were `size`, the leaf may have been on its way from one bag to another:
 * once more, from the start.
 */
static struct vmc_index_candidate
go_on(struct vmc_index *index, uint64_t hash, const bag *b, unsigned more,
	uint64_t size)
{
	struct vmc_index_spot spot = {.seen = size,
		.source = &linear(index)->roots.of[stripe_of(hash)].size};
	struct vmc_index_candidate c;

	for (;;) {
		while (b) {
			for (; more; more &= more - 1)
				if (vmc_bag_take(&c, b, more, spot.seen))
					return c;
			b = chained(b);
			more = b ? vmc_bag_candidates(b, hash) : 0;
		}
		if (vmc_index_unchanged(&spot))
			return (struct vmc_index_candidate){0};
		spot = vmc_linear_spot_of(index, hash);
		b = spot.bag;
		more = b ? vmc_bag_candidates(b, hash) : 0;
	}
}

static void
prefetch_latch(struct vmc_index *index, uint64_t hash)
{
	vmc_prefetch_write(&linear(index)->stripes[stripe_of(hash)]);
}

/* The leaf of that hash for which match says true, in these bags; NULL. */
static void *
find_match(bag *b, uint64_t hash, vmc_index_match_fn *match, const void *key,
	place *where)
{
	void *leaf = NULL;

	for (; b && !leaf; b = chained(b)) {
		where->in = b;
		leaf = vmc_bag_find(b, hash, match, key, &where->i);
	}
	return leaf;
}

static bool
is_there(
	const bag *b, uint64_t hash, vmc_index_match_fn *match, const void *key)
{
	unsigned i;

	for (; b; b = chained(b))
		if (vmc_bag_find(b, hash, match, key, &i))
			return true;
	return false;
}

static int
begin(struct vmc_index *base, uint64_t hash, struct vmc_index_spot spot,
	vmc_index_match_fn *match, const void *key, place *where)
{
	struct vmc_linear *index = linear(base);
	int err = -ENOMEM;

	latch(index, stripe_of(hash));
	spot = vmc_linear_refresh(base, hash, spot);
	if (!spot.bag && make_bag(index, stripe_of(hash), 0))
		spot = vmc_linear_spot_of(base, hash);
	if (spot.bag) {
		if (is_there(spot.bag, hash, match, key))
			err = -EEXIST;
		else if (make_place(index, spot.bag, where)) {
			vmc_owner_add(
				&index->stripes[stripe_of(hash)].count, 1);
			return 0;
		}
	}
	unlatch(index, stripe_of(hash));
	return err;
}

static void
publish(struct vmc_index *base, uint64_t hash, void *leaf, uint64_t note,
	const place *where)
{
	struct vmc_linear *index = linear(base);
	struct stripe *stripe = &index->stripes[stripe_of(hash)];
	uint32_t bags = bags_of(&index->roots.of[stripe_of(hash)]);

	assert(leaf != NULL && note <= VMC_INDEX_NOTE_MAX);
	assert(vmc_bag_address((uintptr_t)leaf) == leaf);
	vmc_bag_put(where->in, where->i, vmc_bag_word_of(leaf, hash, note),
		(uint32_t)note);
	if (vmc_load_relaxed(&stripe->count) > LOAD_OF(bags))
		split(index, stripe_of(hash));
	unlatch(index, stripe_of(hash));
}

/* The first of these bags in which this leaf is, and its word there; NULL. */
static bag *
find_leaf(bag *b, uint64_t hash, const void *leaf, unsigned *i)
{
	for (; b; b = chained(b)) {
		*i = vmc_bag_word_with(b, hash, leaf);
		if (*i < WORDS)
			break;
	}
	return b;
}

static void
cancel_exchange(struct vmc_index *base, uint64_t hash)
{
	unlatch(linear(base), stripe_of(hash));
}

static void *
begin_exchange(struct vmc_index *base, uint64_t hash, vmc_index_match_fn *match,
	const void *key, place *where)
{
	struct vmc_linear *index = linear(base);

	latch(index, stripe_of(hash));
	void *leaf = find_match(
		vmc_linear_spot_of(base, hash).bag, hash, match, key, where);
	if (!leaf)
		unlatch(index, stripe_of(hash));
	return leaf;
}

/*
 * A stripe that is empty now needs no bag, and no table but its first. Bag 0,
 * to which the new size leads, too, goes before the size changes: who looks for
 * it meanwhile finds nothing, which is what is there.
 */
static void
start_over(struct vmc_linear *index, unsigned stripe)
{
	struct vmc_linear_root *root = &index->roots.of[stripe];
	struct stripe *s = &index->stripes[stripe];
	chunk *table = vmc_load_relaxed(&root->table);

	for (uint32_t i = 0; i < s->capacity; i++) {
		bag *bags = bags_in(index, vmc_load_relaxed(&table[i]), i);
		vmc_store_release(&table[i], 0);
		if (i == 0)
			set_bags(root, 1);
		if (bags)
			vmc_retire(&index->memory, bags, chunk_size(index));
	}
	if (table == &index->first[stripe])
		return;
	vmc_store_relaxed(&index->first[stripe], 0);
	vmc_store_release(&root->table, &index->first[stripe]);
	vmc_retire(&index->memory, (void *)table, s->capacity * sizeof(*table));
	s->capacity = 1;
}

static int
remove_latched(struct vmc_linear *index, uint64_t hash, const void *leaf)
{
	struct stripe *stripe = &index->stripes[stripe_of(hash)];
	struct vmc_linear_root *root = &index->roots.of[stripe_of(hash)];
	uint32_t bags = bags_of(root);
	bag *first = bag_at(
		index, stripe_of(hash), vmc_linear_bag_number(bags, hash));
	unsigned i;
	bag *b = find_leaf(first, hash, leaf, &i);

	if (!b)
		return -ENOENT;
	vmc_store_relaxed(&b->word[i], 0);
	vmc_owner_add(&stripe->count, UINT64_MAX);
	if (b != first)
		unchain(index, first);
	uint64_t count = vmc_load_relaxed(&stripe->count);
	if (count == 0)
		start_over(index, stripe_of(hash));
	else if (bags > 1 && 2 * count < LOAD_OF(bags))
		join(index, stripe_of(hash));
	return 0;
}

static int
take_out(struct vmc_index *base, uint64_t hash, const void *leaf)
{
	struct vmc_linear *index = linear(base);

	latch(index, stripe_of(hash));
	int err = remove_latched(index, hash, leaf);
	unlatch(index, stripe_of(hash));
	return err;
}

static uint64_t
count_leaves(struct vmc_index *base)
{
	struct vmc_linear *index = linear(base);
	uint64_t count = 0;

	for (unsigned i = 0; i < STRIPES; i++)
		count += vmc_load_relaxed(&index->stripes[i].count);
	return count;
}

static void
renew_latches(struct vmc_index *base)
{
	struct vmc_linear *index = linear(base);

	for (unsigned i = 0; i < STRIPES; i++)
		vmc_latch_renew(&index->stripes[i].latch);
}

static void
drop_leaves(const bag *b, vmc_index_visit_fn *drop, void *arg)
{
	for (; b; b = chained(b))
		for (unsigned m = vmc_bag_leaves(b); m; m &= m - 1)
			drop(vmc_bag_address(vmc_load_relaxed(
				     &b->word[__builtin_ctz(m)])),
				arg);
}

static void
free_chained(const struct vmc_linear *index, const bag *first)
{
	bag *b = chained(first);

	while (b) {
		bag *next = chained(b);
		vmc_free(&index->memory, b, sizeof(*b));
		b = next;
	}
}

static void
delete_stripe(struct vmc_linear *index, unsigned stripe,
	vmc_index_visit_fn *drop, void *arg)
{
	struct vmc_linear_root *root = &index->roots.of[stripe];
	chunk *table = vmc_load_relaxed(&root->table);
	uint32_t capacity = index->stripes[stripe].capacity;

	for (uint32_t i = 0; i < bags_of(root); i++) {
		bag *b = bag_at(index, stripe, i);
		if (!b)
			break;
		if (drop)
			drop_leaves(b, drop, arg);
		free_chained(index, b);
	}
	for (uint32_t i = 0; i < capacity; i++) {
		bag *bags = bags_in(index, vmc_load_relaxed(&table[i]), i);
		if (bags)
			vmc_free(&index->memory, bags, chunk_size(index));
	}
	if (table != &index->first[stripe])
		vmc_free(&index->memory, (void *)table,
			capacity * sizeof(*table));
}

static void
destroy(struct vmc_index *base, vmc_index_visit_fn *drop, void *arg)
{
	struct vmc_linear *index = linear(base);
	struct vmc_memory memory = index->memory;

	for (unsigned stripe = 0; stripe < STRIPES; stripe++)
		delete_stripe(index, stripe, drop, arg);
	vmc_free(&memory, index->allocation, ALLOCATION_SIZE);
}

static const struct vmc_index_ops operations = {
	.destroy = destroy,
	.go_on = go_on,
	.prefetch_latch = prefetch_latch,
	.begin = begin,
	.publish = publish,
	.begin_exchange = begin_exchange,
	.cancel_exchange = cancel_exchange,
	.remove = take_out,
	.alike = vmc_linear_alike,
	.move = vmc_linear_move,
	.walk = vmc_linear_walk,
	.position = vmc_linear_position,
	.count = count_leaves,
	.check = vmc_linear_check,
	.renew_latches = renew_latches,
};

/*
 * The power of two of the bags in a chunk: such that the tables have 64
 * pointers at most for so many leaves, and are found in the processor's own
 * cache; with 4 bags in each whatever the number, half of a put's and a third
 * of a get's wait for the index was for the table. No more than 128, lest an
 * insertion clear more than 24 KiB.
 */
#define CHUNK_LOG_MIN 2u
#define CHUNK_LOG_MAX 7u
#define TABLE_AIM 64u

static uint64_t
chunk_log_for(uint64_t most_leaves)
{
	uint64_t bags = most_leaves / STRIPES / LOAD_OF(1);
	uint64_t log = CHUNK_LOG_MIN;

	while (log < CHUNK_LOG_MAX && bags >> log > TABLE_AIM)
		log++;
	return log;
}

int
vmc_linear_new(struct vmc_index **out, uint64_t most_leaves,
	vmc_index_hash_fn *hash_of_leaf, const void *arg,
	const struct vmc_memory *memory)
{
	void *allocation = vmc_alloc(memory, ALLOCATION_SIZE);

	if (allocation == NULL)
		return -ENOMEM;
	struct vmc_linear *index = (void *)(((uintptr_t)allocation + LINE - 1) &
					    ~(uintptr_t)(LINE - 1));
	index->roots.index = (struct vmc_index){&operations, true, 0};
	index->hash_of = hash_of_leaf;
	index->hash_arg = arg;
	index->memory = *memory;
	index->allocation = allocation;
	for (unsigned i = 0; i < STRIPES; i++) {
		atomic_init(&index->first[i], 0);
		atomic_init(&index->roots.of[i].table, &index->first[i]);
		atomic_init(&index->roots.of[i].size,
			chunk_log_for(most_leaves) << SIZE_BITS | 1);
		atomic_init(&index->stripes[i].count, 0);
		index->stripes[i].capacity = 1;
		atomic_init(&index->stripes[i].latch.held, false);
	}
	*out = &index->roots.index;
	return 0;
}
