/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib_group.c -- groups of bags, replaced whenever bags are split or joined
 *
 * Which nibbles share a bag is mostly decided bag by bag (regroup): a full one
 * is cut in two where that leaves the halves most alike, and neighbours that
 * fit into one bag are joined. Unchanged bags are copied whole, so that the
 * work is that of one bag, not of all leaves of the group. If that does not
 * suffice, or a bag has a link, all nibbles are distributed again, from the
 * first on: as many per bag as fill it to FILL.
 *
 * A group is never rearranged: another one is filled, then the words of the
 * table that lead to the old one are stored, and the old one is retired. All
 * functions here are called under the partition's latch. Without memory the
 * group stays unchanged.
 */
#include "critnib_internal.h"

#include <string.h>

/* A bag is filled with the leaves of whole nibbles, while they are as many. */
#define FILL 14u
/*
 * Two limits differ by stripe. Random hashes fill all stripes alike: if all
 * groups were split at the same number of leaves, nearly all would have one
 * size, then another, and the heap would keep half-used pages of the sizes of
 * before: 10 bytes a leaf. Groups of few bags have few sizes as well.
 */

/* Leaves a word of a table: from so many on it is doubled, a quarter: halved.
 */
static unsigned
dense(const struct node *node)
{
	return 32 + stripe_of(node->prefix) * 32 / STRIPES;
}

/* A group of more bags is split where the table has more words than one for it.
 */
static unsigned
bags_most(const struct node *node)
{
	return 3 + stripe_of(node->prefix) * 4 / STRIPES;
}

/* Two groups with so few leaves together become one. */
#define JOINED 24u

void *
vmc_critnib_allocate(const struct vmc_critnib *index, size_t size)
{
	void *p = vmc_alloc(&index->memory, size);

	if ((uintptr_t)p >> VMC_BAG_ADDRESS_BITS) {
		vmc_free(&index->memory, p, size);
		return NULL;
	}
	return p ? memset(p, 0, size) : NULL;
}

/* Store a group into all words of the table that are for it. */
static void
set_group(struct node *node, uint64_t hash, uint64_t g)
{
	unsigned same = k_of(node) - d_of(g);
	uint64_t table = vmc_load_relaxed(node->table);
	group *all = vmc_bag_address(table);
	size_t at = (size_t)(group_at(node, hash) - all) >> same << same;

	for (size_t i = 0; i < (size_t)1 << same; i++)
		/* pairs with the acquire load in find */
		vmc_store_release(&all[at + i], g);
}

/* --- what a group holds --- */

/* With a bag `by`, which has a link, in place of one of the group; or none. */
void
vmc_critnib_gather_but(struct content *c, uint64_t g, const bag *replaced,
	const bag *by, unsigned at)
{
	const bag *b = vmc_bag_address(g);
	unsigned from = 0, begins = begins_of(g);

	start_content(c);
	for (unsigned n = bags_in(g); n > 0; n--, b++) {
		unsigned to = end_of(begins, from);
		bool whole = b == replaced || vmc_bag_link(b);
		unsigned m = whole ? 0 : vmc_bag_leaves(b);
		if (b == replaced && by)
			add_link(c, by, at, 1);
		else if (b != replaced && whole)
			add_link(c, b, from, to - from);
		for (; m; m &= m - 1) {
			unsigned i = (unsigned)__builtin_ctz(m);
			uint64_t w = vmc_load_relaxed(&b->word[i]);
			add_leaf(c, w, vmc_load_relaxed(&b->note[i]),
				nibble_of_word(w));
		}
		from = to;
	}
}

static void
gather(struct content *c, uint64_t g)
{
	vmc_critnib_gather_but(c, g, NULL, NULL, 0);
}

/*
 * With which nibbles bags should begin, one leaf more of nibble `more` coming
 * (NIBBLES: none). IMPOSSIBLE: a bag is too small for those of one nibble.
 */
uint32_t
vmc_critnib_arrange(const struct content *c, unsigned more)
{
	uint32_t begins = 0;
	unsigned in_bag = 0;

	for (unsigned n = 0; n < NIBBLES;) {
		unsigned leaves = c->count[n] + (unsigned)(n == more);
		if (c->span[n]) {
			begins |= UINT32_C(1) << n;
			n += c->span[n];
			/* what is behind begins another */
			begins |= UINT32_C(1) << n;
			in_bag = 0;
			continue;
		}
		if (leaves > WORDS)
			return IMPOSSIBLE;
		if (in_bag > 0 && in_bag + leaves > FILL) {
			begins |= UINT32_C(1) << n;
			in_bag = 0;
		}
		in_bag += leaves;
		n++;
	}
	return begins & 0xfffe;
}

/*
 * A bag with a link as it is; but for the nibble of its leaves, which are of
 * one hash.
 */
static void
copy_bag(const struct vmc_critnib *index, const struct node *node, unsigned d,
	const bag *from, bag *to)
{
	unsigned leaves = vmc_bag_leaves(from), nibble = 0;

	if (leaves) {
		uint64_t hash = hash_of(index, some_leaf(from));
		nibble = vmc_critnib_nibble(d, rest_of(node, hash));
	}
	for (unsigned i = 0; i < WORDS; i++) {
		uint64_t w = vmc_load_relaxed(&from->word[i]);
		vmc_bag_put(to, i,
			vmc_bag_is_leaf(w) ? with_nibble(w, nibble) : w,
			vmc_load_relaxed(&from->note[i]));
	}
}

/* A group of a node with these bags at depth d. False: no memory. */
bool
vmc_critnib_build(const struct vmc_critnib *index, const struct node *node,
	const struct content *c, uint32_t begins, unsigned d, uint64_t *out)
{
	unsigned used[NIBBLES] = {0}, count;
	bag *bags;

	*out = d;
	if (c->leaves == 0 && c->links == 0)
		return true;
	count = vmc_critnib_count_bits(begins) + 1;
	bags = vmc_critnib_allocate(index, count * sizeof(*bags));
	if (!bags)
		return false;
	*out |= (uintptr_t)bags | (uint64_t)begins << VMC_CRITNIB_BEGINS_SHIFT;
	for (unsigned i = 0; i < c->leaves; i++) {
		uint32_t up_to = (2u << nibble_of_word(c->word[i])) - 1;
		unsigned at = vmc_critnib_count_bits(begins & up_to);
		vmc_bag_put(&bags[at], used[at]++, c->word[i], c->note[i]);
	}
	for (unsigned n = 0; n < NIBBLES; n++) {
		if (!c->span[n])
			continue;
		uint32_t up_to = (2u << n) - 1;
		unsigned at = vmc_critnib_count_bits(begins & up_to);
		copy_bag(index, node, d, c->link[n], &bags[at]);
	}
	return true;
}

/* The same group with other bags. */
bool
vmc_critnib_rebuild(struct vmc_critnib *index, struct node *node, uint64_t hash,
	const struct content *c, uint32_t begins)
{
	uint64_t old = group_of(node, hash), new;

	if (!vmc_critnib_build(index, node, c, begins, d_of(old), &new))
		return false;
	set_group(node, hash, new);
	retire_group(index, old);
	return true;
}

bool
vmc_critnib_make_bag(
	struct vmc_critnib *index, struct node *node, uint64_t hash)
{
	bag *b = vmc_critnib_allocate(index, sizeof(*b));

	if (b)
		set_group(
			node, hash, (uintptr_t)b | d_of(group_of(node, hash)));
	return b != NULL;
}

/* --- tables --- */

/* What leads to another table, and words of the old one into it. */
static bool
set_table(struct vmc_critnib *index, struct node *node, unsigned k)
{
	uint64_t old = vmc_load_relaxed(node->table);
	unsigned old_k = old & VMC_CRITNIB_LOW;
	group *from = vmc_bag_address(old);
	group *to = node->first;

	if (k > 0)
		to = vmc_critnib_allocate(index, table_size(k));
	if (!to)
		return false;
	node->deepest = 0;
	for (size_t i = 0; i < (size_t)1 << k; i++) {
		size_t at = k > old_k ? i >> (k - old_k) : i << (old_k - k);
		uint64_t g = vmc_load_relaxed(&from[at]);
		node->deepest += d_of(g) == k;
		vmc_store_release(&to[i], g);
	}
	/* pairs with the acquire load in find */
	vmc_store_release(node->table, (uintptr_t)to | k);
	if (old_k > 0)
		vmc_retire(&index->memory, (void *)from, table_size(old_k));
	return true;
}

static void
double_table(struct vmc_critnib *index, struct node *node)
{
	unsigned k = k_of(node);

	if (k < K_MAX && node->skip + k + NIBBLE_BITS < HASH_BITS &&
		vmc_load_relaxed(&node->count) > (uint64_t)dense(node) << k)
		set_table(index, node, k + 1);
}

static void
halve_table(struct vmc_critnib *index, struct node *node)
{
	unsigned k = k_of(node);

	if (k > 0 && node->deepest == 0 &&
		vmc_load_relaxed(&node->count) < (uint64_t)dense(node) << k >>
			2)
		set_table(index, node, k - 1);
}

/* --- groups into two, and two into one --- */

/* Half of what a group at depth d holds, by nibbles one bit further on. */
static bool
take_half(const struct vmc_critnib *index, const struct node *node,
	const struct content *all, unsigned d, unsigned half, struct content *c)
{
	const unsigned from = half * NIBBLES / 2, to = from + NIBBLES / 2;

	start_content(c);
	for (unsigned i = 0; i < all->leaves; i++) {
		unsigned nibble = nibble_of_word(all->word[i]);
		if (nibble < from || nibble >= to)
			continue;
		uint64_t rest = rest_of(node, hash_of(index, all->word[i]));
		add_leaf(c, all->word[i], all->note[i],
			vmc_critnib_nibble(d + 1, rest));
	}
	for (unsigned n = 0; n < NIBBLES; n++) {
		unsigned span = all->span[n];
		if (n < to && n + span > to && span > 0 && n >= from)
			return false;
		if (span && n >= from && n < to)
			add_link(c, all->link[n], 2 * (n - from), 2 * span);
	}
	return true;
}

/* False: no memory, or a bag with a link is for both halves. */
static bool
split_group(struct vmc_critnib *index, struct node *node, uint64_t hash,
	const struct content *all)
{
	uint64_t old = group_of(node, hash), halves[2];
	unsigned d = d_of(old), made = 0;
	struct content c;

	for (; made < 2; made++)
		if (!take_half(index, node, all, d, made, &c) ||
			!vmc_critnib_build(index, node, &c,
				vmc_critnib_arrange(&c, NIBBLES), d + 1,
				&halves[made]))
			break;
	if (made < 2) {
		if (made == 1 && vmc_bag_address(halves[0]))
			vmc_free(&index->memory, vmc_bag_address(halves[0]),
				group_size(halves[0]));
		return false;
	}
	/* the bit of the hash that tells the halves apart */
	uint64_t bit = UINT64_C(1) << (HASH_BITS - 1 - node->skip - d);
	set_group(node, hash & ~bit, halves[0]);
	set_group(node, hash | bit, halves[1]);
	node->deepest += d + 1 == k_of(node) ? 2 : 0;
	retire_group(index, old);
	return true;
}

/* The group of the hash and its other half, if they have few leaves. */
static bool
join_groups(struct vmc_critnib *index, struct node *node, uint64_t hash)
{
	uint64_t halves[2], joined;
	struct content part, c;
	unsigned d = d_of(group_of(node, hash));

	if (d == 0)
		return false;
	uint64_t bit = UINT64_C(1) << (HASH_BITS - node->skip - d);
	halves[0] = group_of(node, hash & ~bit);
	halves[1] = group_of(node, hash | bit);
	if (d_of(halves[0]) != d || d_of(halves[1]) != d)
		return false;
	start_content(&c);
	for (unsigned half = 0; half < 2; half++) {
		gather(&part, halves[half]);
		if (part.links > 0 || part.leaves + c.leaves > JOINED)
			return false;
		for (unsigned i = 0; i < part.leaves; i++)
			add_leaf(&c, part.word[i], part.note[i],
				half * NIBBLES / 2 +
					nibble_of_word(part.word[i]) / 2);
	}
	uint32_t begins = vmc_critnib_arrange(&c, NIBBLES);
	if (begins == IMPOSSIBLE ||
		!vmc_critnib_build(index, node, &c, begins, d - 1, &joined))
		return false;
	node->deepest -= d == k_of(node) ? 2 : 0;
	set_group(node, hash, joined);
	retire_group(index, halves[0]);
	retire_group(index, halves[1]);
	return true;
}

/* --- a group with other bags, bag by bag --- */

/* The bags of a group, each with the nibbles from its own first one on. */
struct bags {
	const bag *bag;
	unsigned count, leaves;
	unsigned begins;
	uint8_t from[NIBBLES];
	uint8_t has[NIBBLES]; /* so many leaves */
};

/* Of a bag without a link. */
static unsigned
free_words(const bag *b)
{
	unsigned count = 0;

	/* a free word has the mark 0, and so has a leaf in 4096 */
	for (unsigned m = vmc_bag_candidates(b, 0); m; m &= m - 1)
		count += vmc_load_relaxed(&b->word[__builtin_ctz(m)]) == 0;
	return count;
}

/* False: the group has no bag, or one with a link. */
static bool
look_at_bags(struct bags *bags, uint64_t g)
{
	unsigned from = 0;

	bags->bag = vmc_bag_address(g);
	bags->begins = begins_of(g);
	bags->count = bags_in(g);
	bags->leaves = 0;
	for (unsigned i = 0; i < bags->count; i++) {
		if (vmc_bag_link(&bags->bag[i]))
			return false;
		bags->from[i] = (uint8_t)from;
		bags->has[i] = (uint8_t)(WORDS - free_words(&bags->bag[i]));
		bags->leaves += bags->has[i];
		from = end_of(bags->begins, from);
	}
	return bags->count > 0;
}

/*
 * The nibble with which the second half of a full bag should begin, one leaf
 * more coming of nibble `more`. NIBBLES: all are of one nibble.
 */
static unsigned
where_to_cut(const bag *b, unsigned more)
{
	unsigned count[NIBBLES] = {0}, below = 0, best = NIBBLES, least = WORDS;

	count[more]++;
	for (unsigned i = 0; i < WORDS; i++)
		count[nibble_of_word(vmc_load_relaxed(&b->word[i]))]++;
	for (unsigned n = 0; n + 1 < NIBBLES; n++) {
		below += count[n];
		unsigned above = WORDS + 1 - below;
		unsigned larger = below > above ? below : above;
		if (larger <= least && above > 0) {
			least = larger;
			best = n + 1;
		}
	}
	return best;
}

/* What bags should begin with where neighbours with few leaves are joined. */
static unsigned
join_bags(const struct bags *bags, unsigned cut)
{
	unsigned begins = bags->begins, together = 0;

	for (unsigned i = 0; i < bags->count; i++) {
		if (i == cut) {
			together = WORDS;
		} else if (i > 0 && together + bags->has[i] <= FILL) {
			begins &= ~(1u << bags->from[i]);
			together += bags->has[i];
		} else {
			together = bags->has[i];
		}
	}
	return begins;
}

/*
 * The leaves of a bag, which are of nibbles from `at` on behind the first of
 * two new bags that they are for; so many words of these are taken.
 */
static void
move_leaves(const bag *from, bag *to, unsigned at, unsigned taken[2])
{
	for (unsigned i = 0; i < WORDS; i++) {
		uint64_t w = vmc_load_relaxed(&from->word[i]);
		if (w == 0)
			continue;
		unsigned second = nibble_of_word(w) >= at;
		vmc_bag_put(&to[second], taken[second]++, w,
			vmc_load_relaxed(&from->note[i]));
	}
}

/* The bags of the node's group, rearranged. False: no memory. */
static bool
regroup(struct vmc_critnib *index, struct node *node, uint64_t hash,
	const struct bags *bags, unsigned begins)
{
	uint64_t old = group_of(node, hash);
	unsigned count = vmc_critnib_count_bits(begins) + 1;
	bag *to = vmc_critnib_allocate(index, count * sizeof(*to));

	if (!to)
		return false;
	bag *b = to;
	unsigned taken[2] = {0};
	for (unsigned i = 0; i < bags->count; i++) {
		unsigned from = bags->from[i], at = end_of(begins, from);
		unsigned end = end_of(bags->begins, from);
		if (i > 0 && begins >> from & 1) {
			b++;
			taken[0] = 0;
		}
		if (taken[0] == 0 && at == end) {
			/* nobody knows the new one or changes the old one */
			memcpy((void *)b, (const void *)&bags->bag[i],
				sizeof(*b));
			taken[0] = WORDS; /* nothing comes behind */
			continue;
		}
		taken[1] = 0;
		move_leaves(&bags->bag[i], b, at, taken);
		if (at < end) {
			b++;
			taken[0] = taken[1];
		}
	}
	set_group(node, hash,
		(uintptr_t)to | d_of(old) |
			(uint64_t)begins << VMC_CRITNIB_BEGINS_SHIFT);
	retire_group(index, old);
	return true;
}

/* Cut the full bag for the hash in two. False: that will not do. */
static bool
cut_bag(struct vmc_critnib *index, struct node *node, uint64_t hash)
{
	uint64_t g = group_of(node, hash);
	unsigned more = vmc_critnib_nibble(g, rest_of(node, hash));
	struct bags bags;

	if (!look_at_bags(&bags, g))
		return false;
	unsigned full =
		vmc_critnib_count_bits(begins_of(g) & ((2u << more) - 1));
	unsigned at = where_to_cut(&bags.bag[full], more);
	if (at == NIBBLES)
		return false;
	unsigned begins = join_bags(&bags, full) | 1u << at;
	if (d_of(g) < k_of(node) &&
		vmc_critnib_count_bits(begins) >= bags_most(node))
		return false;
	return regroup(index, node, hash, &bags, begins);
}

bool
vmc_critnib_make_room(
	struct vmc_critnib *index, struct node *node, uint64_t hash)
{
	struct content c;

	double_table(index, node);
	if (cut_bag(index, node, hash))
		return true;
	uint64_t g = group_of(node, hash);
	gather(&c, g);
	uint32_t begins = vmc_critnib_arrange(
		&c, vmc_critnib_nibble(g, rest_of(node, hash)));
	if (d_of(g) < k_of(node) &&
		(begins == IMPOSSIBLE ||
			vmc_critnib_count_bits(begins) >= bags_most(node)) &&
		split_group(index, node, hash, &c))
		return true;
	if (begins == IMPOSSIBLE)
		return vmc_critnib_push_down(index, node, hash);
	return vmc_critnib_rebuild(index, node, hash, &c, begins);
}

void
vmc_critnib_shrink(struct vmc_critnib *index, struct node *node, uint64_t hash)
{
	struct bags bags;
	struct content c;

	if (look_at_bags(&bags, group_of(node, hash)) && bags.leaves > 0) {
		unsigned begins = join_bags(&bags, NIBBLES);
		if (begins != bags.begins)
			regroup(index, node, hash, &bags, begins);
		if (bags.leaves > JOINED)
			return;
	}
	uint64_t g = group_of(node, hash);
	gather(&c, g);
	uint32_t begins = vmc_critnib_arrange(&c, NIBBLES);
	if (begins != IMPOSSIBLE &&
		(c.leaves + c.links == 0 ||
			vmc_critnib_count_bits(begins) + 1 < bags_in(g)))
		vmc_critnib_rebuild(index, node, hash, &c, begins);
	if (c.leaves <= JOINED) {
		while (join_groups(index, node, hash))
			;
		halve_table(index, node);
	}
}
