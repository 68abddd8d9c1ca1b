/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * none.c -- the policy that evicts nothing
 *
 * It holds no node, so it needs no memory: one constant instance serves all.
 */
#include "policy.h"

static struct vmc_policy instance = {
	.ops = &vmc_policy_none, .first = &instance};

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory,
	const struct vmc_policy_user *user)
{
	(void)memory;
	(void)user;
	*policy = &instance;
	return 0;
}

static void
destroy(struct vmc_policy *policy)
{
	(void)policy;
}

static int
stock(struct vmc_policy *policy, unsigned rows)
{
	(void)policy;
	(void)rows;
	return 0;
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	const uint32_t *ats, const uint64_t *words, unsigned count)
{
	(void)policy;
	(void)nodes;
	(void)ats;
	(void)words;
	(void)count;
}

static void
settle(struct vmc_policy *policy)
{
	(void)policy;
}

static void
ignore(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	(void)policy;
	(void)node;
}

static struct vmc_policy_node *
victim(struct vmc_policy *policy)
{
	(void)policy;
	return NULL;
}

static uint32_t
age(struct vmc_policy *policy)
{
	(void)policy;
	return 0;
}

static struct vmc_policy_row *
hand_over(struct vmc_policy *policy, unsigned most)
{
	(void)policy;
	(void)most;
	return NULL;
}

static void
give_up(struct vmc_policy *policy, struct vmc_policy_row *row)
{
	(void)policy;
	(void)row;
}

static int
check(struct vmc_policy *policy, uint64_t *held)
{
	(void)policy;
	*held = 0;
	return 0;
}

const struct vmc_policy_ops vmc_policy_none = {
	.name = "none",
	.wants_touches = false,
	.create = create,
	.destroy = destroy,
	.stock = stock,
	.touch = touch,
	.settle = settle,
	.remove = ignore,
	.victim = victim,
	.age = age,
	.restore = ignore,
	.hand_over = hand_over,
	.give_up = give_up,
	.check = check,
};
