/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues.h -- a policy that is made of queues: all but what goes into which of
 * them, and which of them the next victim comes from
 */
#ifndef VMC_QUEUES_H
#define VMC_QUEUES_H

#include "ghost.h"
#include "policy.h"
#include "rows.h"

/* First in, first out, by rows, of which the last is being filled. */
struct vmc_queue {
	struct vmc_policy_row ends;
	struct vmc_policy_row *open; /* NULL: none */
	uint32_t next; /* of its places, the first that was not used yet */
	uint32_t end;  /* the one behind its last; next: none is left */
	uint64_t nodes;
	bool weighs;     /* the policy wants to know: */
	uint64_t blocks; /* of the nodes */
};

enum {
	/* victims that came back, the next ones: a queue of every policy */
	VMC_GIVEN_BACK,
	/* the others are the policy's */
	VMC_QUEUE_A,
	VMC_QUEUE_B,

	VMC_QUEUES
};

#define VMC_QUEUES_TIME_BITS 30
#define VMC_QUEUES_TIMES (UINT32_C(1) << VMC_QUEUES_TIME_BITS)

struct vmc_queues {
	struct vmc_policy base;
	struct vmc_policy_user user;
	struct vmc_memory memory;
	struct vmc_rows *rows; /* those of the first; see row_queue() */
	/* of VMC_QUEUES_TIME_BITS. The first's clock, where it has one */
	uint32_t now;
	bool keeps_time;
	struct vmc_queue queue[VMC_QUEUES];
	unsigned survivors; /* the queue of what is found used */
	struct vmc_ghost ghost;
	/* adaptive.c's */
	uint64_t came; /* blocks, of which 1 << tick_log are a tick */
	unsigned tick_log;
	uint64_t evicted[2]; /* by the kind of their ghosts, of late */
	uint64_t ratio_log;
	int64_t worth_log; /* of a block that was evicted of late */
	uint64_t random;
};

static inline struct vmc_queues *
vmc_queues_of(struct vmc_policy *policy)
{
	return (struct vmc_queues *)policy;
}

/* -ENOMEM */
int vmc_queues_create(struct vmc_policy **policy,
	const struct vmc_memory *memory, const struct vmc_policy_user *user,
	const struct vmc_policy_ops *ops);

static inline unsigned
vmc_queues_uses(
	const struct vmc_queues *queues, const struct vmc_policy_node *node)
{
	return vmc_load_relaxed(vmc_policy_uses(&queues->user, node));
}

/*
 * What each eviction and each insertion of a thread that is alone goes through
 * is in line; these are not. At most one node is left of the first row; a place
 * is needed where the open row has none (false: no memory, or, if needed, nor
 * stock); there are too few or too many ghosts.
 */
void vmc_queues_row_ends(struct vmc_queues *queues, unsigned which);
bool vmc_queues_open_row(
	struct vmc_queues *queues, unsigned which, bool needed);
void vmc_queues_fit_ghosts(struct vmc_queues *queues);

static inline void
vmc_queues_count(struct vmc_queues *queues, struct vmc_queue *queue,
	const struct vmc_policy_node *node)
{
	queue->nodes++;
	if (queue->weighs)
		queue->blocks += queues->user.blocks_of(node, queues->user.ctx);
	vmc_owner_add(&queues->base.nodes, 1);
}

static inline void
vmc_queues_uncount(struct vmc_queues *queues, struct vmc_queue *queue,
	const struct vmc_policy_node *node)
{
	queue->nodes--;
	if (queue->weighs)
		queue->blocks -= queues->user.blocks_of(node, queues->user.ctx);
	vmc_owner_add(&queues->base.nodes, UINT64_MAX);
}

/* Its newest. False: no memory; needed: nor stock. */
static inline bool
vmc_queues_push(struct vmc_queues *queues, unsigned which,
	struct vmc_policy_node *node, bool needed)
{
	struct vmc_queue *queue = &queues->queue[which];

	if (__builtin_expect(queue->next == queue->end, 0) &&
		!vmc_queues_open_row(queues, which, needed))
		return false;
	vmc_rows_place(queues->rows, queue->open, queue->next++, node);
	vmc_queues_count(queues, queue, node);
	return true;
}

/*
 * Its oldest, taken out; NULL: it is empty. Only the open row ever has no
 * nodes, and it is the last.
 */
static inline struct vmc_policy_node *
vmc_queues_pop(struct vmc_queues *queues, unsigned which)
{
	struct vmc_queue *queue = &queues->queue[which];
	struct vmc_policy_row *row = queue->ends.next;

	if (queue->nodes == 0)
		return NULL;
	uint32_t *live = vmc_rows_live(queues->rows, row);
	struct vmc_policy_node *node =
		vmc_policy_held_at(row, vmc_rows_lowest(*live));
	uint32_t left = *live & (*live - 1);
	uint32_t but_one = left & (left - 1);
	*live = left;
	vmc_queues_uncount(queues, queue, node);
	vmc_store_relaxed(&node->at, 0);
	/* as if all came from this queue, and none was used */
	if (__builtin_expect(but_one != 0, 1))
		queues->base.coming =
			vmc_policy_held_at(row, vmc_rows_lowest(but_one));
	else
		vmc_queues_row_ends(queues, which);
	return node;
}

/* By the policy's clock, or in rows opened. */
static inline uint32_t
vmc_queues_now(const struct vmc_queues *queues)
{
	return queues->keeps_time ? vmc_queues_of(queues->base.first)->now
				  : queues->rows->opened % VMC_QUEUES_TIMES;
}

/* A row's live tells its queue, and when it was opened. */
static inline unsigned
vmc_queues_row_queue(const struct vmc_policy_row *row)
{
	return row->live / VMC_QUEUES_TIMES;
}

static inline uint32_t
vmc_queues_row_time(const struct vmc_policy_row *row)
{
	return row->live % VMC_QUEUES_TIMES;
}

/* The same where the row is the last one, or not all of it was filled. */
uint32_t vmc_queues_age_of_last(const struct vmc_queues *queues,
	const struct vmc_queue *queue, uint32_t now);

/*
 * How long ago its oldest came into the queue, about: as if the places of a row
 * had been filled at equal times. Of one that is not empty.
 */
static inline uint32_t
vmc_queues_age(const struct vmc_queues *queues, unsigned which, uint32_t now)
{
	const struct vmc_queue *queue = &queues->queue[which];
	const struct vmc_policy_row *row = queue->ends.next;

	if (__builtin_expect(row->next == &queue->ends, 0))
		return vmc_queues_age_of_last(queues, queue, now);
	uint32_t time = vmc_queues_row_time(row);
	uint64_t took =
		(vmc_queues_row_time(row->next) - time) % VMC_QUEUES_TIMES;
	uint32_t first = vmc_rows_lowest(*vmc_rows_live(queues->rows, row));
	return (now - time) % VMC_QUEUES_TIMES -
	       (uint32_t)(took * first / VMC_POLICY_ROW);
}

/* The same, or what is older than all: one was given back. 0: no nodes. */
uint32_t vmc_queues_oldest(const struct vmc_queues *queues, unsigned which);

/*
 * A node that was popped is kept, as the newest of that queue, with so many
 * uses left. False: there is no memory, and it has none left.
 */
static inline bool
vmc_queues_keep(struct vmc_queues *queues, unsigned which,
	struct vmc_policy_node *node, unsigned uses)
{
	bool kept = vmc_queues_push(queues, which, node, false);

	vmc_store_relaxed(
		vmc_policy_uses(&queues->user, node), kept ? (uint8_t)uses : 0);
	return kept;
}

/* The victim that was chosen, or NULL: what is known of it is told. */
static inline void
vmc_queues_chosen(struct vmc_queues *queues, const struct vmc_policy_node *node)
{
	struct vmc_policy *policy = &queues->base;

	policy->hash = 0;
	for (unsigned i = 0; i < VMC_POLICY_KNOWN; i++)
		if (policy->known[i].node == node) {
			policy->hash = policy->known[i].hash;
			policy->known[i].node = NULL;
		}
}

/* It becomes a ghost of that kind: 0 or 1. */
static inline void
vmc_queues_leave_ghost(struct vmc_queues *queues,
	const struct vmc_policy_node *node, unsigned kind)
{
	struct vmc_policy *policy = &queues->base;

	if (policy->hash == 0)
		policy->hash = queues->user.hash_of(node, queues->user.ctx);
	if (__builtin_expect(!vmc_ghost_fits(&queues->ghost,
				     vmc_load_relaxed(&policy->nodes)),
		    0))
		vmc_queues_fit_ghosts(queues);
	vmc_ghost_add(&queues->ghost, policy->hash, kind);
}

/* A node has left, whose ghost did not: where none is left, no ghosts are. */
static inline void
vmc_queues_left(struct vmc_queues *queues)
{
	if (__builtin_expect(vmc_load_relaxed(&queues->base.nodes) == 0, 0))
		vmc_queues_fit_ghosts(queues);
}

/* Of many that are touched: the ghosts are fetched, all at once. */
static inline void
vmc_queues_expect(
	const struct vmc_queues *queues, const uint64_t *words, unsigned count)
{
	if (count == 1 || !words)
		return;
	for (unsigned i = 0; i < count; i++)
		if (words[i])
			vmc_ghost_prefetch(&queues->ghost, words[i]);
}

/* A node is new: the kind of its ghost, that goes. -1: it has none. */
static inline int
vmc_queues_was_ghost(struct vmc_queues *queues,
	const struct vmc_policy_node *node, uint64_t hash)
{
	return vmc_ghost_take(&queues->ghost,
		hash ? hash : queues->user.hash_of(node, queues->user.ctx));
}

/* The next of those given back that was not used since; NULL: none. */
struct vmc_policy_node *vmc_queues_next_again(struct vmc_queues *queues);

static inline struct vmc_policy_node *
vmc_queues_again(struct vmc_queues *queues)
{
	return __builtin_expect(queues->queue[VMC_GIVEN_BACK].nodes == 0, 1)
		       ? NULL
		       : vmc_queues_next_again(queues);
}

/*
 * Of a node that is touched: true, it is new to the policy and to be pushed;
 * else its use is counted.
 */
static inline bool
vmc_queues_is_new(
	struct vmc_queues *queues, struct vmc_policy_node *node, uint32_t at)
{
	if (__builtin_expect(at == 0 && vmc_load_relaxed(&node->at) == 0, 1))
		return true;
	vmc_policy_use(
		vmc_policy_uses(&queues->user, node), queues->base.ops->counts);
	return false;
}

/* A word that was said of a node touched: its hash, or 0. */
static inline uint64_t
vmc_queues_word(const uint64_t *words, unsigned i)
{
	return words ? words[i] : 0;
}

/* What policies of queues have in common, as in policy.h. */
void vmc_queues_destroy(struct vmc_policy *policy);
int vmc_queues_stock(struct vmc_policy *policy, unsigned rows);
void vmc_queues_settle(struct vmc_policy *policy);
void vmc_queues_remove(struct vmc_policy *policy, struct vmc_policy_node *node);
void vmc_queues_restore(
	struct vmc_policy *policy, struct vmc_policy_node *node);
struct vmc_policy_row *vmc_queues_hand_over(
	struct vmc_policy *policy, unsigned most);
void vmc_queues_give_up(struct vmc_policy *policy, struct vmc_policy_row *row);
int vmc_queues_check(struct vmc_policy *policy, uint64_t *held);

#endif
