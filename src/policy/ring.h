/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.h -- the buffer of a thread's touches that the policy has not seen yet
 *
 * One ring per thread and cache. The owner pushes the nodes that it touched; a
 * thread that holds the policy's lock takes them out. So a reader that records
 * a touch writes no memory that another reader writes, and waits for no thread.
 *
 * Single producer (the owner), single consumer at a time (the lock). head and
 * tail count up for ever and wrap around; tail - head nodes are in the ring.
 *
 *   push: fills slot[tail], then tail = tail + 1 (release)
 *         pairs with take's acquire of tail: the consumer sees the slot
 *   take: empties slots, then head = head + n (release)
 *         pairs with push's acquire of head: the producer overwrites a slot
 *         only after the consumer has read it
 *
 * The same node may be in a ring more than once. Only one touch is left out:
 * that of the node that the owner pushed last and that is still in the ring; it
 * only updates the word. All others are needed for the exact order A B A -> B
 * A.
 */
#ifndef VMC_RING_H
#define VMC_RING_H

#include "base/atomic.h"
#include "policy/policy.h"

#include <stdalign.h>

#define VMC_RING_SIZE 256u

struct vmc_ring {
	/* written by the owner */
	alignas(64) _Atomic uint32_t tail;
	/* written under the policy's lock */
	alignas(64) _Atomic uint32_t head;
	alignas(64) struct vmc_policy_node *_Atomic slot[VMC_RING_SIZE];
	_Atomic uint64_t word[VMC_RING_SIZE]; /* of each: policy.h, touch */
};

/* By the owner. */
static inline bool
vmc_ring_is_full(const struct vmc_ring *ring)
{
	return vmc_load_relaxed(&ring->tail) - vmc_load_relaxed(&ring->head) ==
	       VMC_RING_SIZE;
}

/* By the owner. How many nodes are in it then; 0 if it is full. */
static inline uint32_t
vmc_ring_push(
	struct vmc_ring *ring, struct vmc_policy_node *node, uint64_t word)
{
	uint32_t tail = vmc_load_relaxed(&ring->tail);
	uint32_t pending = tail - vmc_load_acquire(&ring->head);
	uint32_t last = (tail - 1) % VMC_RING_SIZE;

	if (pending && vmc_load_relaxed(&ring->slot[last]) == node) {
		vmc_store_relaxed(&ring->word[last], word);
		return pending;
	}
	if (pending == VMC_RING_SIZE)
		return 0;
	vmc_store_relaxed(&ring->slot[tail % VMC_RING_SIZE], node);
	vmc_store_relaxed(&ring->word[tail % VMC_RING_SIZE], word);
	vmc_store_release(&ring->tail, tail + 1);
	return pending + 1;
}

/* By the holder of the policy's lock. False: not one is in it, but more or
 * none. */
static inline bool
vmc_ring_take_one(
	struct vmc_ring *ring, struct vmc_policy_node **node, uint64_t *word)
{
	uint32_t head = vmc_load_relaxed(&ring->head);

	if (vmc_load_acquire(&ring->tail) - head != 1)
		return false;
	*node = vmc_load_relaxed(&ring->slot[head % VMC_RING_SIZE]);
	*word = vmc_load_relaxed(&ring->word[head % VMC_RING_SIZE]);
	vmc_store_release(&ring->head, head + 1);
	return true;
}

/* By the holder of the policy's lock: up to max nodes, the oldest first. */
static inline unsigned
vmc_ring_take(struct vmc_ring *ring, struct vmc_policy_node **nodes,
	uint64_t *words, unsigned max)
{
	uint32_t head = vmc_load_relaxed(&ring->head);
	uint32_t n = vmc_load_acquire(&ring->tail) - head;

	if (n == 0)
		return 0;
	if (n > max)
		n = max;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = (head + i) % VMC_RING_SIZE;
		nodes[i] = vmc_load_relaxed(&ring->slot[from]);
		words[i] = vmc_load_relaxed(&ring->word[from]);
	}
	vmc_store_release(&ring->head, head + n);
	return n;
}

#endif
