/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues.c -- what policies made of queues have in common
 *
 * A queue is a list of rows, the oldest first, like that of LRU, but nodes
 * enter at one end and leave at the other. A use does not move a node: the get
 * counts it in a byte of the entry, and only up to the policy's maximum
 * (policy.h). So gets take no lock and leave no touches, and gets of a node at
 * the maximum write nothing. The byte is read when the node has come to the end
 * of its queue: then its entry is evicted, or the byte decremented. If a thread
 * counts a use while another decrements, one of the two changes is lost.
 *
 *   for every bit of live:  its place leads to a node whose at leads back
 *   a row of a queue        has a bit set, or is its open one
 *   nodes, blocks           of all queues, what the bits of live lead to
 *
 * All calls are made under the policy's lock. A removed node leaves its place
 * empty, and neighbouring rows that have at most MERGED nodes together are
 * merged then: so 24 nodes are moved after 24 have left. Evictions empty rows
 * from their end. So a node takes some 7 bytes.
 *
 * Victims in reserve. A node that is given to a thread has no uses left. Before
 * that thread evicts it, it checks whether the node was used since (claim.c):
 * then the node stays in its row, and returns to the policy with it. With one
 * thread alone no nodes are given in advance, since a later choice is a better
 * one, and only then exactly that of the policy.
 *
 * Nodes move to other rows while victims are searched. If there is no memory
 * for such a row, the node becomes the victim. For operations that must not
 * fail the caller keeps a stock of rows.
 */
#include "queues.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

typedef struct vmc_policy_row row;

enum {
	PLACES = VMC_POLICY_ROW,
	MERGED = 24,
	/*
	 * Rows more than LRU needs for the same: an open one for each queue,
	 * and one that is as yet half empty
	 */
	STOCK = 2 * VMC_QUEUES
};

static void
link_before(row *r, row *next)
{
	r->prev = next->prev;
	r->next = next;
	r->prev->next = r;
	next->prev = r;
}

/* A row's live tells its queue, and when it was opened. */
static unsigned
row_queue(const row *r)
{
	return r->live / VMC_QUEUES_TIMES;
}

static uint32_t
row_time(const row *r)
{
	return r->live % VMC_QUEUES_TIMES;
}

static struct vmc_queue *
queue_of(struct vmc_queues *q, const row *r)
{
	return &q->queue[row_queue(r)];
}

/* A row without nodes goes. */
static void
discard(struct vmc_queues *q, row *r)
{
	struct vmc_queue *queue = queue_of(q, r);

	r->prev->next = r->next;
	r->next->prev = r->prev;
	if (r == queue->open) {
		queue->open = NULL;
		queue->next = queue->end;
	} else {
		vmc_policy_add_bytes(&q->base, -VMC_ROWS_SIZE);
	}
	vmc_rows_give_back(q->rows, r);
}

static row *
take_row(struct vmc_queues *q, unsigned which, row *next, bool needed)
{
	row *r = vmc_rows_take(q->rows, needed);

	if (r) {
		link_before(r, next);
		r->live = which * VMC_QUEUES_TIMES + vmc_queues_now(q);
	}
	return r;
}

/* The open row is full, or there is none. False: no memory. */
static bool
open_row(struct vmc_queues *q, unsigned which, bool needed)
{
	struct vmc_queue *queue = &q->queue[which];
	row *full = queue->open;
	row *r = take_row(q, which, &queue->ends, needed);

	if (!r)
		return false;
	if (full && *vmc_rows_live(q->rows, full) == 0)
		discard(q, full);
	else if (full)
		vmc_policy_add_bytes(&q->base, VMC_ROWS_SIZE);
	q->rows->opened++;
	queue->open = r;
	queue->next = vmc_rows_first(r);
	queue->end = queue->next + PLACES;
	return true;
}

static void
count(struct vmc_queues *q, struct vmc_queue *queue,
	const struct vmc_policy_node *node)
{
	queue->nodes++;
	if (queue->weighs)
		queue->blocks += q->user.blocks_of(node, q->user.ctx);
	vmc_owner_add(&q->base.nodes, 1);
}

static void
uncount(struct vmc_queues *q, struct vmc_queue *queue,
	const struct vmc_policy_node *node)
{
	queue->nodes--;
	if (queue->weighs)
		queue->blocks -= q->user.blocks_of(node, q->user.ctx);
	vmc_owner_add(&q->base.nodes, UINT64_MAX);
}

/* As many as there are nodes, so none where none are left. */
static void
fit_ghosts(struct vmc_queues *q)
{
	if (vmc_ghost_fits(&q->ghost, vmc_load_relaxed(&q->base.nodes)))
		return;
	vmc_policy_add_bytes(&q->base, -vmc_ghost_bytes(&q->ghost));
	vmc_ghost_fit(&q->ghost, vmc_load_relaxed(&q->base.nodes));
	vmc_policy_add_bytes(&q->base, vmc_ghost_bytes(&q->ghost));
}

/* --- for the policies --- */

bool
vmc_queues_push(struct vmc_queues *q, unsigned which,
	struct vmc_policy_node *node, bool needed)
{
	struct vmc_queue *queue = &q->queue[which];

	if (queue->next == queue->end && !open_row(q, which, needed))
		return false;
	vmc_rows_place(q->rows, queue->open, queue->next++, node);
	count(q, queue, node);
	return true;
}

struct vmc_policy_node *
vmc_queues_pop(struct vmc_queues *q, unsigned which)
{
	struct vmc_queue *queue = &q->queue[which];
	row *r = queue->ends.next;

	if (queue->nodes == 0)
		return NULL;
	q->latest = which;
	/* only the open row is ever empty, and it is the last */
	uint32_t *live = vmc_rows_live(q->rows, r);
	struct vmc_policy_node *node =
		vmc_policy_node_at(r, vmc_rows_lowest(*live));
	*live &= *live - 1;
	if (*live == 0 && r != queue->open) {
		row *next = r->next;
		discard(q, r);
		/* what comes a row later: nodes and, before them, places */
		if (next->next != &queue->ends)
			vmc_rows_prefetch_nodes(q->rows, next->next);
		if (next->next->next != &queue->ends)
			vmc_rows_prefetch_places(next->next->next);
	}
	uncount(q, queue, node);
	vmc_store_relaxed(&node->at, 0);
	return node;
}

/* As if the places of a row had been filled at equal times. */
uint32_t
vmc_queues_age(const struct vmc_queues *q, unsigned which)
{
	const struct vmc_queue *queue = &q->queue[which];
	const row *r = queue->ends.next;
	uint32_t first = vmc_rows_lowest(*vmc_rows_live(q->rows, r));
	uint32_t filled =
		r == queue->open ? queue->next - vmc_rows_first(r) : PLACES;
	uint32_t age = (vmc_queues_now(q) - row_time(r)) % VMC_QUEUES_TIMES;
	uint32_t took =
		r->next == &queue->ends
			? age
			: (row_time(r->next) - row_time(r)) % VMC_QUEUES_TIMES;

	if (filled == PLACES) /* the usual, without a division */
		return age - (uint32_t)((uint64_t)took * first / PLACES);
	return age - (uint32_t)((uint64_t)took * first / filled);
}

uint32_t
vmc_queues_oldest(const struct vmc_queues *q, unsigned which)
{
	if (q->queue[VMC_GIVEN_BACK].nodes > 0)
		return VMC_QUEUES_TIMES;
	return q->queue[which].nodes > 0 ? vmc_queues_age(q, which) + 1 : 0;
}

bool
vmc_queues_keep(struct vmc_queues *q, unsigned which,
	struct vmc_policy_node *node, unsigned uses)
{
	bool kept = vmc_queues_push(q, which, node, false);

	vmc_store_relaxed(
		vmc_policy_uses(&q->user, node), kept ? (uint8_t)uses : 0);
	return kept;
}

void
vmc_queues_leave_ghost(
	struct vmc_queues *q, const struct vmc_policy_node *node, unsigned kind)
{
	fit_ghosts(q);
	vmc_ghost_add(&q->ghost, q->user.hash_of(node, q->user.ctx), kind);
}

int
vmc_queues_was_ghost(struct vmc_queues *q, const struct vmc_policy_node *node)
{
	return vmc_ghost_take(&q->ghost, q->user.hash_of(node, q->user.ctx));
}

void
vmc_queues_chosen(struct vmc_queues *q)
{
	if (vmc_load_relaxed(&q->base.nodes) == 0)
		fit_ghosts(q);
}

struct vmc_policy_node *
vmc_queues_again(struct vmc_queues *q)
{
	struct vmc_policy_node *node;

	while ((node = vmc_queues_pop(q, VMC_GIVEN_BACK)))
		if (vmc_queues_uses(q, node) == 0 ||
			!vmc_queues_keep(q, q->survivors, node, 0))
			break;
	return node;
}

bool
vmc_queues_is_new(
	struct vmc_queues *q, struct vmc_policy_node *node, uint32_t at)
{
	if (at == 0 && vmc_load_relaxed(&node->at) == 0)
		return true;
	vmc_policy_use(vmc_policy_uses(&q->user, node), q->base.ops->counts);
	return false;
}

/* --- in common --- */

/* As if all came from the queue that the latest did, and none was used. */
struct vmc_policy_node *
vmc_queues_coming(struct vmc_policy *policy, unsigned ahead)
{
	const struct vmc_queues *q = vmc_queues_of(policy);
	const struct vmc_queue *queue = &q->queue[q->latest];

	if (ahead >= queue->nodes)
		return NULL;
	for (const row *r = queue->ends.next;; r = r->next)
		for (uint32_t live = *vmc_rows_live(q->rows, r); live;
			live &= live - 1)
			if (ahead-- == 0)
				return vmc_policy_node_at(
					r, vmc_rows_lowest(live));
}

void
vmc_queues_settle(struct vmc_policy *policy)
{
	(void)policy;
}

int
vmc_queues_stock(struct vmc_policy *policy, unsigned rows)
{
	return vmc_rows_stock(vmc_queues_of(policy)->rows, rows + STOCK);
}

/* Has the row few nodes, and a neighbour as few? They become one. */
static void
merge(struct vmc_queues *q, row *r)
{
	const struct vmc_queue *queue = queue_of(q, r);
	row *pair[2][2] = {{r, r->next}, {r->prev, r}};

	for (unsigned i = 0; i < 2; i++) {
		row *older = pair[i][0], *newer = pair[i][1];
		if (older == &queue->ends || newer == &queue->ends ||
			newer == queue->open ||
			vmc_rows_count(*vmc_rows_live(q->rows, older)) +
					vmc_rows_count(*vmc_rows_live(
						q->rows, newer)) >
				MERGED)
			continue;
		vmc_rows_merge(q->rows, older, newer);
		discard(q, newer);
		return;
	}
}

void
vmc_queues_remove(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	uint32_t at = vmc_load_acquire(&node->at);

	if (at == 0)
		return;
	row *r = vmc_rows_at(q->rows, at);
	uint32_t *live = vmc_rows_live(q->rows, r);
	if (!(*live & vmc_rows_bit(at))) {
		vmc_policy_win_back(r, at % PLACES, node);
		return;
	}
	struct vmc_queue *queue = queue_of(q, r);
	*live &= ~vmc_rows_bit(at);
	vmc_store_relaxed(&node->at, 0);
	uncount(q, queue, node);
	if (r == queue->open)
		;
	else if (*live == 0)
		discard(q, r);
	else if (vmc_rows_count(*live) <= MERGED / 2)
		merge(q, r);
	vmc_queues_chosen(q);
}

void
vmc_queues_restore(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	struct vmc_queue *queue = &q->queue[VMC_GIVEN_BACK];
	row *r = queue->ends.next;
	unsigned i = queue->nodes > 0
			     ? vmc_rows_lowest(*vmc_rows_live(q->rows, r))
			     : 0;

	if (i == 0) {
		r = take_row(q, VMC_GIVEN_BACK, r, true);
		if (!r) /* more than the stock: see stock() */
			return;
		vmc_policy_add_bytes(&q->base, VMC_ROWS_SIZE);
		i = PLACES;
	}
	vmc_rows_place(q->rows, r, vmc_policy_place(r, i - 1), node);
	count(q, queue, node);
}

row *
vmc_queues_hand_over(struct vmc_policy *policy, unsigned most)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	row *r = vmc_rows_take(q->rows, false);
	struct vmc_policy_node *node;
	unsigned i = 0;

	if (!r)
		return NULL;
	while (i < most && (node = policy->ops->victim(policy)))
		vmc_rows_place(q->rows, r, vmc_policy_place(r, i++), node);
	r->live = *vmc_rows_live(q->rows, r);
	*vmc_rows_live(q->rows, r) = 0;
	if (i == 0) {
		vmc_rows_give_back(q->rows, r);
		return NULL;
	}
	return r;
}

/* What its owner has left there was used meanwhile. */
void
vmc_queues_give_up(struct vmc_policy *policy, row *r)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	struct vmc_policy_node *used[PLACES];
	unsigned n = 0;

	for (uint32_t live = r->live; live; live &= live - 1) {
		used[n] = vmc_policy_take(r, vmc_rows_lowest(live));
		n += used[n] != NULL;
	}
	vmc_rows_give_back(q->rows, r);
	for (unsigned i = 0; i < n; i++) {
		vmc_store_relaxed(vmc_policy_uses(&q->user, used[i]), 0);
		vmc_queues_push(q, q->survivors, used[i], true);
	}
}

int
vmc_queues_create(struct vmc_policy **policy, const struct vmc_memory *memory,
	const struct vmc_policy_user *user, const struct vmc_policy_ops *ops)
{
	struct vmc_queues *q = vmc_alloc(memory, sizeof(*q));

	if (!q)
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->base.ops = ops;
	q->base.first = user->first ? user->first : &q->base;
	q->rows = user->first ? vmc_rows_share(vmc_queues_of(user->first)->rows)
			      : vmc_rows_new(memory);
	if (!q->rows) {
		vmc_free(memory, q, sizeof(*q));
		return -ENOMEM;
	}
	q->memory = *memory;
	q->user = *user;
	q->survivors = VMC_QUEUE_B;
	q->latest = VMC_QUEUE_A;
	vmc_ghost_init(&q->ghost, memory);
	for (unsigned i = 0; i < VMC_QUEUES; i++)
		q->queue[i].ends.prev = q->queue[i].ends.next =
			&q->queue[i].ends;
	*policy = &q->base;
	return 0;
}

void
vmc_queues_destroy(struct vmc_policy *policy)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	struct vmc_memory memory = q->memory;

	vmc_policy_add_bytes(policy, -vmc_ghost_bytes(&q->ghost));
	vmc_ghost_fini(&q->ghost);
	for (unsigned i = 0; i < VMC_QUEUES; i++)
		if (q->queue[i].open && q->queue[i].nodes == 0)
			discard(q, q->queue[i].open);
	vmc_rows_delete(q->rows);
	vmc_free(&memory, q, sizeof(*q));
}

/* Of a row that is in that queue: adds what it holds; false: it is broken. */
static bool
row_check(struct vmc_queues *q, unsigned which, const row *r, uint64_t *nodes,
	uint64_t *blocks)
{
	uint32_t live = *vmc_rows_live(q->rows, r);

	if (r->next->prev != r || row_queue(r) != which ||
		(live == 0 && r != q->queue[which].open))
		return false;
	for (; live; live &= live - 1) {
		unsigned i = vmc_rows_lowest(live);
		struct vmc_policy_node *node = vmc_policy_node_at(r, i);
		if (!node ||
			vmc_load_relaxed(&node->at) != vmc_policy_place(r, i))
			return false;
		++*nodes;
		*blocks += q->user.blocks_of(node, q->user.ctx);
	}
	return true;
}

int
vmc_queues_check(struct vmc_policy *policy, uint64_t *held)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	uint64_t bytes = vmc_ghost_bytes(&q->ghost);

	*held = 0;
	for (unsigned i = 0; i < VMC_QUEUES; i++) {
		const struct vmc_queue *queue = &q->queue[i];
		uint64_t nodes = 0, blocks = 0;
		for (row *r = queue->ends.next; r != &queue->ends;
			r = r->next) {
			if (!row_check(q, i, r, &nodes, &blocks))
				return vmc_fail_const(
					EINVAL, "queues: a row is broken");
			if (r != queue->open)
				bytes += VMC_ROWS_SIZE;
		}
		if (nodes != queue->nodes ||
			(queue->weighs && blocks != queue->blocks) ||
			(queue->open && queue->open != queue->ends.prev))
			return vmc_fail_const(EINVAL, "queues: miscounted");
		*held += nodes;
	}
	if (*held != vmc_load_relaxed(&policy->nodes) ||
		(q->rows->users == 1 &&
			bytes != vmc_load_relaxed(&policy->bytes)))
		return vmc_fail_const(EINVAL, "queues: miscounted in all");
	return 0;
}
