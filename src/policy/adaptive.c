/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adaptive.c -- two queues, balanced by which evicted keys come back
 *
 * A new node goes into the new queue, and from its end, if it was used
 * meanwhile, to the main queue. A node of the main queue goes round once for
 * each use, at most three times. A node without a use is evicted at the end of
 * either queue. It leaves a ghost: the hash of its key, and which queue it was
 * in. A key that comes back while its ghost is remembered goes into the main
 * queue at once.
 *
 * The ages of the two queues' ends decide which end is the victim: that of the
 * new queue, if it is older than 1 / ratio times the age of the main queue's
 * end. Age is the number of blocks inserted since. With a ratio of 1 this is
 * CLOCK: one queue, in which used nodes go round, and which is as good as LRU
 * where LRU is good. With a high ratio, 32 at most, the new queue is short, as
 * in S3-FIFO: good if most new entries are never used, bad if entries are used
 * again once, after a while. In between it is better than both on many loads:
 * the ratio is how much longer an entry is kept that was used once.
 *
 * The ratio adapts to evictions that were wrong. Let a part r of the keys
 * evicted from the new queue come back while their ghosts are remembered, and a
 * part s of those from the main queue. If r is larger, blocks are of more use
 * to the new queue, and the ratio falls; otherwise it rises. So each ghost that
 * comes back moves the logarithm of the ratio down or up by a step, which is
 * larger the fewer victims are from that queue. STEP / nodes is such that the
 * ratio gets from one end to the other while the pool is filled once, if a 32nd
 * of the evicted keys comes back. There is no measuring period and no warm-up:
 * the first victims begin at a ratio of 2.
 *
 * Costs. A value that costs much in proportion to its blocks waits longer, in
 * the queue where it is: at the end it goes round with a probability that grows
 * with its cost per block. That is compared with the cost per block of other
 * victims, so costs may be in any unit, and values without a cost are not
 * affected. If every tenth key costs 20 times as much, misses cost 42 % less in
 * all, and there are 4 % more of them (tests/api/costs.c).
 *
 * Rejected, by the traces of the benchmark: shares of the blocks instead of
 * ages, as in ARC. No share is right if the load changes, and no share is equal
 * to LRU. Steps of one node, as in ARC: too slow for caches that these traces
 * fill only a few times. Counting uses in the new queue from the second on, as
 * in S3-FIFO: no better at any ratio. Moving costly values from the new queue
 * to the main one: if every second value is costly, misses grow by 18 %, and
 * their cost does not fall.
 */
#include "queues.h"

#include <stddef.h>

enum {
	NEW = VMC_QUEUE_A,
	MAIN = VMC_QUEUE_B,
	USES_MAX = 3,
	/* of logarithms: 1 */
	ONE_LOG = 16,
	ONE = 1 << ONE_LOG,
	RATIO_FIRST = 1 * ONE,
	RATIO_MAX = 5 * ONE,
	STEP = 32,
	DEAR_MAX = 5 * ONE,
	SPARED_MAX = 64, /* dear ones, for one victim */
	WORTH_STEP = 64, /* part that the latest victim has in what is usual */
	/* of the clock at least, while a large pool is filled */
	TICKS = 1 << 16
};

#define WORTH_UNKNOWN INT64_MAX

/* Between powers of two a straight line. */
static uint64_t
power_of_two(uint64_t log)
{
	return (ONE + log % ONE) << log / ONE;
}

static int64_t
log_of(uint64_t n)
{
	int whole = 63 - __builtin_clzll(n);

	return (int64_t)((n << ONE_LOG) >> whole) + (whole - 1) * ONE;
}

static bool
is_new_older(const struct vmc_queues *q)
{
	uint32_t now = vmc_queues_now(q);

	return vmc_queues_age(q, NEW, now) * power_of_two(q->ratio_log) / ONE >
	       vmc_queues_age(q, MAIN, now);
}

static unsigned
next_queue(const struct vmc_queues *q)
{
	if (q->queue[NEW].nodes == 0)
		return MAIN;
	if (q->queue[MAIN].nodes == 0)
		return NEW;
	return is_new_older(q) ? NEW : MAIN;
}

/*
 * At the end of a queue, and not used: is it kept for what a miss of it costs?
 * On average it goes round as often as it is worth more, for its blocks, than
 * what is evicted.
 */
static bool
is_dear(struct vmc_queues *q, const struct vmc_policy_node *node)
{
	uint32_t cost = q->user.cost_of(node, q->user.ctx);

	if (cost == 0)
		return false;
	int64_t worth =
		log_of(cost) - log_of(q->user.blocks_of(node, q->user.ctx));
	if (q->worth_log == WORTH_UNKNOWN)
		q->worth_log = worth;
	int64_t more = worth - q->worth_log;
	if (more > 0) {
		uint64_t times = power_of_two(
			(uint64_t)(more < DEAR_MAX ? more : DEAR_MAX));
		q->random = q->random * UINT64_C(6364136223846793005) + 1;
		/* of as many times, all but one */
		if ((q->random >> (64 - ONE_LOG)) * times / ONE >= ONE)
			return true;
	}
	q->worth_log += more / WORTH_STEP;
	return false;
}

/* A ghost of that kind has come back: 0 is of the new queue. */
static void
regret(struct vmc_queues *q, int kind)
{
	uint64_t nodes = vmc_load_relaxed(&q->base.nodes);
	uint64_t all = q->evicted[0] + q->evicted[1];
	uint64_t step =
		STEP * ONE * all / (q->evicted[kind] * (nodes > 0 ? nodes : 1));

	if (step > ONE)
		step = ONE;
	if (kind == 0)
		q->ratio_log -= q->ratio_log < step ? q->ratio_log : step;
	else if (q->ratio_log + step < RATIO_MAX)
		q->ratio_log += step;
	else
		q->ratio_log = RATIO_MAX;
}

static void
tick(struct vmc_queues *q, const struct vmc_policy_node *node)
{
	struct vmc_queues *clock = vmc_queues_of(q->base.first);

	clock->came += q->user.blocks_of(node, q->user.ctx);
	clock->now =
		(uint32_t)(clock->came >> clock->tick_log) % VMC_QUEUES_TIMES;
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	const uint32_t *ats, const uint64_t *words, unsigned count)
{
	struct vmc_queues *q = vmc_queues_of(policy);

	vmc_queues_expect(q, words, count);
	for (unsigned i = 0; i < count; i++) {
		if (!vmc_queues_is_new(q, nodes[i], ats[i]))
			continue;
		int kind = vmc_queues_was_ghost(
			q, nodes[i], vmc_queues_word(words, i));
		if (kind >= 0)
			regret(q, kind);
		tick(q, nodes[i]);
		vmc_queues_push(q, kind >= 0 ? MAIN : NEW, nodes[i], true);
	}
}

/* It is the victim, out of that queue. */
static void
leave(struct vmc_queues *q, struct vmc_policy_node *node, unsigned which)
{
	uint64_t *evicted = q->evicted;

	vmc_queues_chosen(q, node);
	vmc_queues_leave_ghost(q, node, which == MAIN);
	evicted[which == MAIN]++;
	/* of late: of about as many as there are nodes */
	if (evicted[0] + evicted[1] > vmc_load_relaxed(&q->base.nodes) + 16) {
		evicted[0] = (evicted[0] + 1) / 2;
		evicted[1] = (evicted[1] + 1) / 2;
	}
	if (vmc_queues_uses(q, node) > 0)
		vmc_store_relaxed(vmc_policy_uses(&q->user, node), 0);
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	struct vmc_queues *q = vmc_queues_of(policy);
	struct vmc_policy_node *node = vmc_queues_again(q);
	/* others may use all of them meanwhile */
	uint64_t looks = (USES_MAX + 1) * vmc_load_relaxed(&policy->nodes);
	unsigned spared = 0;

	if (__builtin_expect(node != NULL, 0))
		vmc_queues_chosen(q, node);
	while (!node) {
		unsigned which = next_queue(q);
		node = vmc_queues_pop(q, which);
		if (!node)
			break;
		unsigned uses = vmc_queues_uses(q, node);
		if (uses > 0 && looks-- > 0 &&
			vmc_queues_keep(
				q, MAIN, node, which == NEW ? 0 : uses - 1))
			node = NULL;
		else if (uses == 0 && spared < SPARED_MAX && is_dear(q, node) &&
			 vmc_queues_keep(q, which, node, 0)) {
			node = NULL;
			spared++;
		} else {
			leave(q, node, which);
		}
	}
	vmc_queues_left(q);
	return node;
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
	int rc = vmc_queues_create(policy, memory, user, &vmc_policy_adaptive);

	if (rc == 0) {
		struct vmc_queues *q = vmc_queues_of(*policy);
		q->keeps_time = true;
		q->ratio_log = RATIO_FIRST;
		q->worth_log = WORTH_UNKNOWN;
		q->evicted[0] = q->evicted[1] = 1;
		while (user->most_blocks >> q->tick_log >= 2 * TICKS)
			q->tick_log++;
	}
	return rc;
}

const struct vmc_policy_ops vmc_policy_adaptive = {
	.name = "adaptive",
	.wants_touches = true,
	.counts = USES_MAX,
	.leaves_ghosts = true,
	.weighs_costs = true,
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
