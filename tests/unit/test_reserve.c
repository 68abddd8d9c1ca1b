/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_reserve.c -- victims in reserve: their order, and that each is had by
 * one only
 */
#include "testing.h"

#include "policy/reserve.h"

#include <pthread.h>

enum { NODES = 4 * (int)VMC_POLICY_ROW, ROUNDS = 20000 };

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_policy *policy;
	struct vmc_reserve reserve;
	struct vmc_policy_node nodes[NODES];
};

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	uint32_t at = vmc_load_relaxed(&node->at);

	policy->ops->touch(policy, &node, &at, NULL, 1);
}

/* All nodes are held, the first one is the oldest. */
static void
fixture_start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->memory = testing_memory_of(&f->counts);
	assert_int_equal(
		vmc_policy_lru.create(&f->policy, &f->memory, NULL), 0);
	for (unsigned i = 0; i < NODES; i++)
		touch(f->policy, &f->nodes[i]);
}

static void
fixture_end(struct fixture *f)
{
	f->policy->ops->destroy(f->policy);
	assert_int_equal(f->counts.objects, 0);
}

/* As the owner; NULL: none is left. */
static struct vmc_policy_node *
take(struct vmc_reserve *r)
{
	const struct vmc_policy_row *row;
	unsigned i;

	while ((row = vmc_reserve_peek(r, 0, &i))) {
		struct vmc_policy_node *node = vmc_policy_take(row, i);
		vmc_reserve_skip(r);
		if (node)
			return node;
	}
	return NULL;
}

static struct vmc_policy_node *
peek(const struct vmc_reserve *r, unsigned ahead)
{
	unsigned i;
	const struct vmc_policy_row *row = vmc_reserve_peek(r, ahead, &i);

	return row ? vmc_policy_node_at(row, i) : NULL;
}

/* Whatever is asked for at once, and however full it is kept. */
static void
test_oldest_first(void **state)
{
	struct fixture f;

	(void)state;
	for (unsigned most = 1; most <= VMC_POLICY_ROW; most++) {
		fixture_start(&f);
		assert_true(vmc_reserve_is_low(&f.reserve));
		assert_null(vmc_reserve_peek(&f.reserve, 0, &(unsigned){0}));
		for (unsigned i = 0; i < NODES; i++) {
			while (vmc_reserve_is_low(&f.reserve) &&
				vmc_load_relaxed(&f.policy->nodes) > 0 &&
				(i % 3 == 0 || !peek(&f.reserve, 0)))
				vmc_reserve_fill(&f.reserve, f.policy, most);
			assert_true(vmc_reserve_has(&f.reserve, f.nodes[i].at));
			assert_ptr_equal(peek(&f.reserve, 0), &f.nodes[i]);
			assert_ptr_equal(take(&f.reserve), &f.nodes[i]);
			f.nodes[i].at = 0;
		}
		vmc_reserve_fill(&f.reserve, f.policy, most);
		assert_null(take(&f.reserve));
		assert_int_equal(vmc_reserve_count(&f.reserve), 0);
		fixture_end(&f);
	}
}

/* What stays with the policy is not in the reserve; nor is the reverse. */
static void
test_peek_ahead(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	vmc_reserve_fill(&f.reserve, f.policy, VMC_POLICY_ROW);
	vmc_reserve_fill(&f.reserve, f.policy, 7);
	assert_false(vmc_reserve_is_low(&f.reserve));
	vmc_reserve_fill(&f.reserve, f.policy, VMC_POLICY_ROW); /* nothing */
	assert_int_equal(vmc_reserve_count(&f.reserve), VMC_POLICY_ROW + 7);
	for (unsigned i = 0; i < VMC_POLICY_ROW + 7; i++)
		assert_ptr_equal(peek(&f.reserve, i), &f.nodes[i]);
	assert_null(peek(&f.reserve, VMC_POLICY_ROW + 7));
	assert_false(
		vmc_reserve_has(&f.reserve, f.nodes[VMC_POLICY_ROW + 7].at));
	/* the first row is used up, and the next one comes after the second */
	for (unsigned i = 0; i < VMC_POLICY_ROW; i++)
		assert_ptr_equal(take(&f.reserve), &f.nodes[i]);
	assert_true(vmc_reserve_is_low(&f.reserve));
	vmc_reserve_fill(&f.reserve, f.policy, 3);
	for (unsigned i = 0; i < 7 + 3; i++)
		assert_ptr_equal(
			peek(&f.reserve, i), &f.nodes[VMC_POLICY_ROW + i]);
	fixture_end(&f);
}

/* Low while one of the rows has nothing left; each time it is filled counts. */
static void
test_low_and_filled(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	vmc_reserve_fill(&f.reserve, f.policy, 1);
	assert_true(vmc_reserve_is_low(&f.reserve));
	assert_int_equal(f.reserve.filled, 1);
	vmc_reserve_fill(&f.reserve, f.policy, 1);
	assert_false(vmc_reserve_is_low(&f.reserve));
	assert_int_equal(f.reserve.filled, 2);
	assert_ptr_equal(take(&f.reserve), &f.nodes[0]);
	assert_true(vmc_reserve_is_low(&f.reserve));
	while (f.policy->ops->victim(f.policy))
		;
	vmc_reserve_fill(&f.reserve, f.policy, 1); /* with nothing */
	assert_true(vmc_reserve_has(&f.reserve, 0));
	assert_int_equal(f.reserve.left[0], 0);
	assert_null(f.reserve.row[0]);
	fixture_end(&f);
}

/* What is used up goes back to the policy, and is used again. */
static void
test_rows_are_given_up(void **state)
{
	struct fixture f;
	long bytes = 0;

	(void)state;
	fixture_start(&f);
	for (unsigned round = 0; round < 100; round++) {
		while (vmc_reserve_is_low(&f.reserve))
			vmc_reserve_fill(&f.reserve, f.policy, VMC_POLICY_ROW);
		for (unsigned i = 0; i < VMC_POLICY_ROW; i++) {
			struct vmc_policy_node *node = take(&f.reserve);
			assert_non_null(node);
			node->at = 0;
			touch(f.policy, node);
		}
		if (round == 10)
			bytes = f.counts.bytes;
	}
	assert_true(f.counts.bytes <= bytes);
	fixture_end(&f);
}

static void
test_won_back_and_taken(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	vmc_reserve_fill(&f.reserve, f.policy, 8);
	struct vmc_policy_row *row = f.reserve.row[0];
	assert_true(vmc_policy_win_back(row, 7, &f.nodes[7]));
	assert_int_equal(f.nodes[7].at, 0);
	f.policy->ops->restore(f.policy, &f.nodes[7]);
	f.policy->ops->remove(f.policy, &f.nodes[0]);
	touch(f.policy, &f.nodes[2]);
	assert_int_equal(f.nodes[0].at, 0);
	assert_false(vmc_reserve_has(&f.reserve, f.nodes[2].at));
	assert_ptr_equal(take(&f.reserve), &f.nodes[1]);
	/* said to be there still, but its owner has it */
	uint32_t at = f.nodes[1].at;
	assert_true(vmc_reserve_has(&f.reserve, at));
	touch(f.policy, &f.nodes[1]);
	f.policy->ops->remove(f.policy, &f.nodes[1]);
	assert_int_equal(f.nodes[1].at, at);
	assert_null(peek(&f.reserve, 0));
	assert_ptr_equal(peek(&f.reserve, 1), &f.nodes[3]);
	assert_ptr_equal(take(&f.reserve), &f.nodes[3]);
	assert_int_equal(vmc_reserve_count(&f.reserve), 3);
	fixture_end(&f);
}

/* What is recalled is older than what the policy has, in the same order. */
static void
test_recall(void **state)
{
	struct fixture f;
	uint64_t held;

	(void)state;
	for (unsigned taken = 0; taken < 2 * VMC_POLICY_ROW; taken += 5) {
		fixture_start(&f);
		vmc_reserve_fill(&f.reserve, f.policy, VMC_POLICY_ROW);
		for (unsigned i = 0; i < taken; i++) {
			vmc_reserve_fill(&f.reserve, f.policy, VMC_POLICY_ROW);
			assert_ptr_equal(take(&f.reserve), &f.nodes[i]);
		}
		f.policy->ops->remove(f.policy, &f.nodes[taken + 2]);
		vmc_reserve_recall(&f.reserve);
		assert_int_equal(vmc_reserve_count(&f.reserve), 0);
		assert_null(take(&f.reserve));
		assert_int_equal(f.policy->ops->check(f.policy, &held), 0);
		assert_int_equal(held, NODES - taken - 1);
		for (unsigned i = taken; i < NODES; i++)
			if (i != taken + 2)
				assert_ptr_equal(
					f.policy->ops->victim(f.policy),
					&f.nodes[i]);
		fixture_end(&f);
	}
}

/* An owner that takes, and a holder of the lock that wins back, at once. */
struct race {
	struct fixture f;
	pthread_barrier_t barrier;
	unsigned rounds;
	bool won[VMC_POLICY_ROW];
};

static void *
win_all_back(void *arg)
{
	struct race *r = arg;
	struct vmc_policy_row **row = &r->f.reserve.row[0];

	for (unsigned round = 0; round < r->rounds; round++) {
		pthread_barrier_wait(&r->barrier);
		for (unsigned i = VMC_POLICY_ROW; i-- > 0;)
			r->won[i] =
				vmc_policy_win_back(*row, i, &r->f.nodes[i]);
		pthread_barrier_wait(&r->barrier);
	}
	return NULL;
}

static void
test_one_has_it(void **state)
{
	static struct race r;
	pthread_t other;

	(void)state;
	r.rounds = (unsigned)testing_operations(ROUNDS);
	fixture_start(&r.f);
	for (unsigned i = VMC_POLICY_ROW; i < NODES; i++)
		r.f.policy->ops->remove(r.f.policy, &r.f.nodes[i]);
	pthread_barrier_init(&r.barrier, NULL, 2);
	assert_int_equal(pthread_create(&other, NULL, win_all_back, &r), 0);
	for (unsigned round = 0; round < r.rounds; round++) {
		struct vmc_policy_node *node;
		bool taken[VMC_POLICY_ROW] = {false};

		r.f.reserve.left[0] = 0;
		r.f.reserve.left[1] = 1; /* so that it is row 0 again */
		vmc_reserve_fill(&r.f.reserve, r.f.policy, VMC_POLICY_ROW);
		r.f.reserve.left[1] = 0;
		r.f.reserve.current = 0;
		assert_int_equal(r.f.reserve.left[0], UINT32_MAX);
		pthread_barrier_wait(&r.barrier);
		while ((node = take(&r.f.reserve)))
			taken[node - r.f.nodes] = true;
		pthread_barrier_wait(&r.barrier);
		for (unsigned i = 0; i < VMC_POLICY_ROW; i++) {
			assert_true(taken[i] != r.won[i]);
			r.f.nodes[i].at = 0;
			touch(r.f.policy, &r.f.nodes[i]);
		}
	}
	pthread_join(other, NULL);
	pthread_barrier_destroy(&r.barrier);
	fixture_end(&r.f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_first),
		cmocka_unit_test(test_peek_ahead),
		cmocka_unit_test(test_low_and_filled),
		cmocka_unit_test(test_rows_are_given_up),
		cmocka_unit_test(test_won_back_and_taken),
		cmocka_unit_test(test_recall),
		cmocka_unit_test(test_one_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
