/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_rows.c -- rows of a policy: each has a number of its own, and the stock
 * is there when there is no memory
 */
#include "testing.h"

#include "policy/rows.h"

#include <errno.h>

enum { MANY = 20 * (int)VMC_ROWS_GROUP };

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_rows rows;
};

static void
fixture_start(struct fixture *f)
{
	f->memory = testing_memory_of(&f->counts);
	vmc_rows_init(&f->rows, &f->memory);
	assert_int_equal(f->counts.objects, 0);
}

static void
fixture_end(struct fixture *f)
{
	vmc_rows_fini(&f->rows);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
}

static void
test_numbers(void **state)
{
	struct fixture f;
	struct vmc_policy_row *row[MANY];

	(void)state;
	fixture_start(&f);
	assert_false(vmc_rows_have(&f.rows, 0));
	for (unsigned i = 0; i < MANY; i++) {
		row[i] = vmc_rows_take(&f.rows, false);
		assert_non_null(row[i]);
		assert_non_null(row[i]->places);
		assert_int_equal(f.rows.live[row[i]->number], 0);
		/* one after the other, but none is 0 */
		assert_int_equal(row[i]->number, i + 1);
		memset(row[i]->places, (int)i, sizeof(*row[i]->places));
	}
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t at = row[i]->number * VMC_POLICY_ROW + i % 32;
		assert_true(vmc_rows_have(&f.rows, at));
		assert_ptr_equal(vmc_rows_at(&f.rows, at), row[i]);
		assert_int_equal(
			row[i]->places->low[VMC_POLICY_ROW - 1], i % 256 * 257);
	}
	uint32_t last = f.rows.groups * VMC_ROWS_GROUP * VMC_POLICY_ROW;
	assert_true(vmc_rows_have(&f.rows, last - 1));
	assert_false(vmc_rows_have(&f.rows, last));
	assert_false(vmc_rows_have(&f.rows, UINT32_MAX));
	fixture_end(&f);
}

static void
test_given_back(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	struct vmc_policy_row *a = vmc_rows_take(&f.rows, false);
	struct vmc_policy_row *b = vmc_rows_take(&f.rows, false);
	long objects = f.counts.objects;
	vmc_rows_give_back(&f.rows, a);
	vmc_rows_give_back(&f.rows, b);
	assert_ptr_equal(vmc_rows_take(&f.rows, false), b);
	assert_ptr_equal(vmc_rows_take(&f.rows, false), a);
	assert_int_equal(f.counts.objects, objects);
	fixture_end(&f);
}

/* What is in stock is for those who need it, where there is no memory. */
static void
test_stock(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	assert_int_equal(vmc_rows_stock(&f.rows, 3), 0);
	assert_int_equal(f.rows.is.spares, 3);
	assert_non_null(vmc_rows_take(&f.rows, true));
	assert_int_equal(f.rows.is.spares, 3); /* it was not needed */
	f.counts.fail_at = -2;
	for (unsigned n = 0; n < 3; n++) {
		assert_null(vmc_rows_take(&f.rows, false));
		assert_non_null(vmc_rows_take(&f.rows, true));
	}
	assert_null(vmc_rows_take(&f.rows, true));
	assert_int_equal(vmc_rows_stock(&f.rows, 3), -ENOMEM);
	assert_int_equal(vmc_rows_stock(&f.rows, 0), 0);
	f.counts.fail_at = -1;
	fixture_end(&f);
}

/* What is more than the stock goes back, all but a few rows. */
static void
test_stock_is_given_back(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	assert_int_equal(vmc_rows_stock(&f.rows, 100), 0);
	long objects = f.counts.objects;
	assert_int_equal(vmc_rows_stock(&f.rows, 10), 0);
	unsigned kept = f.rows.is.spares;
	assert_in_range(kept, 11, 20);
	assert_int_equal(objects - f.counts.objects, 100 - kept);
	/* and their numbers are used again */
	assert_int_equal(vmc_rows_stock(&f.rows, 100), 0);
	assert_int_equal(f.counts.objects, objects);
	f.counts.fail_at = -2;
	while (f.rows.is.spares > 0)
		assert_in_range(vmc_rows_take(&f.rows, true)->number, 1, 100);
	f.counts.fail_at = -1;
	fixture_end(&f);
}

/* Whatever allocation fails, nothing is lost, and the next try succeeds. */
static void
test_each_allocation_fails(void **state)
{
	struct fixture f;
	unsigned failed = 0;

	(void)state;
	fixture_start(&f);
	for (unsigned i = 0; i < MANY; i++) {
		struct vmc_policy_row *row = NULL;
		for (long at = 0; !row; at++) {
			f.counts.fail_at = at;
			row = vmc_rows_take(&f.rows, false);
			failed += row == NULL;
		}
		f.counts.fail_at = -1;
		assert_int_equal(row->number, i + 1);
	}
	/* places each time, and what a group and longer arrays need */
	assert_true(failed > MANY);
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_stock_is_given_back),
		cmocka_unit_test(test_each_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
