/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lru.c -- least recently used, exact in the order of the touches it is given
 *
 * An unrolled list: its blocks, called rows, have up to 32 nodes each. The
 * oldest row comes first, and in a row the oldest node. node.at names the row
 * and the place in it. The last row is the open one, which is being filled.
 *
 *      ends ⇄ row ⇄ row ⇄ ... ⇄ open ⇄ ends        by number:
 *              └▶ places: - n n - ...               live: 0110...
 *                                                   at = number * 32 + place
 *
 *   for every bit of live:  its place leads to a node whose at leads back
 *   a held row              has a bit set, or is the open one; others have none
 *   nodes                   == bits of live
 *
 * Nodes that are used again and again are in the hot set instead (hot.h). Every
 * node in the set was used after every node in the rows; stamps give the order
 * within the set. So while there is a set, each node that is used goes there.
 * When the set is full, its oldest eighth moves to the end of the rows; when it
 * does not pay, all of it does, except nodes used after the touch that is being
 * processed. If all nodes of the set were used after a node, the node goes to
 * the rows. Victims come from the set only if the rows have none.
 *
 * All calls are made under the policy's lock. CPU cache misses are the cost:
 * - A node that is used moves to the next place of the open row. No other node
 *   is written, and one bit for the place it leaves. The bits of all rows are
 *   side by side: those of a million nodes in 200 KB.
 * - Two neighbouring rows that have at most 24 nodes together are merged. Every
 *   EVERY-th touch, and every removal, inspects one more row, in the order of
 *   row numbers: four rows while one fills. So after each round no two
 *   neighbours that existed before it have so few nodes, and at most a quarter
 *   of the rows are newer, in whatever order nodes are used. What merging reads
 *   is prefetched, one step per batch. Once the number of rows is steady, a
 *   touch costs at most 24 / 32 writes to other nodes.
 * - A thread that needs victims is given a whole row, of which the policy reads
 *   no node. It knows the addresses of all nodes in it, can prefetch them, and
 *   no other thread does.
 * Memory per node, beside the 4 bytes in its entry: 7 bytes if all rows are
 * full, about 13 after gets in random order.
 *
 * New rows need memory. What must not fail without memory (a node's first
 * touch, restoring victims) takes rows from the stock that the user of the
 * policy keeps.
 *
 * Rejected (doc/LABORATORY.md): a doubly linked list, which takes 20 bytes per
 * entry; one thread is up to 7 % faster with it, but two threads that evict
 * wait for each other's nodes (433 ns a put, 293 with rows). The bits of a row
 * within the row: 2 to 5 % slower. Places of 8 bytes: 3 bytes more per node. A
 * time stamp in the entry, sampled at eviction: not exact.
 */
#include "policy/policy.h"

#include "base/error.h"
#include "lru_internal.h"

#include <errno.h>
#include <string.h>

typedef struct vmc_policy_row row;

enum {
	PLACES = VMC_POLICY_ROW,
	EVERY = 8, /* touches for which one row is inspected */
	/* of batches, that began with a node used not long before: */
	HOT_ROWS = VMC_POLICY_HOT_SLOTS / PLACES, /* rows ago, at most */
	HOT_SCORE = 48, /* so many more than others, which count threefold */
	HOT_PART = 8    /* of the hot set, that goes when it is full */
};

static struct vmc_lru *
lru_of(struct vmc_policy *policy)
{
	return (struct vmc_lru *)policy;
}

static void
link_before(row *r, row *next)
{
	r->prev = next->prev;
	r->next = next;
	r->prev->next = r;
	next->prev = r;
}

/* A row lost its last node: it goes, unless more are to come. */
static void
emptied(struct vmc_lru *lru, row *r)
{
	if (r != lru->open)
		vmc_lru_discard(lru, r);
}

/* The open row is full, or there is none. False: no memory. */
static __attribute__((noinline)) bool
open_row(struct vmc_lru *lru, bool needed)
{
	row *full = lru->open;
	row *r = vmc_rows_take(lru->rows, needed);

	if (!r)
		return false;
	if (full && *vmc_rows_live(lru->rows, full) == 0)
		vmc_lru_discard(lru, full);
	else if (full)
		vmc_policy_add_bytes(&lru->base, VMC_ROWS_SIZE);
	link_before(r, &lru->ends);
	r->live = ++lru->rows->opened;
	lru->open = r;
	lru->next = vmc_rows_first(r);
	lru->end = lru->next + PLACES;
	return true;
}

/*
 * Out of where it is. False: a reserve's owner has it. No node that is held is
 * in a place of a row that is handed over, nor the other way round: the row was
 * given up and got anew only after its nodes had left.
 */
static inline bool
leave(struct vmc_lru *lru, struct vmc_policy_node *node, uint32_t at)
{
	uint32_t *live = &lru->rows->live[vmc_policy_row_number(at)];
	uint32_t others = *live & ~vmc_rows_bit(at);

	if (__builtin_expect(others == *live, 0)) {
		if (!vmc_policy_win_back(
			    vmc_rows_at(lru->rows, at), at % PLACES, node))
			return false;
		vmc_owner_add(&lru->base.nodes, 1);
		return true;
	}
	*live = others;
	if (__builtin_expect(others == 0, 0))
		emptied(lru, vmc_rows_at(lru->rows, at));
	return true;
}

/*
 * Where a node is that is elsewhere than it was said to be: it was moved a
 * moment ago, by a merge or as it is among those that are touched at once
 * twice; 0: it is not held, so a reserve's owner has it.
 */
static __attribute__((noinline)) uint32_t
moved_to(const struct vmc_lru *lru, const struct vmc_policy_node *node)
{
	uint32_t at = vmc_load_relaxed(&node->at);

	if (vmc_hot_has(&lru->hot, at, node))
		return at;
	if (!vmc_rows_have(lru->rows, at))
		return 0;
	const row *r = vmc_rows_at(lru->rows, at);
	return (*vmc_rows_live(lru->rows, r) & vmc_rows_bit(at)) &&
			       vmc_policy_node_at(r, at % PLACES) == node
		       ? at
		       : 0;
}

/* --- the hot set --- */

/* The oldest of it, so many that were used before tick, go to the rows. */
static void
cool(struct vmc_lru *lru, uint32_t count, uint32_t tick)
{
	struct vmc_policy_node *node;

	while (count-- > 0 && (node = vmc_hot_oldest(&lru->hot, tick))) {
		if (lru->next == lru->end && !open_row(lru, false))
			return;
		vmc_hot_remove(&lru->hot, vmc_load_relaxed(&node->at));
		vmc_rows_place(lru->rows, lru->open, lru->next++, node);
	}
}

/* Does the set take a node that was used then? */
static bool
has_room(struct vmc_lru *lru, uint32_t tick)
{
	struct vmc_hot *hot = &lru->hot;

	if (hot->active && hot->count == hot->capacity)
		cool(lru, hot->capacity / HOT_PART, tick);
	return hot->active && hot->count < hot->capacity;
}

/* Would it pay? By the first of a batch, which is not in it. */
static void
keep_score(struct vmc_lru *lru, const struct vmc_policy_node *node)
{
	uint32_t at = vmc_load_relaxed(&node->at);

	if (at != 0 && vmc_rows_have(lru->rows, at) &&
		lru->rows->opened - vmc_rows_at(lru->rows, at)->live <=
			HOT_ROWS)
		lru->score++;
	else
		lru->score -= lru->score < 3 ? lru->score : 3;
}

static void
settle(struct vmc_policy *policy)
{
	struct vmc_lru *lru = lru_of(policy);
	struct vmc_hot *hot = &lru->hot;

	if (vmc_load_relaxed(&policy->clock) >= VMC_POLICY_TURN)
		vmc_hot_renumber(hot);
	if (!hot->active) {
		if (lru->score < HOT_SCORE)
			return;
		lru->score = 0;
		vmc_hot_begin(hot, vmc_load_relaxed(&policy->nodes));
	} else if (vmc_hot_is_idle(hot)) {
		cool(lru, hot->count, UINT32_MAX);
		hot->active = hot->count > 0;
	}
}

/* When it was used; what was said is of no use where the clock was set back. */
static uint32_t
tick_of(struct vmc_policy *policy, const uint64_t *ticks, unsigned i)
{
	if (ticks && ticks[i] != 0 &&
		ticks[i] <= vmc_load_relaxed(&policy->clock))
		return (uint32_t)ticks[i];
	return vmc_policy_tick(policy);
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	const uint32_t *ats, const uint64_t *ticks, unsigned count)
{
	struct vmc_lru *lru = lru_of(policy);
	uint32_t tick = 0;

	vmc_lru_tend(vmc_lru_first(lru), (count + EVERY - 1) / EVERY);
	if (!lru->hot.active && ticks && count > 0 && ticks[0] != 0)
		keep_score(lru, nodes[0]);
	for (unsigned i = 0; i < count; i++) {
		struct vmc_policy_node *node = nodes[i];
		uint32_t at = ats[i];
		if (__builtin_expect(vmc_load_relaxed(&node->at) != at, 0)) {
			at = moved_to(lru, node);
			if (at == 0)
				continue;
		}
		bool hot = lru->hot.active;
		if (hot) {
			tick = tick_of(policy, ticks, i);
			if (vmc_policy_stamp(policy, at, tick))
				continue;
			hot = has_room(lru, tick);
		}
		if (!hot && lru->next == lru->end && !open_row(lru, at == 0))
			continue;
		if (at == 0)
			vmc_owner_add(&lru->base.nodes, 1);
		else if (!leave(lru, node, at))
			continue;
		if (hot)
			vmc_hot_add(&lru->hot, node, tick);
		else
			vmc_rows_place(lru->rows, lru->open, lru->next++, node);
	}
}

static void
remove_node(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct vmc_lru *lru = lru_of(policy);

	vmc_lru_tend(vmc_lru_first(lru), 1); /* which may move it */
	uint32_t at = vmc_load_acquire(&node->at);
	bool hot = vmc_hot_has(&lru->hot, at, node);
	if (hot)
		vmc_hot_remove(&lru->hot, at);
	if (hot || (at != 0 && leave(lru, node, at))) {
		vmc_store_relaxed(&node->at, 0);
		vmc_owner_add(&lru->base.nodes, UINT64_MAX);
	}
}

static row *
oldest(struct vmc_lru *lru)
{
	row *r = lru->ends.next;

	return r != &lru->ends && *vmc_rows_live(lru->rows, r) ? r : NULL;
}

/* The oldest of the hot set leaves it; NULL: it is empty. */
static struct vmc_policy_node *
take_hot(struct vmc_lru *lru)
{
	struct vmc_hot *hot = &lru->hot;
	struct vmc_policy_node *node =
		vmc_hot_oldest(hot, vmc_load_relaxed(&lru->base.clock) + 1);

	/* who was the only user a moment ago has set the clock back */
	if (!node && hot->count > 0) {
		vmc_hot_renumber(hot);
		node = vmc_hot_oldest(hot, UINT32_MAX);
	}
	if (node)
		vmc_hot_remove(&lru->hot, vmc_load_relaxed(&node->at));
	return node;
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct vmc_lru *lru = lru_of(policy);
	struct vmc_policy_node *node;
	row *r = oldest(lru);

	if (r) {
		uint32_t *live = vmc_rows_live(lru->rows, r);
		node = vmc_policy_node_at(r, vmc_rows_lowest(*live));
		*live &= *live - 1;
		if (*live == 0)
			emptied(lru, r);
	} else {
		node = take_hot(lru);
		if (!node)
			return NULL;
	}
	vmc_store_relaxed(&node->at, 0);
	vmc_owner_add(&lru->base.nodes, UINT64_MAX);
	return node;
}

static void
restore(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct vmc_lru *lru = lru_of(policy);
	row *r = oldest(lru);
	unsigned i = r ? vmc_rows_lowest(*vmc_rows_live(lru->rows, r)) : 0;

	if (i == 0) {
		r = vmc_rows_take(lru->rows, true);
		if (!r) /* more than the stock: see stock() */
			return;
		link_before(r, lru->ends.next);
		vmc_policy_add_bytes(&lru->base, VMC_ROWS_SIZE);
		i = PLACES;
	}
	vmc_rows_place(lru->rows, r, vmc_rows_first(r) + i - 1, node);
	vmc_owner_add(&lru->base.nodes, 1);
}

/* A row, in no list, of so many of the hot set; NULL: none, or no memory. */
static row *
row_of_hot(struct vmc_lru *lru, unsigned most)
{
	row *r = lru->hot.count > 0 ? vmc_rows_take(lru->rows, false) : NULL;

	for (unsigned i = 0; r && i < most; i++) {
		struct vmc_policy_node *node = take_hot(lru);
		if (!node)
			break;
		vmc_rows_place(lru->rows, r, vmc_rows_first(r) + i, node);
	}
	return r;
}

/* A row, in no list, of the oldest of one; NULL: no memory. */
static row *
part_of(struct vmc_lru *lru, row *r, unsigned most)
{
	uint32_t live = *vmc_rows_live(lru->rows, r), rest = live;
	row *part = vmc_rows_take(lru->rows, false);

	if (!part)
		return NULL;
	for (unsigned n = 0; n < most; n++)
		rest &= rest - 1;
	vmc_rows_move(lru->rows, r, live & ~rest, part, 0);
	return part;
}

/* As if the places of a row had been filled at equal times. */
static uint32_t
age(struct vmc_policy *policy)
{
	struct vmc_lru *lru = lru_of(policy);
	row *r = oldest(lru);

	if (!r)
		return lru->hot.count > 0;
	uint32_t now = lru->rows->opened;
	uint32_t until = r->next == &lru->ends ? now : r->next->live;
	uint32_t filled =
		r == lru->open ? lru->next - vmc_rows_first(r) : PLACES;
	uint32_t first = vmc_rows_lowest(*vmc_rows_live(lru->rows, r));
	return now - r->live + 1 -
	       (uint32_t)((uint64_t)(until - r->live) * first / filled);
}

static row *
hand_over(struct vmc_policy *policy, unsigned most)
{
	struct vmc_lru *lru = lru_of(policy);
	row *r = oldest(lru);

	if (!r)
		r = row_of_hot(lru, most);
	else if (vmc_rows_count(*vmc_rows_live(lru->rows, r)) > most)
		r = part_of(lru, r, most);
	else
		vmc_lru_unlink(lru, r);
	if (!r)
		return NULL;
	r->live = *vmc_rows_live(lru->rows, r);
	*vmc_rows_live(lru->rows, r) = 0;
	vmc_owner_add(&lru->base.nodes, -(uint64_t)vmc_rows_count(r->live));
	vmc_rows_prefetch_places(r);
	return r;
}

static void
give_up(struct vmc_policy *policy, row *r)
{
	vmc_rows_give_back(lru_of(policy)->rows, r);
}

/* --- the whole --- */

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory,
	const struct vmc_policy_user *user)
{
	struct vmc_policy *first = user ? user->first : NULL;
	struct vmc_lru *lru = vmc_alloc(memory, sizeof(*lru));

	if (!lru)
		return -ENOMEM;
	memset(lru, 0, sizeof(*lru));
	lru->base.ops = &vmc_policy_lru;
	lru->base.first = first ? first : &lru->base;
	lru->rows = first ? vmc_rows_share(lru_of(first)->rows)
			  : vmc_rows_new(memory);
	if (!lru->rows) {
		vmc_free(memory, lru, sizeof(*lru));
		return -ENOMEM;
	}
	lru->base.stock = &lru->rows->is;
	lru->memory = *memory;
	vmc_hot_init(&lru->hot, &lru->base, memory);
	lru->ends.prev = lru->ends.next = &lru->ends;
	*policy = &lru->base;
	return 0;
}

static void
destroy(struct vmc_policy *policy)
{
	struct vmc_lru *lru = lru_of(policy);
	struct vmc_memory memory = lru->memory;

	vmc_hot_fini(&lru->hot);
	if (lru->open && *vmc_rows_live(lru->rows, lru->open) == 0)
		vmc_lru_discard(lru, lru->open);
	vmc_rows_delete(lru->rows);
	vmc_free(&memory, lru, sizeof(*lru));
}

static int
stock(struct vmc_policy *policy, unsigned rows)
{
	return vmc_rows_stock(lru_of(policy)->rows, rows);
}

static bool
row_check(const struct vmc_lru *lru, const row *r)
{
	uint32_t live = *vmc_rows_live(lru->rows, r);

	if (r->next->prev != r ||
		vmc_rows_at(lru->rows, vmc_rows_first(r)) != r ||
		(live == 0 && r != lru->open))
		return false;
	for (; live; live &= live - 1) {
		unsigned i = vmc_rows_lowest(live);
		struct vmc_policy_node *node = vmc_policy_node_at(r, i);
		if (!node ||
			vmc_load_relaxed(&node->at) != vmc_rows_first(r) + i)
			return false;
	}
	return true;
}

/* All bits there are. */
static uint64_t
held_in_all(const struct vmc_lru *lru)
{
	uint64_t held = 0;

	for (uint32_t i = 0; i < lru->rows->groups * VMC_ROWS_GROUP; i++)
		held += vmc_rows_count(lru->rows->live[i]);
	return held;
}

static int
check(struct vmc_policy *policy, uint64_t *held)
{
	struct vmc_lru *lru = lru_of(policy);
	uint64_t rows = 0;

	*held = 0;
	for (row *r = lru->ends.next; r != &lru->ends; r = r->next) {
		if (!row_check(lru, r))
			return vmc_fail_const(EINVAL, "lru: a row is broken");
		*held += vmc_rows_count(*vmc_rows_live(lru->rows, r));
		rows += r != lru->open;
	}
	uint64_t hot = lru->hot.count;
	bool alone = lru->rows->users == 1;
	if (*held + hot != vmc_load_relaxed(&policy->nodes) ||
		(alone && *held != held_in_all(lru)) ||
		(alone && rows * VMC_ROWS_SIZE + hot * VMC_HOT_SIZE !=
				  vmc_load_relaxed(&policy->bytes)))
		return vmc_fail_const(EINVAL, "lru: miscounted");
	*held += hot;
	if (lru->open && lru->open != lru->ends.prev)
		return vmc_fail_const(EINVAL, "lru: the open row is not last");
	return vmc_hot_check(&lru->hot);
}

const struct vmc_policy_ops vmc_policy_lru = {
	.name = "lru",
	.wants_touches = true,
	.create = create,
	.destroy = destroy,
	.stock = stock,
	.touch = touch,
	.settle = settle,
	.remove = remove_node,
	.victim = victim,
	.age = age,
	.restore = restore,
	.hand_over = hand_over,
	.give_up = give_up,
	.check = check,
};
