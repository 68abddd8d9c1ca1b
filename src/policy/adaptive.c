/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adaptive.c -- two queues, whose lives are balanced by what comes back
 *
 * What is new goes into the new queue, and from its end, if it was used
 * meanwhile, to the main queue. There, what was used goes round once for each
 * use, of three at most. The rest is evicted at the end of either, and leaves a
 * ghost, that tells of which; what comes back while its ghost is remembered
 * goes into the main queue at once.
 *
 * Which of the two ends the victim is from, their ages tell: the new queue's,
 * if what is there came in longer ago than 1 / ratio of what waits at the end
 * of the main queue. Age is counted in blocks that have come in. With a ratio
 * of 1 this is CLOCK: one queue, of which what was used goes round, and which
 * is as good as LRU where LRU is good. With a high ratio, 32 at most, the new
 * queue is short, as in S3-FIFO: good where most of what comes is never used,
 * bad where things are used again after a while, once. In between it is better
 * than both on many loads: the ratio says how much longer what was used once
 * is kept than what was not.
 *
 * The ratio is driven by regret. Let a part r of what was evicted from the new
 * queue come back while its ghost is remembered, and a part s of what was from
 * the main queue. Where r is larger, a block is of more use to the new queue,
 * and the ratio falls; else it rises. So each ghost that comes back moves it
 * (its logarithm) down or up by a step that is weighted with how few victims
 * are from that queue. STEP / nodes is such that a turnover of which a 32nd
 * comes back is enough to get from one end to the other. There is nothing to
 * climb, no period, and no start: the first victims begin at a ratio of 2.
 *
 * Costs. What is dear for its blocks waits longer, in the queue where it is: at
 * the end it goes round unless a random number says no, which it does less
 * often the more it is worth. What others are worth that are evicted is the
 * measure, so costs may be in any unit, and what has none is left alone. Where
 * every tenth key costs 20 times as much, misses cost 42 % less in all, and are
 * 4 % more (tests/api/costs.c).
 *
 * Rejected, by the traces of the benchmark: shares of the blocks in place of
 * ages, as ARC has them. No share is right where what comes in changes its
 * kind, and a share cannot say "as LRU". Steps of one node, as ARC's: too slow
 * for caches as large as these traces fill a few times. Uses in the new queue
 * that are two before they count, as in S3-FIFO: no better at any ratio. Dear
 * values that go from the new queue to the main one: where every second value
 * is dear, misses grow by 18 % then, and their cost does not fall.
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
	return vmc_queues_age(q, NEW) * power_of_two(q->ratio_log) / ONE >
	       vmc_queues_age(q, MAIN);
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
	const uint32_t *ats, const uint32_t *ticks, unsigned count)
{
	struct vmc_queues *q = vmc_queues_of(policy);

	(void)ticks;
	for (unsigned i = 0; i < count; i++) {
		if (!vmc_queues_is_new(q, nodes[i], ats[i]))
			continue;
		int kind = vmc_queues_was_ghost(q, nodes[i]);
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
	vmc_queues_chosen(q);
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
	.weighs_costs = true,
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
