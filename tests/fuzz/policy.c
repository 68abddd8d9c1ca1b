/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.c -- fuzz target: the policies, fed through a ring
 *
 * Of LRU the order is known: a list, the newest last. Of any policy it is known
 * which nodes it holds.
 */
#include "testing.h"

#include "fuzz.h"
#include "policy/policy.h"
#include "policy/ring.h"

#define NODES 200u

static const struct vmc_policy_ops *const policies[] = {&vmc_policy_lru,
	&vmc_policy_none, &vmc_policy_sieve, &vmc_policy_s3fifo,
	&vmc_policy_adaptive};

static struct item {
	struct vmc_policy_node node;
	_Atomic uint8_t uses;
} items[NODES];
static struct vmc_ring ring;

/* what is in the ring, the oldest first */
static unsigned waiting[VMC_RING_SIZE];
static unsigned waiting_count;

/* what is held, of LRU the newest last; victims to give back, the same */
static unsigned order[NODES], victims[NODES];
static unsigned order_count, victim_count;

static unsigned
number_of(const struct vmc_policy_node *node)
{
	const struct item *item = (const struct item *)node;

	fuzz_expect(item >= items && item < items + NODES);
	return (unsigned)(item - items);
}

static uint64_t
blocks_of(const struct vmc_policy_node *node, const void *unused)
{
	(void)unused;
	return 1 + number_of(node) % 5;
}

/* 0 and the largest ones among them */
static uint32_t
cost_of(const struct vmc_policy_node *node, const void *unused)
{
	unsigned number = number_of(node);

	(void)unused;
	return number % 3 == 0 ? 0 : UINT32_MAX >> number % 32;
}

static uint64_t
hash_of(const struct vmc_policy_node *node, const void *unused)
{
	(void)unused;
	return number_of(node) * UINT64_C(0x9e3779b97f4a7c15);
}

static void
order_remove(unsigned number)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < order_count; i++) {
		order[kept] = order[i];
		kept += order[i] != number;
	}
	order_count = kept;
}

static void
push(unsigned number)
{
	bool again = waiting_count && waiting[waiting_count - 1] == number;
	uint32_t pending = vmc_ring_push(&ring, &items[number].node, 0);

	if (again) {
		fuzz_expect(pending == waiting_count);
	} else if (waiting_count == VMC_RING_SIZE) {
		fuzz_expect(pending == 0);
	} else {
		waiting[waiting_count++] = number;
		fuzz_expect(pending == waiting_count);
	}
}

static void
feed(struct vmc_policy *policy, unsigned max)
{
	struct vmc_policy_node *batch[VMC_RING_SIZE];
	uint32_t ats[VMC_RING_SIZE];
	uint64_t words[VMC_RING_SIZE];
	unsigned taken = vmc_ring_take(&ring, batch, words, max);

	fuzz_expect(taken == (max < waiting_count ? max : waiting_count));
	for (unsigned i = 0; i < taken; i++) {
		fuzz_expect(number_of(batch[i]) == waiting[i]);
		order_remove(waiting[i]);
		order[order_count++] = waiting[i];
	}
	waiting_count -= taken;
	memmove(waiting, waiting + taken, waiting_count * sizeof(*waiting));
	for (unsigned i = 0; i < taken; i++)
		ats[i] = vmc_load_relaxed(&batch[i]->at);
	policy->ops->touch(policy, batch, ats, words, taken);
	victim_count = 0; /* too late to give them back */
	if (!policy->ops->wants_touches)
		order_count = 0;
}

static void
take_victim(struct vmc_policy *policy)
{
	struct vmc_policy_node *node = policy->ops->victim(policy);

	if (order_count == 0) {
		fuzz_expect(!node);
		return;
	}
	fuzz_expect(node && node->at == 0);
	unsigned number = number_of(node);
	bool held = false;
	for (unsigned i = 0; i < order_count; i++)
		held |= order[i] == number;
	fuzz_expect(held);
	if (policy->ops == &vmc_policy_lru)
		fuzz_expect(number == order[0]);
	victims[victim_count++] = number;
	order_remove(number);
}

static void
give_back(struct vmc_policy *policy)
{
	if (victim_count == 0)
		return;
	unsigned number = victims[--victim_count];
	policy->ops->restore(policy, &items[number].node);
	memmove(order + 1, order, order_count++ * sizeof(*order));
	order[0] = number;
}

static void
check(struct vmc_policy *policy)
{
	uint64_t held;

	fuzz_expect(policy->ops->check(policy, &held) == 0);
	fuzz_expect(held == order_count);
}

static void
step(struct fuzz_input *in, struct vmc_policy *policy)
{
	unsigned op = fuzz_byte(in);
	unsigned number = (unsigned)fuzz_below(in, NODES);

	if (op < 120) {
		push(number);
	} else if (op < 130) {
		for (unsigned i = fuzz_byte(in) + 1; i-- > 0;)
			push((number + i) % NODES);
	} else if (op < 170) {
		feed(policy, number + 1);
	} else if (op < 190) {
		policy->ops->remove(policy, &items[number].node);
		fuzz_expect(items[number].node.at == 0);
		order_remove(number);
		victim_count = 0;
	} else if (op < 220) {
		take_victim(policy);
	} else if (op < 235) {
		give_back(policy);
	} else if (op < 245) {
		fuzz_expect(policy->ops->stock(policy, number % 8) == 0);
	} else {
		check(policy);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	unsigned which = fuzz_byte(&in);
	const struct vmc_policy_ops *ops = policies[which % 4 + (which >= 192)];
	const struct vmc_policy_user user = {.blocks = NODES,
		.most_blocks = NODES,
		.uses = offsetof(struct item, uses),
		.blocks_of = blocks_of,
		.hash_of = hash_of,
		.cost_of = cost_of};
	struct vmc_policy *policy;

	memset(items, 0, sizeof(items));
	/* at the start of the count, or shortly before it wraps around */
	uint32_t start = which & 4 ? UINT32_MAX - fuzz_byte(&in) : 0;
	vmc_store_relaxed(&ring.head, start);
	vmc_store_relaxed(&ring.tail, start);
	waiting_count = order_count = victim_count = 0;
	fuzz_expect(ops->create(&policy, &memory, &user) == 0);
	while (fuzz_more(&in))
		step(&in, policy);
	check(policy);
	while (order_count > 0)
		take_victim(policy);
	take_victim(policy);
	policy->ops->destroy(policy);
	fuzz_expect(counts.bytes == 0);
	return 0;
}
