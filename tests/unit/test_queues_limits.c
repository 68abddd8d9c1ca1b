/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_queues_limits.c -- the policies made of queues: memory, damage, and what
 * comes too late
 */
#include "queues_fixture.h"

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
		assert_null(f.ops->hand_over(f.policy, 1));
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
	struct vmc_queue *weighed =
		&vmc_queues_of(f.policy)->queue[VMC_QUEUE_B];
	weighed->blocks++;
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	weighed->blocks--;
	vmc_owner_add(&f.policy->nodes, 1);
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	vmc_owner_add(&f.policy->nodes, UINT64_MAX);
	vmc_owner_add(&f.policy->bytes, 1);
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	vmc_owner_add(&f.policy->bytes, UINT64_MAX);
	check(&f);
	fixture_end(&f);
}

/*
 * The ratio stays in its bounds, however long only one of the queues regrets;
 * and the clock of a large pool is slower.
 */
static void
test_bounds_of_the_ratio(void **state)
{
	static struct fixture f;
	struct vmc_policy *large;

	(void)state;
	fixture_start(&f, &vmc_policy_adaptive);
	struct vmc_queues *q = vmc_queues_of(f.policy);
	for (unsigned round = 0; round < 40; round++) {
		/* all of a kind comes back, first of the new queue's */
		for (unsigned i = 0; i < 50; i++)
			touch(&f, i);
		for (unsigned i = 0; i < 50; i++)
			do_victim(&f);
		check(&f);
		for (unsigned i = 50; i < NODES; i++)
			touch(&f, i);
		for (unsigned i = 0; i < 50; i++)
			touch(&f, i);
		assert_true(q->ratio_log <= 5 << 16);
		while (model_in_rows(&f.model.queue[0]) > 0 && round % 2)
			do_victim(&f);
		for (unsigned n = 0; n < 300; n++)
			do_victim(&f);
		check(&f);
	}
	assert_int_equal(q->tick_log, 0);
	const struct vmc_policy_user user = {
		.blocks = UINT64_C(5) << 20, .most_blocks = UINT64_C(5) << 20};
	assert_int_equal(f.ops->create(&large, &f.memory, &user), 0);
	assert_int_equal(vmc_queues_of(large)->tick_log, 6);
	f.ops->destroy(large);
	fixture_end(&f);
}

/*
 * The guess of what comes after the next victim is right where nothing was
 * used; and a hash that was told is that of the victim, or forgotten with the
 * node.
 */
static void
test_looks_ahead(void **state)
{
	static struct fixture f;

	(void)state;
	FOR_ALL(ops)
	{
		fixture_start(&f, *ops);
		assert_null(f.policy->coming);
		assert_null(f.ops->hand_over(f.policy, 1));
		touch_all(&f, 100);
		for (unsigned i = 0; i < 98; i++) {
			do_victim(&f);
			struct vmc_policy_node *node = f.policy->coming;
			assert_ptr_equal(node, &f.items[i + 2].node);
			if (i >= 2)
				assert_int_not_equal(f.policy->hash, 0);
			vmc_policy_know(f.policy, node, hash_of(node, f.items));
			vmc_policy_know(f.policy, &f.items[i + 1].node,
				hash_of(&f.items[i + 1].node, f.items));
			check(&f);
		}
		f.ops->remove(f.policy, &f.items[98].node);
		model_remove(&f.model, 98);
		assert_true(f.policy->known[0].node != &f.items[98].node);
		assert_true(f.policy->known[1].node != &f.items[98].node);
		check(&f);
		do_victim(&f);
		assert_null(f.policy->coming);
		assert_int_not_equal(f.policy->hash, 0);
		check(&f);
		fixture_end(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_destroyed_full),
		cmocka_unit_test(test_stays_dense),
		cmocka_unit_test(test_touched_too_late),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_lives_on_its_stock),
		cmocka_unit_test(test_check_sees_damage),
		cmocka_unit_test(test_bounds_of_the_ratio),
		cmocka_unit_test(test_looks_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
