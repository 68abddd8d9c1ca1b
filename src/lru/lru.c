/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lru.c -- least recently used, exact in the order it is fed
 *
 * An unrolled list: rows of up to 32 nodes, the oldest row first; in a row the
 * oldest node first. A node says in which place of which row it is.
 *
 *      ends ⇄ row ⇄ row ⇄ ... ⇄ open ⇄ ends        by number:
 *              └▶ places: - n n - ...               live: 0110...
 *                                                   at = number * 32 + place
 *
 *   for every bit of live:  its place leads to a node whose at leads back
 *   a held row              has a bit set, or is the open one; others have none
 *   nodes                   == bits of live
 *
 * All calls come under the user's one lock. What costs here is cache misses:
 * - A node that is used goes to the next place of the open row. Of other nodes
 *   nothing is written, and of where it was one bit. The bits of all rows stand
 *   side by side: those of a million nodes in 200 KB.
 * - Neighbours that have at most MERGED nodes together are merged. With every
 *   EVERY nodes that are used, and every one that is removed, one more row is
 *   looked at, in the order of their numbers: four while one is filled. So
 *   after each round no two neighbours that were there before it have so few,
 *   and at most a quarter of the rows are newer, in whatever order nodes are
 *   used. What merging reads is fetched before, a step each batch. A touch
 *   costs MERGED / 32 writes to other nodes at most, once the number of rows is
 *   steady.
 * - Victims are handed over a row at a time, of which no node is looked at:
 *   whoever gets it knows the addresses of all, fetches them as far ahead as it
 *   likes, and no other thread does.
 * A node takes 7 bytes in rows that are full, some 13 where all are used at
 * random.
 *
 * New rows need memory. What must not fail for lack of it, a node's first touch
 * and restoring victims, takes rows from a stock that its user keeps.
 *
 * Rejected: a doubly linked list of nodes. Of one thread that gets at random it
 * is as fast or a little faster (a get of 1 KiB takes up to 7 % less). But the
 * next victims are found by walking from one to the next, which every thread
 * did: puts of two threads, 240 ns apart, took 433 ns where they take 293; and
 * 20 bytes of each node were in its entry, where 4 are. The bits in their rows,
 * and a row looked at when every fourth node leaves it: 2 to 5 % slower. Places
 * of 8 bytes: 3 bytes more a node. A time stamp in the entry, sampled at
 * eviction: not exact.
 */
#include "policy.h"

#include "base/error.h"
#include "rows.h"

#include <errno.h>
#include <string.h>

typedef struct vmc_policy_row row;

enum {
	PLACES = VMC_POLICY_ROW,
	MERGED = 24, /* nodes, in a row merged of two */
	TENDED = 16, /* rows on their way to be merged */
	EVERY = 8    /* touches, for which a row is looked at */
};

struct lru {
	struct vmc_policy base;
	struct vmc_rows rows;
	row ends;
	row *open;     /* the newest, until another is opened; NULL: none */
	uint32_t next; /* of its places, the first that was not used yet */
	uint32_t end;  /* the one behind its last; next: none is left */
	struct tended {
		row *row;
		enum stage {
			FOUND,
			LINKS_FETCHED,
			FETCHED,
			NODES_FETCHED
		} stage;
	} tended[TENDED];
	unsigned tended_count;
	uint32_t looked_at; /* the row, by number */
};

static struct lru *
lru_of(struct vmc_policy *policy)
{
	return (struct lru *)policy;
}

static row *
row_of(const struct lru *lru, uint32_t at)
{
	return vmc_rows_at(&lru->rows, at);
}

static uint32_t
bit_of(uint32_t at)
{
	return UINT32_C(1) << at % PLACES;
}

static uint32_t *
live_of(const struct lru *lru, const row *r)
{
	return &lru->rows.live[r->number];
}

/* Bits in pairs, fours, bytes: gcc's own calls a function. */
static unsigned
count_of(uint32_t live)
{
	live -= live >> 1 & 0x55555555;
	live = (live & 0x33333333) + (live >> 2 & 0x33333333);
	live = (live + (live >> 4)) & 0x0f0f0f0f;
	return live * 0x01010101 >> 24;
}

static unsigned
lowest(uint32_t live)
{
	return (unsigned)__builtin_ctz(live);
}

static uint32_t
first_of(const row *r)
{
	return r->number * PLACES;
}

/* --- the list --- */

static void
link_before(row *r, row *next)
{
	r->prev = next->prev;
	r->next = next;
	r->prev->next = r;
	next->prev = r;
}

static void
unlink_row(struct lru *lru, row *r)
{
	r->prev->next = r->next;
	r->next->prev = r->prev;
	if (r == lru->open) {
		lru->open = NULL;
		lru->next = lru->end;
	} else {
		vmc_owner_add(&lru->base.bytes, -VMC_ROWS_SIZE);
	}
}

/* A row without nodes goes. */
static void
discard(struct lru *lru, row *r)
{
	unlink_row(lru, r);
	vmc_rows_give_back(&lru->rows, r);
}

static void
place_node(struct lru *lru, row *r, uint32_t at, struct vmc_policy_node *node)
{
	unsigned i = at % PLACES;

	r->places->low[i] = (uint16_t)(uintptr_t)node;
	vmc_store_relaxed(
		&r->places->high[i], (uint32_t)((uintptr_t)node >> 16));
	vmc_store_relaxed(&node->at, at);
	*live_of(lru, r) |= bit_of(at);
}

/* Nodes of a row, `which` of them, to the places of another from i on. */
static void
move_nodes(struct lru *lru, row *from, uint32_t which, row *to, unsigned i)
{
	uint32_t at = first_of(to) + i;

	*live_of(lru, from) &= ~which;
	for (uint32_t m = which; m; m &= m - 1)
		place_node(lru, to, at++, vmc_policy_node_at(from, lowest(m)));
}

/* --- merging --- */

/* Always inline: gcc takes calls that only prefetch for superfluous. */
static inline __attribute__((always_inline)) void
prefetch_places(const row *r)
{
	__builtin_prefetch(&r->places->high[0]);
	__builtin_prefetch(&r->places->high[PLACES / 2]);
	__builtin_prefetch(&r->places->low[0]);
}

static void
prefetch_nodes(const struct lru *lru, const row *r)
{
	for (uint32_t m = *live_of(lru, r); m; m &= m - 1)
		vmc_prefetch_write(vmc_policy_node_at(r, lowest(m)));
}

static void
merge(struct lru *lru, row *r, row *newer)
{
	uint32_t live = *live_of(lru, r);

	move_nodes(lru, r, live, r, 0);
	move_nodes(lru, newer, *live_of(lru, newer), r, count_of(live));
	discard(lru, newer);
}

/* The older of two neighbours that can be merged, of which this is one. */
static row *
pair_of(const struct lru *lru, row *r)
{
	row *other[2] = {r->next, r->prev};
	uint32_t live = *live_of(lru, r);

	if (live == 0 || r == lru->open)
		return NULL;
	for (unsigned i = 0; i < 2; i++)
		if (other[i] != &lru->ends && other[i] != lru->open &&
			count_of(live) + count_of(*live_of(lru, other[i])) <=
				MERGED)
			return i == 0 ? r : other[i];
	return NULL;
}

/* The next rows, so many of all there are: may one of them be merged? */
static void
look_at(struct lru *lru, unsigned count)
{
	uint32_t number = lru->looked_at;

	for (; count > 0 && lru->tended_count < TENDED; count--) {
		if (number == lru->rows.groups * VMC_ROWS_GROUP) {
			number = 0;
			break;
		}
		uint32_t live = lru->rows.live[number++];
		if (live == 0 || count_of(live) > MERGED / 2)
			continue;
		row *r = row_of(lru, (number - 1) * PLACES);
		__builtin_prefetch(r);
		lru->tended[lru->tended_count++] = (struct tended){r, FOUND};
	}
	lru->looked_at = number;
}

/* A step further with each row that may be merged. False: it may not. */
static bool
tend_to(struct lru *lru, struct tended *t)
{
	if (t->stage == FOUND) {
		__builtin_prefetch(t->row->next);
		__builtin_prefetch(t->row->prev);
	} else {
		row *older = pair_of(lru, t->row);
		if (!older)
			return false;
		if (t->stage == LINKS_FETCHED) {
			prefetch_places(older);
			prefetch_places(older->next);
		} else if (t->stage == FETCHED) {
			prefetch_nodes(lru, older);
			prefetch_nodes(lru, older->next);
		} else {
			merge(lru, older, older->next);
			return false;
		}
	}
	t->stage++;
	return true;
}

static void
tend(struct lru *lru, unsigned looks)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < lru->tended_count; i++) {
		struct tended t = lru->tended[i];
		if (tend_to(lru, &t))
			lru->tended[kept++] = t;
	}
	lru->tended_count = kept;
	look_at(lru, looks);
}

/* A row lost its last node: it goes, unless more are to come. */
static void
emptied(struct lru *lru, row *r)
{
	if (r != lru->open)
		discard(lru, r);
}

/* The open row is full, or there is none. False: no memory. */
static __attribute__((noinline)) bool
open_row(struct lru *lru, bool needed)
{
	row *full = lru->open;
	row *r = vmc_rows_take(&lru->rows, needed);

	if (!r)
		return false;
	if (full && *live_of(lru, full) == 0)
		discard(lru, full);
	else if (full)
		vmc_owner_add(&lru->base.bytes, VMC_ROWS_SIZE);
	link_before(r, &lru->ends);
	lru->open = r;
	lru->next = first_of(r);
	lru->end = lru->next + PLACES;
	return true;
}

/*
 * Out of where it is. False: a reserve's owner has it. No node that is held is
 * in a place of a row that is handed over, nor the other way round: the row was
 * given up and got anew only after its nodes had left.
 */
static inline bool
leave(struct lru *lru, struct vmc_policy_node *node, uint32_t at)
{
	uint32_t *live = &lru->rows.live[vmc_policy_row_number(at)];
	uint32_t others = *live & ~bit_of(at);

	if (__builtin_expect(others == *live, 0)) {
		if (!vmc_policy_win_back(row_of(lru, at), at % PLACES, node))
			return false;
		vmc_owner_add(&lru->base.nodes, 1);
		return true;
	}
	*live = others;
	if (__builtin_expect(others == 0, 0))
		emptied(lru, row_of(lru, at));
	return true;
}

/*
 * Where a node is that is elsewhere than it was said to be: it was moved a
 * moment ago, by a merge or as it is among those that are touched at once
 * twice; 0: it is not held, so a reserve's owner has it.
 */
static __attribute__((noinline)) uint32_t
moved_to(const struct lru *lru, const struct vmc_policy_node *node)
{
	uint32_t at = vmc_load_relaxed(&node->at);

	if (!vmc_rows_have(&lru->rows, at))
		return 0;
	const row *r = row_of(lru, at);
	return (*live_of(lru, r) & bit_of(at)) &&
			       vmc_policy_node_at(r, at % PLACES) == node
		       ? at
		       : 0;
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	const uint32_t *ats, unsigned count)
{
	struct lru *lru = lru_of(policy);

	tend(lru, (count + EVERY - 1) / EVERY);
	for (unsigned i = 0; i < count; i++) {
		struct vmc_policy_node *node = nodes[i];
		uint32_t at = ats[i];
		if (__builtin_expect(vmc_load_relaxed(&node->at) != at, 0)) {
			at = moved_to(lru, node);
			if (at == 0)
				continue;
		}
		if (lru->next == lru->end && !open_row(lru, at == 0))
			continue;
		if (at == 0)
			vmc_owner_add(&lru->base.nodes, 1);
		else if (!leave(lru, node, at))
			continue;
		place_node(lru, lru->open, lru->next++, node);
	}
}

static void
remove_node(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct lru *lru = lru_of(policy);

	tend(lru, 1); /* which may move it */
	uint32_t at = vmc_load_acquire(&node->at);
	if (at != 0 && leave(lru, node, at)) {
		vmc_store_relaxed(&node->at, 0);
		vmc_owner_add(&lru->base.nodes, UINT64_MAX);
	}
}

static row *
oldest(struct lru *lru)
{
	row *r = lru->ends.next;

	return r != &lru->ends && *live_of(lru, r) ? r : NULL;
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct lru *lru = lru_of(policy);
	row *r = oldest(lru);

	if (!r)
		return NULL;
	uint32_t *live = live_of(lru, r);
	unsigned i = lowest(*live);
	struct vmc_policy_node *node = vmc_policy_node_at(r, i);
	vmc_store_relaxed(&node->at, 0);
	vmc_owner_add(&lru->base.nodes, UINT64_MAX);
	*live &= *live - 1;
	if (*live == 0)
		emptied(lru, r);
	return node;
}

static void
restore(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct lru *lru = lru_of(policy);
	row *r = oldest(lru);
	unsigned i = r ? lowest(*live_of(lru, r)) : 0;

	if (i == 0) {
		r = vmc_rows_take(&lru->rows, true);
		if (!r) /* more than the stock: see stock() */
			return;
		link_before(r, lru->ends.next);
		vmc_owner_add(&lru->base.bytes, VMC_ROWS_SIZE);
		i = PLACES;
	}
	place_node(lru, r, first_of(r) + i - 1, node);
	vmc_owner_add(&lru->base.nodes, 1);
}

static row *
hand_over(struct vmc_policy *policy, unsigned most)
{
	struct lru *lru = lru_of(policy);
	row *r = oldest(lru);

	if (!r)
		return NULL;
	uint32_t live = *live_of(lru, r);
	if (count_of(live) > most) {
		uint32_t rest = live;
		row *part = vmc_rows_take(&lru->rows, false);
		if (!part)
			return NULL;
		for (unsigned n = 0; n < most; n++)
			rest &= rest - 1;
		move_nodes(lru, r, live & ~rest, part, 0);
		r = part;
	} else {
		unlink_row(lru, r);
	}
	r->live = *live_of(lru, r);
	*live_of(lru, r) = 0;
	vmc_owner_add(&lru->base.nodes, -(uint64_t)count_of(r->live));
	prefetch_places(r);
	return r;
}

static void
give_up(struct vmc_policy *policy, row *r)
{
	vmc_rows_give_back(&lru_of(policy)->rows, r);
}

/* --- the whole --- */

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory)
{
	struct lru *lru = vmc_alloc(memory, sizeof(*lru));

	if (!lru)
		return -ENOMEM;
	memset(lru, 0, sizeof(*lru));
	lru->base.ops = &vmc_policy_lru;
	vmc_rows_init(&lru->rows, memory);
	lru->ends.prev = lru->ends.next = &lru->ends;
	*policy = &lru->base;
	return 0;
}

static void
destroy(struct vmc_policy *policy)
{
	struct lru *lru = lru_of(policy);
	struct vmc_memory memory = lru->rows.memory;

	vmc_rows_fini(&lru->rows);
	vmc_free(&memory, lru, sizeof(*lru));
}

static int
stock(struct vmc_policy *policy, unsigned rows)
{
	return vmc_rows_stock(&lru_of(policy)->rows, rows);
}

static bool
row_check(const struct lru *lru, const row *r)
{
	uint32_t live = *live_of(lru, r);

	if (r->next->prev != r || row_of(lru, first_of(r)) != r ||
		(live == 0 && r != lru->open))
		return false;
	for (; live; live &= live - 1) {
		unsigned i = lowest(live);
		struct vmc_policy_node *node = vmc_policy_node_at(r, i);
		if (!node || vmc_load_relaxed(&node->at) != first_of(r) + i)
			return false;
	}
	return true;
}

/* All bits there are. */
static uint64_t
held_in_all(const struct lru *lru)
{
	uint64_t held = 0;

	for (uint32_t i = 0; i < lru->rows.groups * VMC_ROWS_GROUP; i++)
		held += count_of(lru->rows.live[i]);
	return held;
}

static int
check(struct vmc_policy *policy, uint64_t *held)
{
	struct lru *lru = lru_of(policy);
	uint64_t rows = 0;

	*held = 0;
	for (row *r = lru->ends.next; r != &lru->ends; r = r->next) {
		if (!row_check(lru, r))
			return vmc_fail_const(EINVAL, "lru: a row is broken");
		*held += count_of(*live_of(lru, r));
		rows += r != lru->open;
	}
	if (*held != vmc_load_relaxed(&policy->nodes) ||
		*held != held_in_all(lru) ||
		rows * VMC_ROWS_SIZE != vmc_load_relaxed(&policy->bytes))
		return vmc_fail_const(EINVAL, "lru: miscounted");
	if (lru->open && lru->open != lru->ends.prev)
		return vmc_fail_const(EINVAL, "lru: the open row is not last");
	return 0;
}

const struct vmc_policy_ops vmc_policy_lru = {
	.name = "lru",
	.wants_touches = true,
	.create = create,
	.destroy = destroy,
	.stock = stock,
	.touch = touch,
	.remove = remove_node,
	.victim = victim,
	.restore = restore,
	.hand_over = hand_over,
	.give_up = give_up,
	.check = check,
};
