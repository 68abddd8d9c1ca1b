/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reserve.h -- victims on their way from the policy
 *
 * One reserve per thread and cache: its owner fills it under the policy's
 * lock with the nodes to evict next, the oldest first, and later takes them one
 * by one without the lock. Until then each is as alive as any other: whoever
 * holds the policy's lock may withdraw it.
 *
 * A node in a slot is held by no policy (prev is NULL), and next leads to the
 * slot: its address plus 1, which no pointer to a node is. Who empties the slot
 * has the node: the owner by an exchange, all others under the lock by a
 * compare and swap, which fails if the owner came first. The owner leaves next
 * as it is, so a node that is marked and not in its slot is the owner's.
 *
 * begin and end count up for ever and wrap around; the slots begin .. end - 1
 * are or were filled, and any of them may be empty again.
 */
#ifndef VMC_LRU_RESERVE_H
#define VMC_LRU_RESERVE_H

#include "base/atomic.h"
#include "lru/policy.h"

#include <stdalign.h>

#define VMC_RESERVE_SIZE 32u

typedef struct vmc_policy_node *_Atomic vmc_reserve_slot;

struct vmc_reserve {
	/* the owner's alone */
	uint32_t begin;
	/* under the policy's lock: written by the owner, read by anyone */
	uint32_t end;
	uint32_t seen; /* end when somebody else last looked */
	alignas(64) vmc_reserve_slot slot[VMC_RESERVE_SIZE];
};

/*
 * The slot that the node is marked to be in, or was until its owner took it;
 * NULL: none. Look once only: the mark goes when the owner claims the node.
 */
static inline vmc_reserve_slot *
vmc_reserve_slot_of(const struct vmc_policy_node *node)
{
	uintptr_t mark = (uintptr_t)vmc_load_acquire(&node->next);

	return mark & 1 ? (vmc_reserve_slot *)(mark - 1) : NULL;
}

/* By the owner: how many nodes are left, or fewer if some were withdrawn. */
static inline uint32_t
vmc_reserve_left(const struct vmc_reserve *r)
{
	return r->end - r->begin;
}

/* By the owner, under the lock, with room: a node that no policy holds. */
static inline void
vmc_reserve_add(struct vmc_reserve *r, struct vmc_policy_node *node)
{
	vmc_reserve_slot *slot = &r->slot[r->end++ % VMC_RESERVE_SIZE];

	vmc_store_relaxed(
		&node->next, (struct vmc_policy_node *)((uintptr_t)slot + 1));
	vmc_store_release(slot, node);
}

/* By the owner: the oldest node, which is now out; NULL: there is none. */
static inline struct vmc_policy_node *
vmc_reserve_take(struct vmc_reserve *r)
{
	while (r->begin != r->end) {
		vmc_reserve_slot *slot =
			&r->slot[r->begin++ % VMC_RESERVE_SIZE];
		struct vmc_policy_node *node = vmc_load_relaxed(slot);
		if (node)
			node = vmc_exchange_acq_rel(slot, NULL);
		if (node)
			return node;
	}
	return NULL;
}

/*
 * By the owner: what is in the slot that is `ahead` after the next one; NULL:
 * nothing. Whether the node still exists is the caller's to know.
 */
static inline struct vmc_policy_node *
vmc_reserve_peek(struct vmc_reserve *r, uint32_t ahead)
{
	if (ahead >= r->end - r->begin)
		return NULL;
	return vmc_load_acquire(
		&r->slot[(r->begin + ahead) % VMC_RESERVE_SIZE]);
}

/* Under the lock: take it out of its slot. False: its owner has taken it. */
static inline bool
vmc_reserve_withdraw(vmc_reserve_slot *slot, struct vmc_policy_node *node)
{
	struct vmc_policy_node *expected = node;

	if (!vmc_cas_acq_rel(slot, &expected, NULL))
		return false;
	vmc_store_relaxed(&node->next, NULL);
	return true;
}

/* Under the lock: give all nodes back to the policy they are from. */
static inline void
vmc_reserve_recall(struct vmc_reserve *r, struct vmc_policy *policy)
{
	for (uint32_t i = 1; i <= VMC_RESERVE_SIZE; i++) {
		vmc_reserve_slot *slot =
			&r->slot[(r->end - i) % VMC_RESERVE_SIZE];
		struct vmc_policy_node *node = vmc_load_relaxed(slot);
		if (node && vmc_reserve_withdraw(slot, node))
			policy->ops->restore(policy, node);
	}
}

/* Under the lock: how many nodes are in it. */
static inline unsigned
vmc_reserve_count(const struct vmc_reserve *r)
{
	unsigned count = 0;

	for (unsigned i = 0; i < VMC_RESERVE_SIZE; i++)
		count += vmc_load_relaxed(&r->slot[i]) != NULL;
	return count;
}

#endif
