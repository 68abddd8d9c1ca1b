/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues_fixture.h -- a policy made of queues beside the plain model of it:
 * what is done to one is done to the other
 */
#ifndef TEST_QUEUES_FIXTURE_H
#define TEST_QUEUES_FIXTURE_H

#include "policy_model.h"
#include "testing.h"

#include "base/error.h"
#include "base/hash.h"
#include "policy/queues.h"

#include <errno.h>

enum { NODES = 400, BATCH = 80, BLOCKS = 1000 };

struct item {
	struct vmc_policy_node node;
	uint64_t blocks;
	uint32_t cost;
	_Atomic uint8_t uses;
};

struct fixture {
	struct testing_memory counts, model_counts;
	struct vmc_memory memory, model_memory;
	const struct vmc_policy_ops *ops;
	struct vmc_policy *policy;
	struct item items[NODES];
	struct model model;
	/* victims that may go back, the latest last */
	unsigned victims[NODES];
	unsigned victim_count;
	/* a row that is handed over, and what is in it, the oldest first */
	struct vmc_policy_row *row;
	unsigned reserved[VMC_POLICY_ROW];
	unsigned reserved_count;
	uint64_t random;
};

static inline const struct item *
item_of(const struct vmc_policy_node *node)
{
	return (const struct item *)node;
}

static inline uint64_t
blocks_of(const struct vmc_policy_node *node, const void *items)
{
	(void)items;
	return item_of(node)->blocks;
}

static inline uint32_t
cost_of(const struct vmc_policy_node *node, const void *items)
{
	(void)items;
	return item_of(node)->cost;
}

static inline uint64_t
hash_of(const struct vmc_policy_node *node, const void *items)
{
	uint64_t number =
		(uint64_t)(item_of(node) - (const struct item *)items);

	return vmc_hash(&number, sizeof(number), 1);
}

static inline int
create(struct fixture *f, struct vmc_policy **policy, const struct item *items)
{
	const struct vmc_policy_user user = {.blocks = BLOCKS,
		.most_blocks = BLOCKS,
		.uses = offsetof(struct item, uses),
		.blocks_of = blocks_of,
		.hash_of = hash_of,
		.cost_of = cost_of,
		.ctx = items};

	return f->ops->create(policy, &f->memory, &user);
}

static inline void
fixture_start(struct fixture *f, const struct vmc_policy_ops *ops)
{
	memset(f, 0, sizeof(*f));
	f->random = testing_seed();
	f->memory = testing_memory_of(&f->counts);
	f->model_memory = testing_memory_of(&f->model_counts);
	f->ops = ops;
	model_start(&f->model,
		ops == &vmc_policy_sieve    ? MODEL_SIEVE
		: ops == &vmc_policy_s3fifo ? MODEL_S3FIFO
					    : MODEL_ADAPTIVE,
		BLOCKS, &f->model_memory);
	for (unsigned i = 0; i < NODES; i++) {
		f->items[i].blocks = 1 + testing_below(&f->random, 8);
		f->model.blocks[i] = f->items[i].blocks;
		f->model.hash[i] = hash_of(&f->items[i].node, f->items);
	}
	assert_int_equal(create(f, &f->policy, f->items), 0);
	assert_ptr_equal(f->policy->ops, ops);
	assert_int_equal(ops->counts, model_most(&f->model));
}

/* From 0 on, over all powers of two. */
static inline void
give_costs(struct fixture *f)
{
	for (unsigned i = 0; i < NODES; i++) {
		f->items[i].cost =
			(uint32_t)(testing_random(&f->random) >> 32 >>
				   testing_below(&f->random, 33));
		f->model.cost[i] = f->items[i].cost;
	}
}

static inline void
fixture_end(struct fixture *f)
{
	f->ops->destroy(f->policy);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
	model_end(&f->model);
}

static inline unsigned
reserved(const struct fixture *f, unsigned number)
{
	for (unsigned i = 0; i < f->reserved_count; i++)
		if (f->reserved[i] == number)
			return i;
	return MODEL_NONE;
}

static inline void
check(struct fixture *f)
{
	uint64_t held;
	bool in[MODEL_ITEMS] = {false};

	if (f->ops->check(f->policy, &held) != 0)
		fail_msg("%s", vmc_error_message());
	assert_int_equal(held, model_count(&f->model));

	model_mark(&f->model, in);
	for (unsigned i = 0; i < f->reserved_count; i++)
		in[f->reserved[i]] = true;
	for (unsigned i = 0; i < NODES; i++) {
		assert_int_equal(f->items[i].node.at != 0, in[i]);
		assert_int_equal(f->items[i].uses, f->model.uses[i]);
	}
}

static inline unsigned
number_of(struct fixture *f, const struct vmc_policy_node *node)
{
	return node ? (unsigned)(item_of(node) - f->items) : MODEL_NONE;
}

static inline void
take_out(unsigned *list, unsigned *count, unsigned i)
{
	memmove(&list[i], &list[i + 1], (--*count - i) * sizeof(*list));
}

/* As its user does with an entry that is new, or is not in the cache. */
static inline void
anew(struct fixture *f, unsigned number)
{
	f->items[number].uses = f->model.uses[number] = 0;
}

static inline void
touch(struct fixture *f, unsigned number)
{
	struct vmc_policy_node *node = &f->items[number].node;
	uint32_t at = vmc_load_relaxed(&node->at);

	if (at == 0) {
		anew(f, number);
		model_add(&f->model, number);
	} else {
		model_use(&f->model, number);
	}
	f->ops->touch(f->policy, &node, &at, NULL, 1);
	f->victim_count = 0;
}

static inline void
touch_all(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		touch(f, i);
}

/* Some of them twice, of which the second time is a use. */
static inline void
touch_batch(struct fixture *f)
{
	struct vmc_policy_node *nodes[BATCH];
	uint32_t ats[BATCH];
	uint64_t words[BATCH]; /* some hashes are said, some have to be asked */
	unsigned count = (unsigned)testing_below(&f->random, BATCH + 1);
	bool seen[NODES] = {false};

	for (unsigned i = 0; i < count; i++) {
		unsigned number = (unsigned)testing_below(&f->random, NODES);
		nodes[i] = &f->items[number].node;
		ats[i] = vmc_load_relaxed(&nodes[i]->at);
		words[i] = testing_below(&f->random, 2)
				   ? hash_of(nodes[i], f->items)
				   : 0;
		if (ats[i] == 0 && !seen[number]) {
			anew(f, number);
			model_add(&f->model, number);
		} else {
			model_use(&f->model, number);
		}
		seen[number] = true;
	}
	f->ops->touch(f->policy, nodes, ats, words, count);
	f->victim_count = 0;
}

/* Gets, that are counted by who gets. */
static inline void
use_some(struct fixture *f)
{
	for (unsigned n = 0; n < 60; n++) {
		unsigned number = (unsigned)testing_below(&f->random, NODES);
		if (f->items[number].node.at == 0)
			continue;
		vmc_policy_use(&f->items[number].uses, f->ops->counts);
		model_use(&f->model, number);
	}
}

static inline void
do_remove(struct fixture *f, unsigned number)
{
	unsigned i = reserved(f, number);

	f->ops->remove(f->policy, &f->items[number].node);
	if (i != MODEL_NONE)
		take_out(f->reserved, &f->reserved_count, i);
	else
		model_remove(&f->model, number);
	f->victim_count = 0;
}

static inline void
do_victim(struct fixture *f)
{
	struct vmc_policy_node *node = f->ops->victim(f->policy);
	unsigned number = model_victim(&f->model);

	assert_int_equal(number_of(f, node), number);
	if (!node)
		return;
	assert_int_equal(node->at, 0);
	assert_int_equal(item_of(node)->uses, 0);
	if (f->policy->hash != 0)
		assert_int_equal(f->policy->hash, hash_of(node, f->items));
	f->victims[f->victim_count++] = number;
	node = f->policy->coming;
	if (node && testing_below(&f->random, 4) > 0)
		vmc_policy_know(f->policy, node, hash_of(node, f->items));
}

static inline void
do_restore(struct fixture *f)
{
	if (f->victim_count == 0)
		return;
	unsigned number = f->victims[--f->victim_count];
	f->ops->restore(f->policy, &f->items[number].node);
	model_restore(&f->model, number);
}

/* --- a row handed over --- */

static inline void
do_hand_over(struct fixture *f, unsigned most)
{
	if (f->row)
		return;
	f->row = f->ops->hand_over(f->policy, most);
	for (unsigned i = 0; f->row && i < VMC_POLICY_ROW; i++) {
		if (!(f->row->live >> i & 1))
			continue;
		unsigned number = number_of(f, vmc_policy_node_at(f->row, i));
		assert_int_equal(number, model_victim(&f->model));
		f->reserved[f->reserved_count++] = number;
	}
	if (f->reserved_count < most)
		assert_int_equal(model_victim(&f->model), MODEL_NONE);
	assert_int_equal(f->row != NULL, f->reserved_count > 0);
	assert_true(f->reserved_count <= most);
	f->victim_count = 0;
}

/* Its owner takes one of them, if it was not used, and lets go of it. */
static inline void
do_take(struct fixture *f)
{
	if (f->reserved_count == 0)
		return;
	unsigned i = (unsigned)testing_below(&f->random, f->reserved_count);
	unsigned number = f->reserved[i];
	struct vmc_policy_node *node = &f->items[number].node;

	if (f->items[number].uses > 0)
		return;
	assert_ptr_equal(
		vmc_policy_take(f->row, node->at % VMC_POLICY_ROW), node);
	/* too late */
	f->ops->remove(f->policy, node);
	assert_int_not_equal(node->at, 0);
	node->at = 0;
	take_out(f->reserved, &f->reserved_count, i);
}

/* All back to where they were, in reverse. */
static inline void
do_recall(struct fixture *f)
{
	while (f->reserved_count > 0) {
		unsigned number = f->reserved[--f->reserved_count];
		struct vmc_policy_node *node = &f->items[number].node;
		assert_true(vmc_policy_win_back(
			f->row, node->at % VMC_POLICY_ROW, node));
		f->ops->restore(f->policy, node);
		model_restore(&f->model, number);
	}
}

/* What was used of it stays; nothing else is left there. */
static inline void
do_give_up(struct fixture *f)
{
	if (!f->row)
		return;
	for (unsigned i = 0; i < f->reserved_count; i++)
		if (f->items[f->reserved[i]].uses == 0)
			return;
	f->ops->give_up(f->policy, f->row);
	for (unsigned i = 0; i < f->reserved_count; i++)
		model_survives(&f->model, f->reserved[i]);
	f->reserved_count = 0;
	f->row = NULL;
	f->victim_count = 0;
}

#endif
