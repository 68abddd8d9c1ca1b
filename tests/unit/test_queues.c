/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_queues.c -- the policies made of queues, SIEVE, S3-FIFO and ADAPTIVE,
 * against the plain model of each
 */
#include "queues_fixture.h"

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
against_model(const struct vmc_policy_ops *ops, bool costs)
{
	static struct fixture f;

	fixture_start(&f, ops);
	if (costs)
		give_costs(&f);
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
	against_model(&vmc_policy_sieve, false);
}

static void
test_s3fifo_against_model(void **state)
{
	(void)state;
	against_model(&vmc_policy_s3fifo, false);
}

static void
test_adaptive_against_model(void **state)
{
	(void)state;
	against_model(&vmc_policy_adaptive, false);
}

/* The others do not ask for them. */
static void
test_costs_against_model(void **state)
{
	(void)state;
	assert_true(vmc_policy_adaptive.weighs_costs);
	assert_false(vmc_policy_sieve.weighs_costs);
	assert_false(vmc_policy_s3fifo.weighs_costs);
	against_model(&vmc_policy_adaptive, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sieve_against_model),
		cmocka_unit_test(test_s3fifo_against_model),
		cmocka_unit_test(test_adaptive_against_model),
		cmocka_unit_test(test_costs_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
