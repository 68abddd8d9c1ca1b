/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.h -- what is evicted next: the interface of replacement policies
 *
 * A policy orders nodes, which its user embeds in the entries. It knows
 * nothing else of them. The user calls everything but create, destroy and what
 * fetches under one lock of its own, and feeds touches in batches from the
 * rings.
 */
#ifndef VMC_LRU_POLICY_H
#define VMC_LRU_POLICY_H

#include "base/atomic.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * prev is NULL if and only if the policy does not hold the node: so it starts,
 * and so remove and victim leave it. While it is out, next is its user's.
 */
struct vmc_policy_node {
	struct vmc_policy_node *_Atomic prev;
	struct vmc_policy_node *_Atomic next;
	/* the policy's, whether it holds the node or not; 0 at first */
	_Atomic int32_t hint;
	uint32_t of_user; /* what would be padding: never the policy's */
};

/* How far a thread has come in fetching victims. All zero: nowhere. */
struct vmc_policy_walk {
	/* the next victim then: an address, not followed. NULL: start over */
	const struct vmc_policy_node *from;
	/* the policy's: where it stopped, and when that is known to exist */
	struct vmc_policy_node *at;
	uint64_t taken;
	unsigned ahead;
	/* it was another one before, without a start: others take them, too */
	bool raced;
};

/* So many victims are fetched ahead at most. */
#define VMC_POLICY_AHEAD 16u

struct vmc_policy;

struct vmc_policy_ops {
	const char *name;
	/* false: touches change nothing and need not be recorded */
	bool wants_touches;

	/* -ENOMEM */
	int (*create)(
		struct vmc_policy **policy, const struct vmc_memory *memory);
	/* The nodes it still holds are forgotten. */
	void (*destroy)(struct vmc_policy *policy);
	/* Used, in this order; a node it does not hold becomes held. */
	void (*touch)(struct vmc_policy *policy,
		struct vmc_policy_node *const *nodes, unsigned count);
	/* Let go of a node, if it holds it. */
	void (*remove)(struct vmc_policy *policy, struct vmc_policy_node *node);
	/* Let go of the node to evict next and return it; NULL: none. */
	struct vmc_policy_node *(*victim)(struct vmc_policy *policy);
	/*
	 * Take the latest victim back, so that it would be the next one again.
	 * Several go back in the reverse of the order they came.
	 */
	void (*restore)(
		struct vmc_policy *policy, struct vmc_policy_node *node);
	/*
	 * Bring one more of the next victims into the processor's cache. No
	 * lock is needed, but that no node's memory goes while this runs that
	 * was held when it began, or later.
	 */
	void (*fetch)(struct vmc_policy *policy, struct vmc_policy_walk *walk);
	/*
	 * So many victims as are fetched ahead will be taken at once: get the
	 * right to write them, where another thread may have fetched them, too.
	 * On the same terms.
	 */
	void (*fetch_to_write)(struct vmc_policy *policy);
	/*
	 * Walk everything; 0 and the number of nodes held, or -EINVAL with a
	 * message where an invariant does not hold. For tests.
	 */
	int (*check)(struct vmc_policy *policy, uint64_t *held);
};

/* The first member of every policy's own structure. Immutable. */
struct vmc_policy {
	const struct vmc_policy_ops *ops;
};

extern const struct vmc_policy_ops vmc_policy_none;
extern const struct vmc_policy_ops vmc_policy_lru;

#endif
