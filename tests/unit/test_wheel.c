/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_wheel.c -- the timing wheel against an array of deadlines
 */
#include "testing.h"

#include "base/error.h"
#include "expiry/wheel.h"

enum { TIMERS = 400, ROUNDS = 20000 };

static struct vmc_wheel wheel;
static struct vmc_timer timers[TIMERS];

static void
add(struct vmc_timer *timer, uint64_t deadline)
{
	assert_true(deadline < VMC_WHEEL_NEVER);
	vmc_timer_init(timer, deadline, 4711);
	uint64_t before = vmc_wheel_next(&wheel);
	bool earlier = vmc_wheel_add(&wheel, timer, deadline);
	assert_true(vmc_wheel_next(&wheel) < before
			    ? earlier
			    : vmc_wheel_next(&wheel) == before);
	assert_int_equal(vmc_timer_mark(timer), 4711);
}

static void
check(void)
{
	if (vmc_wheel_check(&wheel) != 0)
		fail_msg("%s", vmc_error_message());
}

static void
advance_all(uint64_t now)
{
	for (int i = 0; !vmc_wheel_advance(&wheel, now, 1000000); i++)
		assert_in_range(i, 0, 10);
}

/* How many are due, each of which is taken out. */
static unsigned
take_due(uint64_t now)
{
	struct vmc_timer *timer;
	unsigned count = 0;

	while ((timer = vmc_wheel_due(&wheel))) {
		assert_true(vmc_timer_deadline(timer) <= now);
		vmc_wheel_remove(&wheel, timer);
		count++;
	}
	return count;
}

static void
test_one_timer_of_each_length(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < VMC_TIMER_BITS; bits++) {
		uint64_t start = UINT64_C(123456789012345);
		uint64_t length = UINT64_C(1) << bits;
		for (uint64_t ttl = length - 1; ttl <= length + 1; ttl++) {
			uint64_t end = start + ttl;
			if (end >= VMC_WHEEL_NEVER)
				continue;
			vmc_wheel_init(&wheel, start);
			add(&timers[0], end);
			check();
			if (ttl > 0) {
				advance_all(end - 1);
				assert_null(vmc_wheel_due(&wheel));
				check();
				assert_true(vmc_wheel_next(&wheel) <= end);
			}
			advance_all(end);
			assert_ptr_equal(vmc_wheel_due(&wheel), &timers[0]);
			assert_int_equal(vmc_wheel_next(&wheel), 0);
			vmc_wheel_remove(&wheel, &timers[0]);
			assert_int_equal(wheel.count, 0);
			advance_all(end);
			assert_true(vmc_wheel_next(&wheel) == VMC_WHEEL_NEVER);
		}
	}
}

static void
test_none(void **state)
{
	(void)state;
	vmc_wheel_init(&wheel, 5);
	vmc_timer_init(&timers[0], VMC_WHEEL_NEVER, 0);
	assert_false(vmc_timer_is_added(&timers[0]));
	vmc_wheel_remove(&wheel, &timers[0]);
	assert_int_equal(wheel.count, 0);
	assert_true(vmc_wheel_next(&wheel) == VMC_WHEEL_NEVER);
	check();
}

static uint64_t
random_length(uint64_t *random, unsigned bits)
{
	return testing_below(
		random, UINT64_C(1) << testing_below(random, bits));
}

/* Everything that is due is found at once, nothing else ever. */
static void
test_random(void **state)
{
	uint64_t random = testing_seed();
	uint64_t now = testing_below(&random, UINT64_C(1) << 40) + 1;

	(void)state;
	vmc_wheel_init(&wheel, now);
	memset(timers, 0, sizeof(timers));
	for (int round = 0; round < ROUNDS; round++) {
		struct vmc_timer *timer =
			&timers[testing_below(&random, TIMERS)];
		unsigned due = 0;
		switch (testing_below(&random, 4)) {
		case 0:
			vmc_wheel_remove(&wheel, timer);
			assert_false(vmc_timer_is_added(timer));
			break;
		case 1:
			now += testing_below(&random, 8) == 0
				       ? random_length(&random, 38)
				       : testing_below(&random, 100);
			break;
		default:
			vmc_wheel_remove(&wheel, timer);
			add(timer, now + random_length(&random, 46));
		}
		for (unsigned i = 0; i < TIMERS; i++)
			due += vmc_timer_is_added(&timers[i]) &&
			       vmc_timer_deadline(&timers[i]) <= now;
		if (testing_below(&random, 3) == 0) {
			/* in pieces: what is found is due, if not all of it */
			vmc_wheel_advance(&wheel, now,
				(unsigned)testing_below(&random, 3));
			check();
			vmc_wheel_look_ahead(
				&wheel, (unsigned)testing_below(&random, 3));
			check();
		}
		if (testing_below(&random, 3) > 0)
			continue;
		assert_true(due == 0 || vmc_wheel_next(&wheel) <= now);
		advance_all(now);
		assert_int_equal(take_due(now), due);
		check();
	}
}

/* However many timers wait, a piece is no more than was allowed. */
static void
test_pieces(void **state)
{
	enum { MANY = 100000, PIECE = 10, START = 4096, RANGE = 1024 };
	struct vmc_timer *many = calloc(MANY, sizeof(*many));
	unsigned pieces = 0, due = 0;

	(void)state;
	assert_non_null(many);
	vmc_wheel_init(&wheel, 0);
	/* one slot of the third level, the first millisecond of it last */
	for (unsigned i = MANY; i-- > 0;)
		add(&many[i], START + i % RANGE);
	for (; !vmc_wheel_advance(&wheel, START, PIECE); pieces++)
		due += take_due(START);
	due += take_due(START);
	assert_int_equal(due, MANY / RANGE + 1);
	assert_in_range(pieces, MANY / PIECE, MANY / PIECE + 3);
	/* what is over as a whole takes no move */
	assert_true(vmc_wheel_advance(&wheel, 10000, 1000));
	assert_int_equal(take_due(10000), MANY - MANY / RANGE - 1);
	free(many);
}

/* Who looks ahead has nothing left to move when it is their time. */
static void
test_look_ahead(void **state)
{
	enum { MANY = 100000, LONGEST = 100000, MOVES = 6 };
	uint64_t random = testing_seed();
	struct vmc_timer *many = calloc(MANY, sizeof(*many));
	unsigned due = 0;

	(void)state;
	assert_non_null(many);
	vmc_wheel_init(&wheel, 0);
	for (unsigned i = 0; i < MANY; i++)
		add(&many[i], 1000 + testing_below(&random, LONGEST - 999));
	for (uint64_t now = 1; now <= LONGEST; now++) {
		assert_true(vmc_wheel_advance(&wheel, now, MOVES));
		vmc_wheel_look_ahead(&wheel, MOVES);
		due += take_due(now);
	}
	check();
	assert_int_equal(due, MANY);
	free(many);
}

static void
test_put_off(void **state)
{
	(void)state;
	vmc_wheel_init(&wheel, 100);
	add(&timers[0], 100);
	add(&timers[1], 50);
	assert_ptr_equal(vmc_wheel_due(&wheel), &timers[0]);
	vmc_wheel_put_off(&wheel, &timers[0]);
	assert_ptr_equal(vmc_wheel_due(&wheel), &timers[1]);
	vmc_wheel_put_off(&wheel, &timers[1]);
	assert_null(vmc_wheel_due(&wheel));
	assert_int_equal(vmc_wheel_next(&wheel), 101);
	check();
	advance_all(101);
	assert_int_equal(take_due(101), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_timer_of_each_length),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_look_ahead),
		cmocka_unit_test(test_put_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
