/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sieve.c -- SIEVE (Zhang et al., NSDI 2024)
 *
 * One queue, and a hand that points to a node. The hand moves from the oldest
 * node to the newest and then starts again. A node that was used since the hand
 * passed it last stays where it is; the first node that was not is the victim.
 *
 *   oldest | behind the hand | ahead of it | newest
 *
 * It is implemented as two queues, those ahead of the hand and those behind it:
 * a node that stays moves from the former to the latter. When no node is ahead,
 * the two queues are swapped.
 *
 * Finding a victim inspects all nodes that the hand passes, each of which was
 * used since the last pass: one inspection for every first use, but all nodes
 * at once if all were used.
 */
#include "queues.h"

static unsigned
ahead_of_hand(struct vmc_queues *q)
{
	unsigned ahead = VMC_QUEUE_A + VMC_QUEUE_B - q->survivors;

	if (q->queue[ahead].nodes > 0)
		return ahead;
	unsigned behind = q->survivors;
	q->survivors = ahead;
	return behind;
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	const uint32_t *ats, const uint64_t *words, unsigned count)
{
	struct vmc_queues *q = vmc_queues_of(policy);

	(void)words;
	for (unsigned i = 0; i < count; i++)
		if (vmc_queues_is_new(q, nodes[i], ats[i]))
			vmc_queues_push(q, ahead_of_hand(q), nodes[i], true);
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	struct vmc_policy_node *node = vmc_queues_again(q);
	/* once round, and again: others may use all of them meanwhile */
	uint64_t looks = 2 * vmc_load_relaxed(&policy->nodes);

	while (!node && (node = vmc_queues_pop(q, ahead_of_hand(q))))
		if (vmc_queues_uses(q, node) > 0 && looks-- > 0 &&
			vmc_queues_keep(q, q->survivors, node, 0))
			node = NULL;
	vmc_queues_chosen(q, node);
	return node;
}

static uint32_t
age(struct vmc_policy *policy)
{
	struct vmc_queues *q = vmc_queues_of(policy);

	return vmc_queues_oldest(q, ahead_of_hand(q));
}

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory,
	const struct vmc_policy_user *user)
{
	return vmc_queues_create(policy, memory, user, &vmc_policy_sieve);
}

const struct vmc_policy_ops vmc_policy_sieve = {
	.name = "sieve",
	.wants_touches = true,
	.counts = 1,
	.create = create,
	.destroy = vmc_queues_destroy,
	.stock = vmc_queues_stock,
	.touch = touch,
	.settle = vmc_queues_settle,
	.remove = vmc_queues_remove,
	.victim = victim,
	.age = age,
	.restore = vmc_queues_restore,
	.hand_over = vmc_queues_hand_over,
	.give_up = vmc_queues_give_up,
	.check = vmc_queues_check,
};
