/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * none.c -- the policy that evicts nothing
 *
 * It holds no node, so it needs no memory: one constant instance serves all.
 */
#include "policy.h"

static struct vmc_policy instance = {.ops = &vmc_policy_none};

static int
create(struct vmc_policy **policy, const struct vmc_memory *memory)
{
	(void)memory;
	*policy = &instance;
	return 0;
}

static void
destroy(struct vmc_policy *policy)
{
	(void)policy;
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *const *nodes,
	unsigned count)
{
	(void)policy;
	(void)nodes;
	(void)count;
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

static void
fetch(struct vmc_policy *policy, struct vmc_policy_walk *walk)
{
	(void)policy;
	(void)walk;
}

static void
fetch_to_write(struct vmc_policy *policy)
{
	(void)policy;
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
	.touch = touch,
	.remove = ignore,
	.victim = victim,
	.restore = ignore,
	.fetch = fetch,
	.fetch_to_write = fetch_to_write,
	.check = check,
};
