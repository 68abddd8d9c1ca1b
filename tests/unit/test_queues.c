/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_queues.c -- the policies made of queues, SIEVE, S3-FIFO and ADAPTIVE,
 * against the plain model of each
 */
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

static const struct item *
item_of(const struct vmc_policy_node *node)
{
	return (const struct item *)node;
}

static uint64_t
blocks_of(const struct vmc_policy_node *node, const void *items)
{
	(void)items;
	return item_of(node)->blocks;
}

static uint64_t
hash_of(const struct vmc_policy_node *node, const void *items)
{
	uint64_t number =
		(uint64_t)(item_of(node) - (const struct item *)items);

	return vmc_hash(&number, sizeof(number), 1);
}

static int
create(struct fixture *f, struct vmc_policy **policy, const struct item *items)
{
	const struct vmc_policy_user user = {.blocks = BLOCKS,
		.uses = offsetof(struct item, uses),
		.blocks_of = blocks_of,
		.hash_of = hash_of,
		.ctx = items};

	return f->ops->create(policy, &f->memory, &user);
}

static void
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
		f->items[i].blocks = testing_below(&f->random, 8);
		f->model.blocks[i] = f->items[i].blocks;
		f->model.hash[i] = hash_of(&f->items[i].node, f->items);
	}
	assert_int_equal(create(f, &f->policy, f->items), 0);
	assert_ptr_equal(f->policy->ops, ops);
	assert_int_equal(ops->counts, model_most(&f->model));
}

static void
fixture_end(struct fixture *f)
{
	f->ops->destroy(f->policy);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
	model_end(&f->model);
}

static unsigned
reserved(const struct fixture *f, unsigned number)
{
	for (unsigned i = 0; i < f->reserved_count; i++)
		if (f->reserved[i] == number)
			return i;
	return MODEL_NONE;
}

static void
check(struct fixture *f)
{
	uint64_t held;
	if (f->ops->check(f->policy, &held) != 0)
		fail_msg("%s", vmc_error_message());
	assert_int_equal(held, model_count(&f->model));

	for (unsigned i = 0; i < NODES; i++) {
		bool is =
			model_has(&f->model, i) || reserved(f, i) != MODEL_NONE;
		assert_int_equal(f->items[i].node.at != 0, is);
		assert_int_equal(f->items[i].uses, f->model.uses[i]);
	}
}

static unsigned
number_of(struct fixture *f, const struct vmc_policy_node *node)
{
	return node ? (unsigned)(item_of(node) - f->items) : MODEL_NONE;
}

static void
take_out(unsigned *list, unsigned *count, unsigned i)
{
	memmove(&list[i], &list[i + 1], (--*count - i) * sizeof(*list));
}

/* As its user does with an entry that is new, or is not in the cache. */
static void
anew(struct fixture *f, unsigned number)
{
	f->items[number].uses = f->model.uses[number] = 0;
}

static void
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

static void
touch_all(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		touch(f, i);
}

/* Some of them twice, of which the second time is a use. */
static void
touch_batch(struct fixture *f)
{
	struct vmc_policy_node *nodes[BATCH];
	uint32_t ats[BATCH];
	unsigned count = (unsigned)testing_below(&f->random, BATCH + 1);
	bool seen[NODES] = {false};

	for (unsigned i = 0; i < count; i++) {
		unsigned number = (unsigned)testing_below(&f->random, NODES);
		nodes[i] = &f->items[number].node;
		ats[i] = vmc_load_relaxed(&nodes[i]->at);
		if (ats[i] == 0 && !seen[number]) {
			anew(f, number);
			model_add(&f->model, number);
		} else {
			model_use(&f->model, number);
		}
		seen[number] = true;
	}
	f->ops->touch(f->policy, nodes, ats, NULL, count);
	f->victim_count = 0;
}

/* Gets, that are counted by who gets. */
static void
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

static void
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

static void
do_victim(struct fixture *f)
{
	struct vmc_policy_node *node = f->ops->victim(f->policy);
	unsigned number = model_victim(&f->model);

	assert_int_equal(number_of(f, node), number);
	if (!node)
		return;
	assert_int_equal(node->at, 0);
	assert_int_equal(item_of(node)->uses, 0);
	f->victims[f->victim_count++] = number;
}

static void
do_restore(struct fixture *f)
{
	if (f->victim_count == 0)
		return;
	unsigned number = f->victims[--f->victim_count];
	f->ops->restore(f->policy, &f->items[number].node);
	model_restore(&f->model, number);
}

/* --- a row handed over --- */

static void
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
static void
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
static void
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
static void
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

static void
step(struct fixture *f)
{
	switch (testing_below(&f->random, 14)) {
	case 0:
	case 1:
		touch_batch(f);
		break;
	case 2:
	case 3:
		use_some(f);
		break;
	case 4:
		for (unsigned n = 0; n < 15; n++)
			do_remove(
				f, (unsigned)testing_below(&f->random, NODES));
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		for (unsigned n = 0; n < 8; n++)
			do_victim(f);
		break;
	case 9:
		do_hand_over(f, 1 + (unsigned)testing_below(
					    &f->random, VMC_POLICY_ROW));
		break;
	case 10:
		for (unsigned n = 0; n < 20; n++)
			do_take(f);
		do_give_up(f);
		break;
	case 11:
		if (testing_below(&f->random, 4) == 0) {
			do_recall(f);
			do_give_up(f);
		}
		break;
	case 12:
		assert_int_equal(
			f->ops->stock(f->policy,
				(unsigned)testing_below(&f->random, 20)),
			0);
		break;
	default:
		do_restore(f);
	}
	check(f);
}

static void
against_model(const struct vmc_policy_ops *ops)
{
	static struct fixture f;

	fixture_start(&f, ops);
	check(&f);
	uint64_t steps = testing_operations(30000);
	for (uint64_t i = 0; i < steps; i++)
		step(&f);
	do_recall(&f);
	do_give_up(&f);
	while (model_count(&f.model) > 0)
		do_victim(&f);
	do_victim(&f);
	check(&f);
	assert_int_equal(vmc_load_relaxed(&f.policy->bytes), 0);
	fixture_end(&f);
}

static void
test_sieve_against_model(void **state)
{
	(void)state;
	against_model(&vmc_policy_sieve);
}

static void
test_s3fifo_against_model(void **state)
{
	(void)state;
	against_model(&vmc_policy_s3fifo);
}

static void
test_adaptive_against_model(void **state)
{
	(void)state;
	against_model(&vmc_policy_adaptive);
}

static const struct vmc_policy_ops *const all[] = {
	&vmc_policy_sieve, &vmc_policy_s3fifo, &vmc_policy_adaptive};

#define FOR_ALL(ops)                                                           \
	for (const struct vmc_policy_ops *const *ops = all; ops < all + 3;     \
		ops++)

/* Nodes and rows are forgotten, not touched: they may be gone by then. */
static void
test_destroyed_full(void **state)
{
	static struct fixture f;

	(void)state;
	FOR_ALL(ops)
	{
		fixture_start(&f, *ops);
		touch_all(&f, NODES);
		do_hand_over(&f, VMC_POLICY_ROW);
		check(&f);
		memset(f.items, 0xff, sizeof(f.items));
		fixture_end(&f);
	}
}

/*
 * A node costs 8 bytes and 2 for a ghost, also where it goes round, and some 20
 * where most have been removed.
 */
static void
test_stays_dense(void **state)
{
	enum { MANY = 20000 };
	static struct fixture f;
	struct item *many = calloc(MANY, sizeof(*many));

	(void)state;
	assert_non_null(many);
	FOR_ALL(ops)
	{
		fixture_start(&f, *ops);
		f.ops->destroy(f.policy);
		memset(many, 0, MANY * sizeof(*many));
		assert_int_equal(create(&f, &f.policy, many), 0);
		for (unsigned n = 0; n < 5 * MANY; n++) {
			struct vmc_policy_node *node = &many[n % MANY].node;
			uint32_t at = vmc_load_relaxed(&node->at);
			f.ops->touch(f.policy, &node, &at, NULL, 1);
			many[testing_below(&f.random, MANY)].uses = 1;
			if (vmc_load_relaxed(&f.policy->nodes) > MANY / 2)
				f.ops->victim(f.policy);
		}
		uint64_t nodes = vmc_load_relaxed(&f.policy->nodes);
		assert_int_equal(nodes, MANY / 2);
		assert_true(vmc_load_relaxed(&f.policy->bytes) <= nodes * 11);
		for (unsigned i = 0; i < MANY; i++)
			if (i % 16 != 0)
				f.ops->remove(f.policy, &many[i].node);
		nodes = vmc_load_relaxed(&f.policy->nodes);
		uint64_t bytes =
			vmc_load_relaxed(&f.policy->bytes) -
			vmc_ghost_bytes(&vmc_queues_of(f.policy)->ghost);
		assert_true(bytes <= nodes * 20 + 1000);
		assert_int_equal(f.ops->check(f.policy, &nodes), 0);
		fixture_end(&f);
	}
	free(many);
}

/*
 * Between reading where a node is and touching it, it went: to nobody, or to an
 * evictor, who has written there what it likes.
 */
static void
test_touched_too_late(void **state)
{
	static struct fixture f;

	(void)state;
	FOR_ALL(ops)
	{
		fixture_start(&f, *ops);
		touch_all(&f, 100);
		struct vmc_policy_node *node = &f.items[50].node;
		uint32_t at = node->at;
		const uint32_t elsewhere[] = {0, UINT32_MAX, 7};
		do_remove(&f, 50);
		for (unsigned i = 0; i < 3; i++) {
			node->at = elsewhere[i];
			f.ops->touch(f.policy, &node, &at, NULL, 1);
			assert_int_equal(node->at, elsewhere[i]);
			node->at = 0;
			anew(&f, 50);
			check(&f);
		}
		fixture_end(&f);
	}
}

static void
test_without_memory(void **state)
{
	static struct fixture f;
	struct vmc_policy *policy;

	(void)state;
	FOR_ALL(ops)
	{
		fixture_start(&f, *ops);
		f.counts.fail_at = -2;
		assert_int_equal(create(&f, &policy, f.items), -ENOMEM);
		fixture_end(&f);
	}
}

/*
 * With rows in stock, first touches and what is given back need no memory. What
 * was used is evicted where there is no row for it to stay in, and ghosts are
 * forgotten.
 */
static void
test_lives_on_its_stock(void **state)
{
	enum { ROWS = 4, FIRST = ROWS * (int)VMC_POLICY_ROW };
	static struct fixture f;
	uint64_t held;

	(void)state;
	FOR_ALL(ops)
	{
		fixture_start(&f, *ops);
		assert_int_equal(f.ops->stock(f.policy, ROWS), 0);
		f.counts.fail_at = -2;
		f.model_counts.fail_at = -2;
		touch_all(&f, FIRST);
		check(&f);
		assert_int_equal(f.ops->stock(f.policy, ROWS), -ENOMEM);
		for (unsigned n = 0; n < VMC_POLICY_ROW + 5; n++)
			do_victim(&f);
		while (f.victim_count > 0)
			do_restore(&f);
		check(&f);
		while (model_count(&f.model) > 0)
			do_victim(&f);
		check(&f);
		touch_all(&f, FIRST);
		for (unsigned i = 0; i < FIRST; i++)
			f.items[i].uses = 2;
		for (unsigned i = 0; i < FIRST; i++)
			assert_non_null(f.ops->victim(f.policy));
		assert_null(f.ops->victim(f.policy));
		assert_int_equal(f.ops->check(f.policy, &held), 0);
		f.counts.fail_at = -1;
		assert_int_equal(f.ops->stock(f.policy, ROWS), 0);
		fixture_end(&f);
	}
}

/* check() must see what is wrong, or the tests above say nothing. */
static void
test_check_sees_damage(void **state)
{
	static struct fixture f;
	uint64_t held;

	(void)state;
	fixture_start(&f, &vmc_policy_s3fifo);
	touch_all(&f, 100);
	uint32_t good = f.items[50].node.at;
	f.items[50].node.at++;
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	f.items[50].node.at = good;
	check(&f);
	f.items[50].blocks++;
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	f.items[50].blocks--;
	vmc_owner_add(&f.policy->nodes, 1);
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	vmc_owner_add(&f.policy->nodes, UINT64_MAX);
	vmc_owner_add(&f.policy->bytes, 1);
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	vmc_owner_add(&f.policy->bytes, UINT64_MAX);
	check(&f);
	fixture_end(&f);
}

/* The guess of what comes next is right where nothing was used. */
static void
test_coming(void **state)
{
	static struct fixture f;

	(void)state;
	FOR_ALL(ops)
	{
		fixture_start(&f, *ops);
		assert_null(f.ops->coming(f.policy, 0));
		touch_all(&f, 100);
		for (unsigned i = 0; i < 96; i++) {
			struct vmc_policy_node *next[4];
			for (unsigned n = 0; n < 4; n++)
				next[n] = f.ops->coming(f.policy, n);
			for (unsigned n = 0; n < 4; n++)
				assert_ptr_equal(next[n], &f.items[i + n].node);
			do_victim(&f);
		}
		assert_null(f.ops->coming(f.policy, 4));
		fixture_end(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sieve_against_model),
		cmocka_unit_test(test_s3fifo_against_model),
		cmocka_unit_test(test_adaptive_against_model),
		cmocka_unit_test(test_destroyed_full),
		cmocka_unit_test(test_stays_dense),
		cmocka_unit_test(test_touched_too_late),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_lives_on_its_stock),
		cmocka_unit_test(test_check_sees_damage),
		cmocka_unit_test(test_coming),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
