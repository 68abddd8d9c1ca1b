/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_reserve.c -- victims in reserve: their order, and that each is had by
 * one only
 */
#include "testing.h"

#include "lru/reserve.h"

#include <pthread.h>

enum { NODES = 8, ROUNDS = 20000 };

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_policy *policy;
	struct vmc_reserve reserve;
	struct vmc_policy_node nodes[NODES];
};

static void
fixture_start(struct fixture *f, uint32_t start)
{
	memset(f, 0, sizeof(*f));
	f->memory = testing_memory_of(&f->counts);
	assert_int_equal(vmc_policy_lru.create(&f->policy, &f->memory), 0);
	f->reserve.begin = f->reserve.end = start;
}

static void
fixture_end(struct fixture *f)
{
	f->policy->ops->destroy(f->policy);
	assert_int_equal(f->counts.objects, 0);
}

static void
add_all(struct fixture *f)
{
	for (unsigned i = 0; i < NODES; i++)
		vmc_reserve_add(&f->reserve, &f->nodes[i]);
}

static bool
withdraw(struct vmc_policy_node *node)
{
	return vmc_reserve_withdraw(vmc_reserve_slot_of(node), node);
}

/* Counters that are about to wrap around, or not. */
static const uint32_t starts[] = {0, 7, UINT32_MAX - 3};
#define STARTS (sizeof(starts) / sizeof(starts[0]))

static void
test_oldest_first(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t s = 0; s < STARTS; s++) {
		fixture_start(&f, starts[s]);
		assert_null(vmc_reserve_take(&f.reserve));
		assert_null(vmc_reserve_peek(&f.reserve, 0));
		for (int round = 0; round < 5; round++) {
			add_all(&f);
			assert_int_equal(vmc_reserve_left(&f.reserve), NODES);
			for (unsigned i = 0; i < NODES; i++) {
				assert_ptr_equal(
					vmc_reserve_peek(&f.reserve, 0),
					&f.nodes[i]);
				assert_non_null(
					vmc_reserve_slot_of(&f.nodes[i]));
				assert_ptr_equal(vmc_reserve_take(&f.reserve),
					&f.nodes[i]);
			}
			assert_null(vmc_reserve_take(&f.reserve));
			assert_int_equal(vmc_reserve_count(&f.reserve), 0);
		}
		fixture_end(&f);
	}
}

static void
test_withdrawn_and_taken(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t s = 0; s < STARTS; s++) {
		fixture_start(&f, starts[s]);
		add_all(&f);
		assert_true(withdraw(&f.nodes[0]));
		assert_true(withdraw(&f.nodes[2]));
		assert_null(vmc_reserve_slot_of(&f.nodes[2]));
		assert_ptr_equal(vmc_reserve_take(&f.reserve), &f.nodes[1]);
		/* marked still, but its owner has it */
		assert_non_null(vmc_reserve_slot_of(&f.nodes[1]));
		assert_false(withdraw(&f.nodes[1]));
		assert_null(vmc_reserve_peek(&f.reserve, 0));
		assert_ptr_equal(vmc_reserve_peek(&f.reserve, 1), &f.nodes[3]);
		assert_ptr_equal(vmc_reserve_take(&f.reserve), &f.nodes[3]);
		assert_int_equal(vmc_reserve_count(&f.reserve), NODES - 4);
		fixture_end(&f);
	}
}

/* What is recalled is older than what the policy has, in the same order. */
static void
test_recall(void **state)
{
	struct fixture f;
	uint64_t held;

	(void)state;
	for (size_t s = 0; s < STARTS; s++) {
		fixture_start(&f, starts[s]);
		struct vmc_policy_node *newest = &f.nodes[NODES - 1];
		f.policy->ops->touch(f.policy, &newest, 1);
		for (unsigned i = 0; i < NODES - 1; i++)
			vmc_reserve_add(&f.reserve, &f.nodes[i]);
		assert_ptr_equal(vmc_reserve_take(&f.reserve), &f.nodes[0]);
		assert_true(withdraw(&f.nodes[3]));
		vmc_reserve_recall(&f.reserve, f.policy);
		assert_null(vmc_reserve_take(&f.reserve));
		assert_int_equal(f.policy->ops->check(f.policy, &held), 0);
		assert_int_equal(held, NODES - 2);
		for (unsigned i = 1; i < NODES; i++)
			if (i != 3)
				assert_ptr_equal(
					f.policy->ops->victim(f.policy),
					&f.nodes[i]);
		fixture_end(&f);
	}
}

/* Every slot is filled: the first of them is the one behind the last. */
static void
test_full(void **state)
{
	struct vmc_policy_node many[VMC_RESERVE_SIZE];
	struct fixture f;

	(void)state;
	for (size_t s = 0; s < STARTS; s++) {
		fixture_start(&f, starts[s]);
		memset(many, 0, sizeof(many));
		for (unsigned i = 0; i < VMC_RESERVE_SIZE; i++)
			vmc_reserve_add(&f.reserve, &many[i]);
		f.nodes[0].prev = &f.nodes[1]; /* behind the slots */
		assert_int_equal(
			vmc_reserve_count(&f.reserve), VMC_RESERVE_SIZE);
		for (unsigned i = 0; i < VMC_RESERVE_SIZE; i++)
			assert_ptr_equal(
				vmc_reserve_peek(&f.reserve, i), &many[i]);
		assert_null(vmc_reserve_peek(&f.reserve, VMC_RESERVE_SIZE));
		vmc_reserve_recall(&f.reserve, f.policy);
		for (unsigned i = 0; i < VMC_RESERVE_SIZE; i++)
			assert_ptr_equal(
				f.policy->ops->victim(f.policy), &many[i]);
		fixture_end(&f);
	}
}

/* An owner that takes, and a holder of the lock that withdraws, at once. */
struct race {
	struct vmc_reserve reserve;
	struct vmc_policy_node nodes[NODES];
	pthread_barrier_t barrier;
	unsigned rounds;
	bool withdrawn[NODES];
};

static void *
withdraw_all(void *arg)
{
	struct race *r = arg;

	for (unsigned round = 0; round < r->rounds; round++) {
		pthread_barrier_wait(&r->barrier);
		for (unsigned i = NODES; i-- > 0;)
			r->withdrawn[i] = withdraw(&r->nodes[i]);
		pthread_barrier_wait(&r->barrier);
	}
	return NULL;
}

static void
test_one_has_it(void **state)
{
	struct race r = {.rounds = (unsigned)testing_operations(ROUNDS)};
	pthread_t other;

	(void)state;
	pthread_barrier_init(&r.barrier, NULL, 2);
	assert_int_equal(pthread_create(&other, NULL, withdraw_all, &r), 0);
	for (unsigned round = 0; round < r.rounds; round++) {
		struct vmc_policy_node *node;
		bool taken[NODES] = {false};

		for (unsigned i = 0; i < NODES; i++)
			vmc_reserve_add(&r.reserve, &r.nodes[i]);
		pthread_barrier_wait(&r.barrier);
		while ((node = vmc_reserve_take(&r.reserve)))
			taken[node - r.nodes] = true;
		pthread_barrier_wait(&r.barrier);
		for (unsigned i = 0; i < NODES; i++)
			assert_true(taken[i] != r.withdrawn[i]);
	}
	pthread_join(other, NULL);
	pthread_barrier_destroy(&r.barrier);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_first),
		cmocka_unit_test(test_withdrawn_and_taken),
		cmocka_unit_test(test_recall),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_one_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
