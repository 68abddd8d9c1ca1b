/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_extent_places.c -- where a value goes: the rules at the top of extent.c,
 * each where it decides
 */
#include "testing.h"

#include "base/error.h"
#include "extent/extent.h"

enum { MANY = 900 };

static struct testing_memory counts;
static struct vmc_extent *extent;

static void
start(uint64_t blocks)
{
	struct vmc_memory memory = testing_memory_of(&counts);

	assert_int_equal(vmc_extent_new(&extent, blocks, &memory), 0);
}

static void
end(void)
{
	vmc_extent_delete(extent);
	assert_int_equal(counts.objects, 0);
}

static void
check(void)
{
	if (vmc_extent_check(extent) != 0)
		fail_msg("%s", vmc_error_message());
}

/* Give the one run, if it is not 0, and take so many blocks. */
static vmc_runs
exchange(vmc_run given, uint64_t blocks)
{
	vmc_runs give = vmc_runs_one(given), take;
	uint64_t missing;

	assert_int_equal(
		vmc_extent_exchange(extent, &give, blocks, &take, &missing), 0);
	check();
	return take;
}

static void
give(uint64_t first, uint64_t count)
{
	vmc_runs runs = vmc_runs_one(vmc_run_make(first, count));

	vmc_extent_free(extent, &runs);
	check();
}

/* The next value of so many blocks begins here, and is in one piece. */
static void
expect_next(uint64_t first, uint64_t count)
{
	assert_true(exchange(0, count).word == vmc_run_make(first, count));
}

static void
test_map_before_list(void **state)
{
	(void)state;
	start(7);
	expect_next(0, 3);
	expect_next(3, 1);
	give(0, 3);
	/* runs of three, listed and in the map: the latter has no better use */
	expect_next(4, 3);
	expect_next(0, 3);
	end();

	start(10);
	expect_next(0, 6);
	expect_next(6, 1);
	give(0, 6);
	/* no exact listed run, only a longer one to cut */
	expect_next(7, 3);
	expect_next(0, 3);
	end();
}

static void
test_longest_is_cut_first(void **state)
{
	uint64_t count;

	(void)state;
	start(6);
	expect_next(0, 3);
	expect_next(3, 2);
	give(0, 3);
	vmc_runs value = exchange(0, 4);
	const vmc_run *run = vmc_runs_view(&value, &count);
	assert_int_equal(count, 2);
	assert_true(run[0] == vmc_run_make(0, 3)); /* listed */
	assert_true(run[1] == vmc_run_make(5, 1)); /* in the map */
	vmc_extent_free(extent, &value);
	end();
}

/*
 * A run of the wanted length is handed over as it is, if the value before had
 * that length too; else it is joined to what is free beside it.
 */
static void
test_handed_over(void **state)
{
	(void)state;
	start(6);
	expect_next(0, 1);
	expect_next(1, 1);
	expect_next(2, 1);
	give(0, 1);
	assert_true(exchange(vmc_run_make(1, 1), 1).word == vmc_run_make(1, 1));
	expect_next(3, 2);
	assert_true(exchange(vmc_run_make(1, 1), 1).word == vmc_run_make(5, 1));
	expect_next(0, 2);
	end();
}

/*
 * What was given back last goes to the next value, if that and the one before
 * have its length; else it is joined to what is free beside it.
 */
static void
test_latest(void **state)
{
	(void)state;
	start(9);
	expect_next(0, 3);
	expect_next(3, 3);
	give(0, 3);
	assert_int_equal(vmc_extent_free_runs(extent), 2);
	expect_next(0, 3); /* though there are three blocks in the map */
	give(0, 3);
	give(3, 3); /* which touches both that and the map */
	assert_int_equal(vmc_extent_free_blocks(extent), 9);
	assert_int_equal(vmc_extent_free_runs(extent), 1);
	expect_next(3, 3);
	give(3, 3);
	expect_next(0, 2); /* not listed: one with what is in the map */
	give(0, 2);
	expect_next(0, 9);
	end();

	/* as long as the value, but not as the one before */
	start(9);
	expect_next(0, 3);
	expect_next(3, 2);
	give(0, 3);
	expect_next(5, 3);
	end();
}

static void
test_latest_is_closed(void **state)
{
	(void)state;
	start(9);
	expect_next(0, 3);
	expect_next(3, 3);
	expect_next(6, 3);
	give(6, 3);
	assert_int_equal(vmc_extent_close(extent, 8), 0);
	check();
	assert_int_equal(vmc_extent_free_blocks(extent), 2);
	assert_int_equal(vmc_extent_closed_used(extent), 0);
	give(3, 3);
	assert_int_equal(vmc_extent_free_runs(extent), 1);
	expect_next(3, 3);
	vmc_extent_open(extent, 8);
	check();
	expect_next(6, 2);
	end();

	/* nor is it kept, as far as it is closed */
	start(9);
	expect_next(0, 3);
	expect_next(3, 3);
	assert_int_equal(vmc_extent_close(extent, 5), 0);
	give(3, 3);
	assert_int_equal(vmc_extent_free_blocks(extent), 2);
	expect_next(3, 2);
	vmc_extent_open(extent, 9);
	check();
	expect_next(5, 4);
	end();
}

/*
 * Every third of many blocks is free; the list holds some of these, the map
 * the others. The blocks beside them join them, wherever they are.
 */
static void
neighbours_join(uint64_t beside)
{
	start(MANY);
	for (uint64_t i = 0; i < MANY; i++)
		expect_next(i, 1);
	for (uint64_t i = 1; i < MANY; i += 3)
		give(i, 1);
	assert_true(vmc_extent_free_runs(extent) > 2 * VMC_EXTENT_LISTED_MIN);
	for (uint64_t i = beside; i < MANY; i += 3) {
		give(i, 1);
		assert_int_equal(vmc_extent_free_runs(extent), MANY / 3);
	}
	for (uint64_t i = 2 - beside; i < MANY; i += 3)
		give(i, 1);
	assert_int_equal(vmc_extent_free_runs(extent), 1);
	assert_int_equal(vmc_extent_free_blocks(extent), MANY);
	end();
}

static void
test_neighbours_join(void **state)
{
	(void)state;
	neighbours_join(0);
	neighbours_join(2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_before_list),
		cmocka_unit_test(test_longest_is_cut_first),
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_latest),
		cmocka_unit_test(test_latest_is_closed),
		cmocka_unit_test(test_neighbours_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
