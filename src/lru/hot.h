/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hot.h -- nodes that are used again and again: a set, with a stamp for each
 *
 *   slot   a node (8 bytes), and beside all others' its stamp (4 bytes): the
 *          tick at which it was used last
 *   order  slots of which a few have been used since they were sorted
 *
 * So using a node of the set is a store to its stamp, and the order is found
 * out when somebody asks for the oldest. Except for that store (see
 * vmc_policy_stamp() in policy.h) all comes under the policy's lock.
 */
#ifndef VMC_LRU_HOT_H
#define VMC_LRU_HOT_H

#include "policy/policy.h"

/* Of memory, for a node of the set. */
#define VMC_HOT_SIZE (sizeof(void *) + sizeof(uint32_t) + 2 * sizeof(uint16_t))

struct vmc_hot {
	struct vmc_policy *policy; /* whose stamps they are */
	struct vmc_memory memory;
	bool active;       /* what is used becomes part of the set */
	uint32_t capacity; /* slots; a power of two, or 0: no arrays */
	uint32_t used;     /* slots from here on have had no node */
	uint32_t count;    /* of nodes */
	uint32_t spare;    /* slots below used: the first, 1 more; 0: none */
	struct vmc_policy_node **node; /* of a spare slot: the next one, odd */
	/* order[next .. end) is of slots that were used before limit */
	uint16_t *order;
	uint16_t *buffer; /* to sort it */
	uint32_t next;
	uint32_t end;
	uint32_t limit;
	/* does it pay? */
	uint32_t left; /* by so many nodes, since the clock was at: */
	uint32_t since;
};

#define VMC_HOT_NONE UINT32_MAX

void vmc_hot_init(struct vmc_hot *hot, struct vmc_policy *policy,
	const struct vmc_memory *memory);
void vmc_hot_fini(struct vmc_hot *hot);

/* Begin a set for a policy of so many nodes. False: no memory. */
bool vmc_hot_begin(struct vmc_hot *hot, uint64_t nodes);

/* Add a node that was used at that tick. False: there is no slot. */
bool vmc_hot_add(
	struct vmc_hot *hot, struct vmc_policy_node *node, uint32_t tick);
/* Is the node where at says? at may be anything. */
bool vmc_hot_has(const struct vmc_hot *hot, uint32_t at,
	const struct vmc_policy_node *node);
/* A node of the set leaves it; its at is not changed. */
void vmc_hot_remove(struct vmc_hot *hot, uint32_t at);
/*
 * The node that was used before all others, and before that tick; NULL: there
 * is none. If tick is in the past, later calls have a later one, and what is
 * added was used after it.
 */
struct vmc_policy_node *vmc_hot_oldest(struct vmc_hot *hot, uint32_t tick);

/* Were its nodes used so seldom lately that it is no use? */
bool vmc_hot_is_idle(struct vmc_hot *hot);

/* New stamps, from 1 on, for the same order, and the clock at the last. */
void vmc_hot_renumber(struct vmc_hot *hot);

/* 0, or -EINVAL with a message. For tests. */
int vmc_hot_check(const struct vmc_hot *hot);

#endif
