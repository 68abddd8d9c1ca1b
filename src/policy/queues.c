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

static struct vmc_queue *
queue_of(struct vmc_queues *q, const row *r)
{
	return &q->queue[vmc_queues_row_queue(r)];
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

bool
vmc_queues_open_row(struct vmc_queues *q, unsigned which, bool needed)
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

/* As many as there are nodes, so none where none are left. */
void
vmc_queues_fit_ghosts(struct vmc_queues *q)
{
	if (vmc_ghost_fits(&q->ghost, vmc_load_relaxed(&q->base.nodes)))
		return;
	vmc_policy_add_bytes(&q->base, -vmc_ghost_bytes(&q->ghost));
	vmc_ghost_fit(&q->ghost, vmc_load_relaxed(&q->base.nodes));
	vmc_policy_add_bytes(&q->base, vmc_ghost_bytes(&q->ghost));
}

void
vmc_queues_row_ends(struct vmc_queues *q, unsigned which)
{
	const struct vmc_queue *queue = &q->queue[which];
	row *r = queue->ends.next, *next = r->next;
	uint32_t live = *vmc_rows_live(q->rows, r);
	unsigned ahead = live == 0; /* in the next row */

	if (live == 0 && r != queue->open) {
		discard(q, r);
		/* what comes a row later: nodes and, before them, places */
		if (next->next != &queue->ends)
			vmc_rows_prefetch_nodes(q->rows, next->next);
		if (next->next->next != &queue->ends)
			vmc_rows_prefetch_places(next->next->next);
	}
	q->base.coming = NULL;
	if (next == &queue->ends)
		return;
	live = *vmc_rows_live(q->rows, next);
	if (ahead > 0)
		live &= live - 1;
	if (live)
		q->base.coming =
			vmc_policy_node_at(next, vmc_rows_lowest(live));
}

uint32_t
vmc_queues_age_of_last(
	const struct vmc_queues *q, const struct vmc_queue *queue, uint32_t now)
{
	const row *r = queue->ends.next;
	uint32_t first = vmc_rows_lowest(*vmc_rows_live(q->rows, r));
	uint32_t filled =
		r == queue->open ? queue->next - vmc_rows_first(r) : PLACES;
	uint32_t age = (now - vmc_queues_row_time(r)) % VMC_QUEUES_TIMES;

	return age - (uint32_t)((uint64_t)age * first / filled);
}

uint32_t
vmc_queues_oldest(const struct vmc_queues *q, unsigned which)
{
	if (q->queue[VMC_GIVEN_BACK].nodes > 0)
		return VMC_QUEUES_TIMES;
	return q->queue[which].nodes > 0
		       ? vmc_queues_age(q, which, vmc_queues_now(q)) + 1
		       : 0;
}

struct vmc_policy_node *
vmc_queues_next_again(struct vmc_queues *q)
{
	struct vmc_policy_node *node;

	while ((node = vmc_queues_pop(q, VMC_GIVEN_BACK)))
		if (vmc_queues_uses(q, node) == 0 ||
			!vmc_queues_keep(q, q->survivors, node, 0))
			break;
	return node;
}

/* --- in common --- */

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
	vmc_queues_chosen(q, node);
	if (q->base.coming == node)
		q->base.coming = NULL;
	struct vmc_queue *queue = queue_of(q, r);
	*live &= ~vmc_rows_bit(at);
	vmc_store_relaxed(&node->at, 0);
	vmc_queues_uncount(q, queue, node);
	if (r == queue->open)
		;
	else if (*live == 0)
		discard(q, r);
	else if (vmc_rows_count(*live) <= MERGED / 2)
		merge(q, r);
	vmc_queues_left(q);
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
	vmc_queues_count(q, queue, node);
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
	q->base.stock = &q->rows->is;
	q->memory = *memory;
	q->user = *user;
	q->survivors = VMC_QUEUE_B;
	vmc_ghost_init(&q->ghost, memory);
	q->base.ghost = ops->leaves_ghosts ? &q->ghost : NULL;
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

/* What is said of it is right. */
static bool
is_held(struct vmc_queues *q, const struct vmc_policy_node *node)
{
	uint32_t at = vmc_load_relaxed(&node->at);
	const row *r = vmc_rows_at(q->rows, at);

	return (*vmc_rows_live(q->rows, r) & vmc_rows_bit(at)) != 0 &&
	       vmc_policy_node_at(r, at % PLACES) == node;
}

static bool
hints_check(struct vmc_queues *q)
{
	for (unsigned i = 0; i < VMC_POLICY_KNOWN; i++) {
		const struct vmc_policy_known *known = &q->base.known[i];
		if (known->node &&
			(!is_held(q, known->node) ||
				known->hash != q->user.hash_of(known->node,
						       q->user.ctx)))
			return false;
	}
	return !q->base.coming || is_held(q, q->base.coming);
}

/* Of a row that is in that queue: adds what it holds; false: it is broken. */
static bool
row_check(struct vmc_queues *q, unsigned which, const row *r, uint64_t *nodes,
	uint64_t *blocks)
{
	uint32_t live = *vmc_rows_live(q->rows, r);

	if (r->next->prev != r || vmc_queues_row_queue(r) != which ||
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
	if (!hints_check(q))
		return vmc_fail_const(EINVAL, "queues: a hint is wrong");
	if (*held != vmc_load_relaxed(&policy->nodes) ||
		(q->rows->users == 1 &&
			bytes != vmc_load_relaxed(&policy->bytes)))
		return vmc_fail_const(EINVAL, "queues: miscounted in all");
	return 0;
}
