/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * s3fifo.c -- S3-FIFO (Yang et al., SOSP 2023)
 *
 * A new node goes into a small queue, of a tenth of the blocks. If it was used
 * twice by the time it comes to the end, it goes on to the main queue, with its
 * count reset; otherwise it is evicted, and leaves a ghost. A key that comes
 * back while its ghost is remembered goes into the main queue at once. There a
 * node goes round once for each use, at most three times, and is evicted when
 * it has no use. The victim is taken from the main queue if that has more than
 * its share, or if the small one is empty.
 *
 * Differences from the paper: ghosts are limited by number, not by size, to the
 * number of entries (in the paper: of those in the main queue); two bytes per
 * entry suffice for that. With fewer ghosts, loads that use more keys in turn
 * than the cache holds miss more. A value larger than the small queue is
 * stored, too. Rejected: the correlation window of Clock2Q+ (VLDB 2026), in
 * which a hit soon after the insertion does not count: of the traces' 25 rows
 * it lowered the mean from .7222 to .7219 at best.
 */
#include "queues.h"

enum {
	SMALL = VMC_QUEUE_A,
	MAIN = VMC_QUEUE_B,
	SMALL_PART = 10, /* of the blocks */
	PROMOTED = 2,    /* uses in the small queue */
	USES_MAX = 3
};

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	const uint32_t *ats, const uint64_t *words, unsigned count)
{
	struct vmc_queues *q = vmc_queues_of(policy);

	vmc_queues_expect(q, words, count);
	for (unsigned i = 0; i < count; i++) {
		if (!vmc_queues_is_new(q, nodes[i], ats[i]))
			continue;
		bool back = vmc_queues_was_ghost(q, nodes[i],
				    vmc_queues_word(words, i)) >= 0;
		vmc_queues_push(q, back ? MAIN : SMALL, nodes[i], true);
	}
}

static struct vmc_policy_node *
from_small(struct vmc_queues *q)
{
	struct vmc_policy_node *node;

	while ((node = vmc_queues_pop(q, SMALL))) {
		unsigned uses = vmc_queues_uses(q, node);
		if (uses >= PROMOTED && vmc_queues_keep(q, MAIN, node, 0))
			continue;
		vmc_queues_chosen(q, node);
		vmc_queues_leave_ghost(q, node, 0);
		if (uses > 0)
			vmc_store_relaxed(vmc_policy_uses(&q->user, node), 0);
		break;
	}
	return node;
}

static struct vmc_policy_node *
from_main(struct vmc_queues *q)
{
	/* others may use all of them meanwhile */
	uint64_t looks = USES_MAX * q->queue[MAIN].nodes;
	struct vmc_policy_node *node;

	while ((node = vmc_queues_pop(q, MAIN))) {
		unsigned uses = vmc_queues_uses(q, node);
		if (uses == 0 || looks-- == 0 ||
			!vmc_queues_keep(q, MAIN, node, uses - 1))
			break;
	}
	return node;
}

static unsigned
next_queue(const struct vmc_queues *q)
{
	uint64_t blocks = q->user.blocks;

	if (blocks == 0)
		blocks = q->queue[SMALL].blocks + q->queue[MAIN].blocks;
	uint64_t share = blocks - blocks / SMALL_PART;

	return q->queue[MAIN].blocks > share || q->queue[SMALL].nodes == 0
		       ? MAIN
		       : SMALL;
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	struct vmc_policy_node *node = vmc_queues_again(q);

	if (!node && next_queue(q) == SMALL) {
		node = from_small(q);
		if (node)
			return node;
	}
	if (!node)
		node = from_main(q);
	vmc_queues_chosen(q, node);
	vmc_queues_left(q);
	return node;
}

static void
resize(struct vmc_policy *policy, uint64_t blocks)
{
	vmc_queues_of(policy)->user.blocks = blocks;
}

static uint32_t
age(struct vmc_policy *policy)
{
	struct vmc_queues *q = vmc_queues_of(policy);

	return vmc_queues_oldest(q, next_queue(q));
}

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory,
	const struct vmc_policy_user *user)
{
	int rc = vmc_queues_create(policy, memory, user, &vmc_policy_s3fifo);

	if (rc == 0) {
		struct vmc_queue *queue = vmc_queues_of(*policy)->queue;
		queue[MAIN].weighs = true;
		queue[SMALL].weighs = user->blocks == 0;
	}
	return rc;
}

const struct vmc_policy_ops vmc_policy_s3fifo = {
	.name = "s3fifo",
	.wants_touches = true,
	.counts = USES_MAX,
	.leaves_ghosts = true,
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
	.resize = resize,
	.check = vmc_queues_check,
};
