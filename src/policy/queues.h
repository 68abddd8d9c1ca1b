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
	unsigned latest;    /* the queue that was popped */
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

/* Its newest. False: no memory; needed: nor stock. */
bool vmc_queues_push(struct vmc_queues *queues, unsigned which,
	struct vmc_policy_node *node, bool needed);
/* Its oldest, taken out; NULL: it is empty. */
struct vmc_policy_node *vmc_queues_pop(
	struct vmc_queues *queues, unsigned which);

/* By the policy's clock, or in rows opened. */
static inline uint32_t
vmc_queues_now(const struct vmc_queues *queues)
{
	return queues->keeps_time ? vmc_queues_of(queues->base.first)->now
				  : queues->rows->opened % VMC_QUEUES_TIMES;
}

/*
 * How long ago its oldest came into the queue, about: a row tells when it was
 * opened. Of one that is not empty.
 */
uint32_t vmc_queues_age(const struct vmc_queues *queues, unsigned which);

/* The same, or what is older than all: one was given back. 0: no nodes. */
uint32_t vmc_queues_oldest(const struct vmc_queues *queues, unsigned which);

/*
 * A node that was popped is kept, as the newest of that queue, with so many
 * uses left. False: there is no memory, and it has none left.
 */
bool vmc_queues_keep(struct vmc_queues *queues, unsigned which,
	struct vmc_policy_node *node, unsigned uses);
/* A victim becomes a ghost of that kind: 0 or 1. */
void vmc_queues_leave_ghost(struct vmc_queues *queues,
	const struct vmc_policy_node *node, unsigned kind);
/* A node is new: the kind of its ghost, that goes. -1: it has none. */
int vmc_queues_was_ghost(
	struct vmc_queues *queues, const struct vmc_policy_node *node);
/* A victim has been chosen: where nothing is left, no ghosts are either. */
void vmc_queues_chosen(struct vmc_queues *queues);
/* The next of those given back that was not used since; NULL: none. */
struct vmc_policy_node *vmc_queues_again(struct vmc_queues *queues);

/*
 * Of a node that is touched: true, it is new to the policy and to be pushed;
 * else its use is counted.
 */
bool vmc_queues_is_new(
	struct vmc_queues *queues, struct vmc_policy_node *node, uint32_t at);

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
struct vmc_policy_node *vmc_queues_coming(
	struct vmc_policy *policy, unsigned ahead);
int vmc_queues_check(struct vmc_policy *policy, uint64_t *held);

#endif
