/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_freelist.c -- joining, cutting and exact combinations, against plain
 * recomputation
 */
#include "testing.h"

#include "extent/freelist.h"

static void
check_order(const struct vmc_freelist *list)
{
	assert_true(list->count <= VMC_FREELIST_ROOM);
	for (uint64_t i = 1; i < list->count; i++)
		assert_true(vmc_run_count(list->run[i - 1]) >=
			    vmc_run_count(list->run[i]));
}

static uint64_t
blocks_of(const struct vmc_freelist *list)
{
	uint64_t blocks = 0;

	for (uint64_t i = 0; i < list->count; i++)
		blocks += vmc_run_count(list->run[i]);
	return blocks;
}

static bool
has(const struct vmc_freelist *list, vmc_run run)
{
	for (uint64_t i = 0; i < list->count; i++)
		if (list->run[i] == run)
			return true;
	return false;
}

/* Runs of random lengths with a block between them. */
static void
fill(struct vmc_freelist *list, uint64_t runs, uint64_t longest,
	uint64_t *random)
{
	uint64_t first = 0;

	list->count = 0;
	while (list->count < runs) {
		uint64_t count = 1 + testing_below(random, longest);
		vmc_freelist_add(list, vmc_run_make(first, count));
		first += count + 1;
		check_order(list);
	}
}

static void
test_join(void **state)
{
	struct vmc_freelist list = {0};
	uint64_t first = 120, count = 10;

	(void)state;
	vmc_freelist_add(&list, vmc_run_make(100, 20));
	vmc_freelist_add(&list, vmc_run_make(130, 5));
	vmc_freelist_add(&list, vmc_run_make(0, 99));
	vmc_freelist_add(&list, vmc_run_make(136, 1000));
	vmc_freelist_join(&list, &first, &count);
	assert_int_equal(first, 100);
	assert_int_equal(count, 35);
	assert_int_equal(list.count, 2);
	check_order(&list);
	vmc_freelist_join(&list, &first, &count);
	assert_int_equal(count, 35);
	assert_int_equal(list.count, 2);
	first = 99;
	count = 1;
	vmc_freelist_join(&list, &first, &count);
	assert_int_equal(first, 0);
	assert_int_equal(count, 100);
	assert_int_equal(list.count, 1);
	assert_true(has(&list, vmc_run_make(136, 1000)));
}

static void
test_fit_and_cut(void **state)
{
	uint64_t random = testing_seed(), index;
	struct vmc_freelist list;

	(void)state;
	for (int i = 0; i < 200; i++) {
		fill(&list, testing_below(&random, VMC_FREELIST_ROOM + 1), 50,
			&random);
		uint64_t count = 1 + testing_below(&random, 60);
		uint64_t shortest = UINT64_MAX, blocks = blocks_of(&list);
		for (uint64_t k = 0; k < list.count; k++) {
			uint64_t c = vmc_run_count(list.run[k]);
			if (c >= count && c < shortest)
				shortest = c;
		}
		bool found = vmc_freelist_fit(&list, count, &index);
		assert_int_equal(found, shortest != UINT64_MAX);
		if (!found)
			continue;
		vmc_run whole = list.run[index];
		assert_int_equal(vmc_run_count(whole), shortest);
		vmc_run run = vmc_freelist_cut(&list, index, count);
		assert_true(run == vmc_run_make(vmc_run_first(whole), count));
		assert_int_equal(blocks_of(&list), blocks - count);
		assert_true(
			shortest == count ||
			has(&list, vmc_run_make(vmc_run_first(whole) + count,
					   shortest - count)));
		check_order(&list);
	}
}

/* Is there a subset of the first PARTS runs not longer than the sum? */
static bool
subset_exists(const struct vmc_freelist *list, uint64_t sum)
{
	uint64_t length[VMC_FREELIST_PARTS], n = 0;

	for (uint64_t i = 0; i < list->count && n < VMC_FREELIST_PARTS; i++)
		if (vmc_run_count(list->run[i]) <= sum)
			length[n++] = vmc_run_count(list->run[i]);
	for (uint64_t set = 1; set < UINT64_C(1) << n; set++) {
		uint64_t total = 0;
		for (uint64_t i = 0; i < n; i++)
			total += set >> i & 1 ? length[i] : 0;
		if (total == sum)
			return true;
	}
	return false;
}

static void
test_exact(void **state)
{
	vmc_run part[VMC_FREELIST_PARTS];
	uint64_t random = testing_seed(), found = 0, steps = 300;
	struct vmc_freelist list, before;

	(void)state;
	if (RUNNING_ON_VALGRIND)
		steps = 20;
	for (uint64_t i = 0; i < steps; i++) {
		uint64_t longest = 1 + testing_below(&random, 300);
		fill(&list, testing_below(&random, 30), longest, &random);
		uint64_t sum = 1 + testing_below(&random, 520);
		before = list;
		unsigned parts = vmc_freelist_exact(&list, sum, part);
		assert_int_equal(
			parts > 0, sum < 512 && subset_exists(&before, sum));
		check_order(&list);
		assert_int_equal(list.count + parts, before.count);
		for (unsigned k = 0; k < parts; k++) {
			assert_true(has(&before, part[k]));
			assert_false(has(&list, part[k]));
			sum -= vmc_run_count(part[k]);
		}
		assert_true(parts == 0 || sum == 0);
		found += parts > 0;
	}
	assert_true(found > 0 && found < steps);
}

/* One run of the length is taken rather than several shorter ones. */
static void
test_exact_prefers_long(void **state)
{
	vmc_run part[VMC_FREELIST_PARTS];
	struct vmc_freelist list = {0};

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		vmc_freelist_add(&list, vmc_run_make(100 * i, 10));
	vmc_freelist_add(&list, vmc_run_make(5000, 100));
	vmc_freelist_add(&list, vmc_run_make(6000, 200));
	assert_int_equal(vmc_freelist_exact(&list, 100, part), 1);
	assert_true(part[0] == vmc_run_make(5000, 100));
	assert_int_equal(vmc_freelist_exact(&list, 220, part), 3);
	assert_int_equal(vmc_freelist_exact(&list, 80, part), 8);
	assert_int_equal(list.count, 0);
	assert_int_equal(vmc_freelist_exact(&list, 1, part), 0);
}

/* Any two lengths are found, wherever their sum lies in its word. */
static void
test_exact_pairs(void **state)
{
	uint64_t step = RUNNING_ON_VALGRIND ? 31 : 1;
	vmc_run part[VMC_FREELIST_PARTS];

	(void)state;
	for (uint64_t a = 1; a < 511; a += step)
		for (uint64_t b = 1; b <= a && a + b < 512; b += step) {
			struct vmc_freelist list;

			list.count = 0;
			vmc_freelist_add(&list, vmc_run_make(0, a));
			vmc_freelist_add(&list, vmc_run_make(a + 1, b));
			assert_int_equal(
				vmc_freelist_exact(&list, a + b, part), 2);
			assert_int_equal(list.count, 0);
		}
}

/* Taking runs out of a full list touches nothing behind it. */
static void
test_nothing_behind(void **state)
{
	struct {
		struct vmc_freelist list;
		vmc_run behind[4];
	} full;
	uint64_t random = testing_seed();

	(void)state;
	for (uint64_t i = 0; i < VMC_FREELIST_ROOM; i++) {
		fill(&full.list, VMC_FREELIST_ROOM, 9, &random);
		for (unsigned k = 0; k < 4; k++)
			full.behind[k] = 1000 + k;
		uint64_t all = vmc_run_count(full.list.run[i]);
		vmc_freelist_cut(&full.list, i, all);
		assert_int_equal(full.list.count, VMC_FREELIST_ROOM - 1);
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(full.behind[k], 1000 + k);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_fit_and_cut),
		cmocka_unit_test(test_nothing_behind),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_exact_pairs),
		cmocka_unit_test(test_exact_prefers_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
