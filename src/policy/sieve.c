/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sieve.c -- SIEVE (Zhang et al., NSDI 2024)
 *
 * One queue, of which a hand points to a node. The hand goes from the oldest to
 * the newest and then begins anew: what was used since it came by stays where
 * it is, the first that was not is the victim.
 *
 *   oldest | behind the hand | ahead of it | newest
 *
 * Kept as two queues, as nodes pass the hand one by one: what stays goes from
 * the one ahead to the one behind. When nothing is ahead, the two change
 * places.
 *
 * A victim costs looking at all that the hand passes, each of which was used
 * since it passed last: so a look for every first use, but at all nodes at once
 * where all were used.
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
	const uint32_t *ats, const uint32_t *ticks, unsigned count)
{
	struct vmc_queues *q = vmc_queues_of(policy);

	(void)ticks;
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
	.coming = vmc_queues_coming,
	.restore = vmc_queues_restore,
	.hand_over = vmc_queues_hand_over,
	.give_up = vmc_queues_give_up,
	.check = vmc_queues_check,
};
