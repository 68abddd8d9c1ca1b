/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lru.c -- least recently used, exact in the order it is fed
 *
 * An unrolled list: rows of up to 32 nodes, the oldest row first; in a row the
 * oldest node first. A node says in which place of which row it is.
 *
 *      ends ⇄ row ⇄ row ⇄ ... ⇄ open ⇄ ends        groups of rows, by number
 *              │ live: 0110...                      at = number * 32 + place
 *              └▶ place: - n n - ...
 *
 *   for every bit of a held row:  its place leads to a node whose at leads back
 *   a held row                    has a bit set, or is the open one
 *   nodes                         == bits of held rows
 *
 * All calls come under the user's one lock. What costs here is cache misses:
 * - A node that is used goes to the next place of the open row. Of other nodes
 *   nothing is written, and of where it was one bit. Rows that have lost more
 *   than half of their nodes are merged with a neighbour, a step each batch, so
 *   that what merging reads has been fetched by then: for each row that is
 *   filled one is merged away, so a touch costs MERGED / 32 writes to other
 *   nodes at most, once the number of rows is steady.
 * - Victims are handed over a row at a time, of which no node is looked at:
 *   whoever gets it knows the addresses of all, fetches them as far ahead as it
 *   likes, and no other thread does.
 * A node takes 9 bytes in rows that are full, some 16 where all are used at
 * random.
 *
 * New rows need memory. What must not fail for lack of it, a node's first touch
 * and restoring victims, takes rows from a stock that its user keeps.
 *
 * Rejected: a doubly linked list of nodes. Of one thread that gets at random it
 * is as fast or faster (a get of 1 KiB takes 4 to 8 % less), as many misses are
 * under way at once when it moves a batch. But the next victims are found by
 * walking from one to the next, which every thread did: puts of two threads,
 * 240 ns apart, took 433 ns where they take 293; and 20 bytes of each node were
 * in its entry, where 4 are. The bits of all rows side by side, 80 KB: gets 1.5
 * % slower. A time stamp in the entry, sampled at eviction: not exact.
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
	TENDED = 8   /* rows on their way to be merged */
};

struct lru {
	struct vmc_policy base;
	struct vmc_rows rows;
	row ends;
	row *open;     /* the newest, if it has places left; NULL: none */
	unsigned used; /* its places; all, if there is none */
	struct tended {
		row *row;
		enum stage { FOUND, FETCHED, NODES_FETCHED } stage;
	} tended[TENDED];
	unsigned tended_count;
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

static unsigned
count_of(const row *r)
{
	return (unsigned)__builtin_popcount(r->live);
}

static unsigned
lowest(uint32_t live)
{
	return (unsigned)__builtin_ctz(live);
}

static bool
is_handed_over(const row *r)
{
	return r->prev == NULL;
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
	r->prev = NULL;
	if (r == lru->open) {
		lru->open = NULL;
		lru->used = PLACES;
	} else {
		vmc_owner_add(&lru->base.bytes, -VMC_ROWS_SIZE);
	}
}

static void
place_node(row *r, unsigned i, struct vmc_policy_node *node)
{
	vmc_store_relaxed(&r->place[i], node);
	vmc_store_relaxed(&node->at, r->number * PLACES + i);
	r->live |= UINT32_C(1) << i;
}

/* Nodes of a row, `which` of them, to the places of another from `i` on. */
static void
move_nodes(row *from, uint32_t which, row *to, unsigned i)
{
	from->live &= ~which;
	for (uint32_t m = which; m; m &= m - 1, i++)
		place_node(to, i, vmc_load_relaxed(&from->place[lowest(m)]));
}

/* --- merging --- */

/* Always inline: gcc takes calls that only prefetch for superfluous. */
static inline __attribute__((always_inline)) void
prefetch_places(const row *r)
{
	for (unsigned i = 0; i < PLACES; i += 8)
		__builtin_prefetch(&r->place[i]);
}

static void
prefetch_nodes(const row *r)
{
	for (uint32_t m = r->live; m; m &= m - 1)
		vmc_prefetch_write(vmc_load_relaxed(&r->place[lowest(m)]));
}

static void
merge(struct lru *lru, row *r, row *newer)
{
	move_nodes(r, r->live, r, 0);
	move_nodes(newer, newer->live, r, count_of(r));
	unlink_row(lru, newer);
	vmc_rows_give_back(&lru->rows, newer);
}

/* The older of two neighbours that can be merged, of which this is one. */
static row *
pair_of(const struct lru *lru, row *r)
{
	row *other[2] = {r->next, r->prev};

	if (is_handed_over(r) || r == lru->open)
		return NULL;
	for (unsigned i = 0; i < 2; i++)
		if (other[i] != &lru->ends && other[i] != lru->open &&
			count_of(r) + count_of(other[i]) <= MERGED)
			return i == 0 ? r : other[i];
	return NULL;
}

/* A step further with each row that may be merged. */
static void
tend(struct lru *lru)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < lru->tended_count; i++) {
		struct tended t = lru->tended[i];
		row *older = pair_of(lru, t.row);

		if (!older)
			continue;
		if (t.stage == NODES_FETCHED) {
			merge(lru, older, older->next);
			continue;
		}
		if (t.stage == FOUND) {
			prefetch_places(older);
			prefetch_places(older->next);
		} else {
			prefetch_nodes(older);
			prefetch_nodes(older->next);
		}
		t.stage++;
		lru->tended[kept++] = t;
	}
	lru->tended_count = kept;
}

/* A node has left a row: give it up, or see whether it may be merged. */
static __attribute__((noinline)) void
look_at(struct lru *lru, row *r)
{
	if (r == lru->open)
		return;
	if (r->live == 0) {
		unlink_row(lru, r);
		vmc_rows_give_back(&lru->rows, r);
	} else if (count_of(r) <= MERGED / 2 && lru->tended_count < TENDED) {
		__builtin_prefetch(r->next);
		__builtin_prefetch(r->prev);
		lru->tended[lru->tended_count++] = (struct tended){r, FOUND};
	}
}

/*
 * A node leaves the place of a row where it is held. Every fourth time the row
 * is looked at, whatever the order in which nodes are used.
 */
static inline void
drop(struct lru *lru, row *r, const struct vmc_policy_node *node, uint32_t at)
{
	uintptr_t mixed = (uintptr_t)node / 32 ^ lru->used;

	r->live &= ~bit_of(at);
	if (r->live == 0 || mixed % 4 == 0)
		look_at(lru, r);
}

/* The open row is full, or there is none. False: no memory. */
static __attribute__((noinline)) bool
open_row(struct lru *lru, bool needed)
{
	row *full = lru->open;
	row *r = vmc_rows_take(&lru->rows, needed);

	if (!r)
		return false;
	if (full && full->live == 0) {
		unlink_row(lru, full);
		vmc_rows_give_back(&lru->rows, full);
	} else if (full) {
		vmc_owner_add(&lru->base.bytes, VMC_ROWS_SIZE);
	}
	link_before(r, &lru->ends);
	lru->open = r;
	lru->used = 0;
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
	row *r = row_of(lru, at);

	if (__builtin_expect(is_handed_over(r), 0)) {
		if (!vmc_policy_win_back(&r->place[at % PLACES], node))
			return false;
		vmc_owner_add(&lru->base.nodes, 1);
	} else {
		drop(lru, r, node, at);
	}
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
	return !is_handed_over(r) && (r->live & bit_of(at)) &&
			       vmc_load_relaxed(&r->place[at % PLACES]) == node
		       ? at
		       : 0;
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	const uint32_t *ats, unsigned count)
{
	struct lru *lru = lru_of(policy);

	for (unsigned i = 0; i < count; i++)
		if (ats[i] != 0)
			__builtin_prefetch(row_of(lru, ats[i]));
	tend(lru);
	for (unsigned i = 0; i < count; i++) {
		struct vmc_policy_node *node = nodes[i];
		uint32_t at = ats[i];
		if (__builtin_expect(vmc_load_relaxed(&node->at) != at, 0)) {
			at = moved_to(lru, node);
			if (at == 0)
				continue;
		}
		if (lru->used == PLACES && !open_row(lru, at == 0))
			continue;
		if (at == 0)
			vmc_owner_add(&lru->base.nodes, 1);
		else if (!leave(lru, node, at))
			continue;
		place_node(lru->open, lru->used++, node);
	}
}

static void
remove_node(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct lru *lru = lru_of(policy);

	tend(lru); /* which may move it */
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

	return r->live ? r : NULL; /* of the ends, too */
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct lru *lru = lru_of(policy);
	row *r = oldest(lru);

	if (!r)
		return NULL;
	unsigned i = lowest(r->live);
	struct vmc_policy_node *node = vmc_load_relaxed(&r->place[i]);
	vmc_store_relaxed(&node->at, 0);
	vmc_owner_add(&lru->base.nodes, UINT64_MAX);
	drop(lru, r, node, i);
	return node;
}

static void
restore(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct lru *lru = lru_of(policy);
	row *r = oldest(lru);

	if (!r || lowest(r->live) == 0) {
		r = vmc_rows_take(&lru->rows, true);
		if (!r) /* more than the stock: see stock() */
			return;
		link_before(r, lru->ends.next);
		vmc_owner_add(&lru->base.bytes, VMC_ROWS_SIZE);
	}
	place_node(r, r->live ? lowest(r->live) - 1 : PLACES - 1, node);
	vmc_owner_add(&lru->base.nodes, 1);
}

static row *
hand_over(struct vmc_policy *policy, unsigned most)
{
	struct lru *lru = lru_of(policy);
	row *r = oldest(lru);

	if (!r)
		return NULL;
	if (count_of(r) > most) {
		uint32_t rest = r->live;
		row *part = vmc_rows_take(&lru->rows, false);
		if (!part)
			return NULL;
		for (unsigned n = 0; n < most; n++)
			rest &= rest - 1;
		move_nodes(r, r->live & ~rest, part, 0);
		r = part;
	} else {
		unlink_row(lru, r);
	}
	vmc_owner_add(&lru->base.nodes, -(uint64_t)count_of(r));
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
	lru->used = PLACES;
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
	if (r->next->prev != r || row_of(lru, r->number * PLACES) != r ||
		(r->live == 0 && r != lru->open))
		return false;
	for (uint32_t m = r->live; m; m &= m - 1) {
		unsigned i = lowest(m);
		struct vmc_policy_node *node = vmc_load_relaxed(&r->place[i]);
		if (!node ||
			vmc_load_relaxed(&node->at) != r->number * PLACES + i)
			return false;
	}
	return true;
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
		*held += count_of(r);
		rows += r != lru->open;
	}
	if (*held != vmc_load_relaxed(&policy->nodes) ||
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
