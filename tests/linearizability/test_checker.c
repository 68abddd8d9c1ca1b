/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_checker.c -- the checker itself: small histories whose answer is known,
 * and random ones, made from an order (they have one) and spoilt (compared
 * with all orders tried one by one)
 */
#include "checker.h"
#include "testing.h"

#define ANY .class = CHECKER_ANY_CLASS
#define MOST 7

static FILE *nowhere;

static bool
linearizable(struct checker_op *ops, unsigned count, bool vanishing)
{
	return checker_linearizable(
		ops, count, CHECKER_ABSENT, vanishing, nowhere);
}

#define ASSERT_ANSWERS(strict, vanishing, ...)                                 \
	do {                                                                   \
		struct checker_op ops[] = {__VA_ARGS__};                       \
		unsigned n = sizeof(ops) / sizeof(ops[0]);                     \
		assert_int_equal(linearizable(ops, n, false), strict);         \
		assert_int_equal(linearizable(ops, n, true), vanishing);       \
	} while (0)

static void
test_one_after_the_other(void **state)
{
	(void)state;
	ASSERT_ANSWERS(true, true, {1, 2, LACK, ANY}, {3, 4, ADD, .version = 8},
		{5, 6, SEE, .version = 8}, {7, 8, SEE, ANY},
		{9, 10, REMOVE, ANY}, {11, 12, LACK, ANY});
	/* seen before it was there, and after it was gone */
	ASSERT_ANSWERS(
		false, false, {1, 2, SEE, ANY}, {3, 4, ADD, .version = 8});
	ASSERT_ANSWERS(false, false, {1, 2, ADD, .version = 8},
		{3, 4, REMOVE, ANY}, {5, 6, SEE, .version = 8});
	/* another version, another size */
	ASSERT_ANSWERS(false, false, {1, 2, ADD, .version = 8},
		{3, 4, SEE, .version = 16});
	ASSERT_ANSWERS(
		true, true, {1, 2, ADD, .version = 9}, {3, 4, SEE, .class = 1});
	ASSERT_ANSWERS(false, false, {1, 2, ADD, .version = 9},
		{3, 4, SEE, .class = 2});
	/* lost, and put over: only if it may vanish */
	ASSERT_ANSWERS(
		false, true, {1, 2, ADD, .version = 8}, {3, 4, LACK, ANY});
	ASSERT_ANSWERS(false, true, {1, 2, ADD, .version = 8},
		{3, 4, ADD, .version = 16});
	/* vanished once, it does not come back */
	ASSERT_ANSWERS(false, false, {1, 2, ADD, .version = 8},
		{3, 4, LACK, ANY}, {5, 6, SEE, .version = 8});
}

static void
test_at_the_same_time(void **state)
{
	(void)state;
	/* the put happened before the get, or the other way round */
	ASSERT_ANSWERS(true, true, {1, 4, ADD, .version = 8},
		{2, 3, SEE, .version = 8});
	ASSERT_ANSWERS(
		true, true, {1, 4, ADD, .version = 8}, {2, 3, LACK, ANY});
	/* a get saw it, a later one must, too */
	ASSERT_ANSWERS(false, true, {1, 8, ADD, .version = 8},
		{2, 3, SEE, .version = 8}, {4, 5, LACK, ANY});
	/* two puts of the same key: one of them says EEXIST */
	ASSERT_ANSWERS(true, true, {1, 4, ADD, .version = 8}, {2, 3, SEE, ANY});
	ASSERT_ANSWERS(false, true, {1, 4, ADD, .version = 8},
		{2, 3, ADD, .version = 16});
	/* the choice that comes first is the wrong one */
	ASSERT_ANSWERS(true, true, {1, 10, ADD, .version = 8},
		{2, 9, REMOVE, ANY}, {3, 4, LACK, ANY},
		{5, 6, SEE, .version = 8}, {7, 8, LACK, ANY});
	/* nothing that was there before a wipe is there after it */
	ASSERT_ANSWERS(false, false, {1, 2, ADD, .version = 8},
		{3, 4, WIPE, ANY}, {5, 6, SEE, ANY});
	ASSERT_ANSWERS(true, true, {1, 2, ADD, .version = 8}, {3, 6, WIPE, ANY},
		{4, 5, SEE, ANY}, {7, 8, LACK, ANY}, {9, 10, WIPE, ANY});
	/* one eviction ends one entry */
	ASSERT_ANSWERS(false, false, {1, 2, ADD, .version = 8},
		{3, 6, REMOVE, ANY}, {4, 5, REMOVE, ANY});
}

static void
test_no_history(void **state)
{
	struct checker_op see = {1, 2, SEE, .version = 8};

	(void)state;
	assert_true(linearizable(NULL, 0, false));
	assert_true(checker_linearizable(&see, 1, 8, false, nowhere));
	assert_false(checker_linearizable(&see, 1, 16, false, nowhere));
}

/* --- against all orders --- */

static bool
may_happen(uint64_t *now, const struct checker_op *op)
{
	bool there = *now != CHECKER_ABSENT;
	bool fits = there && (op->version ? *now == op->version
					  : op->class < 0 || (int)(*now % 8) ==
								     op->class);

	switch (op->event) {
	case ADD:
		*now = op->version;
		return !there;
	case LACK:
		return !there;
	case SEE:
		return fits;
	case SET:
		*now = op->stored;
		return true;
	case WIPE:
		*now = CHECKER_ABSENT;
		return true;
	case SWAP:
		*now = op->stored;
		return fits;
	case OTHER:
		return there && *now != op->version;
	case REMOVE:
		break;
	}
	*now = CHECKER_ABSENT;
	return fits;
}

static bool
any_order(const struct checker_op *ops, unsigned count, unsigned left,
	uint64_t now)
{
	if (left == 0)
		return true;
	for (unsigned i = 0; i < count; i++) {
		uint64_t then = now;
		bool first = left >> i & 1;
		for (unsigned k = 0; first && k < count; k++)
			first = !(left >> k & 1) || ops[k].ret > ops[i].call;
		if (first && may_happen(&then, &ops[i]) &&
			any_order(ops, count, left & ~(1u << i), then))
			return true;
	}
	return false;
}

static struct checker_op
random_op(uint64_t *random)
{
	struct checker_op op = {.class = CHECKER_ANY_CLASS};

	op.call = testing_below(random, 20) * 100;
	op.ret = op.call + 1 + testing_below(random, 700);
	op.event = (enum checker_event)testing_below(random, WIPE + 1);
	op.stored = 1 + testing_below(random, 3);
	if (op.event == ADD || op.event == OTHER || testing_below(random, 2))
		op.version = 1 + testing_below(random, 3);
	else if (testing_below(random, 2))
		op.class = 1 + (int)testing_below(random, 3);
	return op;
}

static int
by_call(const void *a_arg, const void *b_arg)
{
	const struct checker_op *a = a_arg, *b = b_arg;

	return (a->call > b->call) - (a->call < b->call);
}

static void
test_same_answer_as_all_orders(void **state)
{
	uint64_t random = testing_seed();
	uint64_t histories = testing_operations(20000);
	uint64_t yes = 0, no = 0;

	(void)state;
	for (uint64_t i = 0; i < histories; i++) {
		struct checker_op ops[MOST];
		unsigned count = 1 + (unsigned)testing_below(&random, MOST);
		for (unsigned k = 0; k < count; k++) {
			ops[k] = random_op(&random);
			ops[k].call += k; /* no two stamps are the same */
			ops[k].ret = ops[k].ret / 100 * 100 + 50 + k;
		}
		qsort(ops, count, sizeof(ops[0]), by_call);
		bool expected = any_order(ops, count, (1u << count) - 1, 0);
		assert_int_equal(linearizable(ops, count, false), expected);
		yes += expected;
		no += !expected;
	}
	/* many of either */
	assert_true(yes > histories / 50 && no > histories / 50);
}

/* A thousand operations, each near its moment, in an order that exists. */
static void
test_long(void **state)
{
	enum { COUNT = 1000 };
	static struct checker_op ops[COUNT];
	uint64_t random = testing_seed(), now = CHECKER_ABSENT;

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		uint64_t moment = 100 + i * 10;
		ops[i] = (struct checker_op){.class = CHECKER_ANY_CLASS,
			.call = moment - testing_below(&random, 30),
			.ret = moment + 1 + testing_below(&random, 30)};
		if (now == CHECKER_ABSENT) {
			ops[i].event = testing_below(&random, 2) ? ADD : LACK;
			if (ops[i].event == ADD)
				now = ops[i].version = (i + 1) * 8;
		} else {
			ops[i].event = testing_below(&random, 3) ? SEE : REMOVE;
			ops[i].version = testing_below(&random, 2) ? now : 0;
			if (ops[i].event == REMOVE)
				now = CHECKER_ABSENT;
		}
	}
	qsort(ops, COUNT, sizeof(ops[0]), by_call);
	assert_true(linearizable(ops, COUNT, false));
	/* one that has seen the future */
	unsigned last = COUNT - 1;
	while (ops[last].event != ADD)
		last--;
	ops[0].event = SEE;
	ops[0].version = ops[last].version;
	assert_false(linearizable(ops, COUNT, false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_at_the_same_time),
		cmocka_unit_test(test_no_history),
		cmocka_unit_test(test_same_answer_as_all_orders),
		cmocka_unit_test(test_long),
	};

	nowhere = fopen("/dev/null", "w");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
