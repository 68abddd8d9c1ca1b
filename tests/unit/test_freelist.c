/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_freelist.c -- joining, cutting and exact combinations, against plain
 * recomputation
 */
#include "testing.h"

#include "extent/freelist.h"

#include <errno.h>

enum { ROOM = 128 };

/* A list, and what should be in it. */
struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_freelist list;
	vmc_run run[ROOM];
	uint32_t count;
	uint64_t random;
};

static void
begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	memset(&f->list, 0xa5, sizeof(f->list));
	f->memory = testing_memory_of(&f->counts);
	f->random = testing_seed();
	assert_int_equal(vmc_freelist_init(&f->list, ROOM, &f->memory), 0);
}

static void
end(struct fixture *f)
{
	vmc_freelist_fini(&f->list, &f->memory);
	assert_int_equal(f->counts.objects, 0);
}

static int
find(const struct fixture *f, vmc_run run)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (f->run[i] == run)
			return (int)i;
	return -1;
}

static void
expect(struct fixture *f, vmc_run run)
{
	f->run[f->count++] = run;
}

static void
expect_no_more(struct fixture *f, vmc_run run)
{
	int at = find(f, run);

	assert_int_not_equal(at, -1);
	f->run[at] = f->run[--f->count];
}

/* The list has what it should have, each once, and its parts agree. */
static void
compare(struct fixture *f)
{
	uint64_t blocks = 0, checked;
	uint32_t met = 0;

	for (vmc_listed at = 0; (at = vmc_freelist_next(&f->list, at)); met++) {
		assert_int_not_equal(
			find(f, vmc_freelist_run(&f->list, at)), -1);
		blocks += vmc_run_count(vmc_freelist_run(&f->list, at));
	}
	assert_int_equal(met, f->count);
	assert_int_equal(f->list.count, f->count);
	assert_int_equal(vmc_freelist_check(&f->list, &checked), 0);
	assert_int_equal(checked, blocks);
}

static void
add(struct fixture *f, uint64_t first, uint64_t count)
{
	vmc_freelist_add(&f->list, vmc_run_make(first, count));
	expect(f, vmc_run_make(first, count));
}

static void
empty(struct fixture *f)
{
	vmc_listed at;

	while ((at = vmc_freelist_next(&f->list, 0)))
		vmc_freelist_cut(&f->list, at, VMC_RUN_COUNT_MAX);
	f->count = 0;
	compare(f);
}

/* Runs of random lengths with a block between them, in any order. */
static void
fill(struct fixture *f, uint32_t runs, uint64_t longest)
{
	uint64_t first = 0;

	empty(f);
	while (f->count < runs) {
		uint64_t count = 1 + testing_below(&f->random, longest);
		expect(f, vmc_run_make(first, count));
		first += count + 1;
	}
	for (uint32_t i = 0; i < runs; i++) {
		uint64_t other = testing_below(&f->random, runs);
		vmc_run run = f->run[i];
		f->run[i] = f->run[other];
		f->run[other] = run;
	}
	for (uint32_t i = 0; i < runs; i++)
		vmc_freelist_add(&f->list, f->run[i]);
	compare(f);
}

static void
test_join(void **state)
{
	uint64_t first = 120, count = 10;
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 100, 20);
	add(&f, 130, 5);
	add(&f, 0, 99);
	add(&f, 136, 1000);
	vmc_freelist_join(&f.list, &first, &count);
	assert_int_equal(first, 100);
	assert_int_equal(count, 35);
	expect_no_more(&f, vmc_run_make(100, 20));
	expect_no_more(&f, vmc_run_make(130, 5));
	compare(&f);
	vmc_freelist_join(&f.list, &first, &count);
	assert_int_equal(count, 35);
	compare(&f);
	first = 99;
	count = 1;
	vmc_freelist_join(&f.list, &first, &count);
	assert_int_equal(first, 0);
	assert_int_equal(count, 100);
	first = 135;
	count = 1;
	vmc_freelist_join(&f.list, &first, &count);
	assert_int_equal(first, 135);
	assert_int_equal(count, 1001);
	f.count = 0;
	compare(&f);
	end(&f);
}

/* Blocks go and come back one by one; all of them are one run at the end. */
static void
test_join_many(void **state)
{
	enum { BLOCKS = 2 * ROOM - 1 };
	struct fixture f;
	uint64_t block[BLOCKS];

	(void)state;
	begin(&f);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint64_t other = testing_below(&f.random, i + 1);
		block[i] = block[other];
		block[other] = i;
	}
	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint64_t first = block[i], count = 1, blocks;
		vmc_freelist_join(&f.list, &first, &count);
		assert_true(first <= block[i] && block[i] < first + count);
		vmc_freelist_add(&f.list, vmc_run_make(first, count));
		assert_int_equal(vmc_freelist_check(&f.list, &blocks), 0);
		assert_int_equal(blocks, i + 1);
	}
	assert_int_equal(f.list.count, 1);
	end(&f);
}

static uint64_t
length_of(const struct fixture *f, vmc_listed at)
{
	return vmc_run_count(vmc_freelist_run(&f->list, at));
}

/* The shortest run of at least so many blocks; UINT64_MAX: none. */
static uint64_t
shortest_from(const struct fixture *f, uint64_t count)
{
	uint64_t shortest = UINT64_MAX;

	for (uint32_t i = 0; i < f->count; i++) {
		uint64_t c = vmc_run_count(f->run[i]);
		if (c >= count && c < shortest)
			shortest = c;
	}
	return shortest;
}

static void
test_fit_and_cut(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	for (int i = 0; i < 200; i++) {
		fill(&f, (uint32_t)testing_below(&f.random, ROOM + 1),
			i % 2 ? 50 : 255);
		uint64_t count = 1 + testing_below(&f.random, 255);
		uint64_t shortest = shortest_from(&f, count);
		vmc_listed at = vmc_freelist_fit(&f.list, count);
		assert_int_equal(at != 0, shortest != UINT64_MAX);
		if (!at)
			continue;
		vmc_run whole = vmc_freelist_run(&f.list, at);
		assert_int_equal(vmc_run_count(whole), shortest);
		vmc_run run = vmc_freelist_cut(&f.list, at, count);
		assert_true(run == vmc_run_make(vmc_run_first(whole), count));
		expect_no_more(&f, whole);
		if (shortest > count)
			expect(&f, vmc_run_make(vmc_run_first(whole) + count,
					   shortest - count));
		compare(&f);
	}
	end(&f);
}

/* Beyond 256 blocks: about as short as can be, and about the longest. */
static void
test_long_runs(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	for (int i = 0; i < 300; i++) {
		fill(&f, 1 + (uint32_t)testing_below(&f.random, 40),
			i % 3 ? 3000 : VMC_RUN_COUNT_MAX);
		uint64_t count = 1 + testing_below(&f.random, 4000);
		uint64_t shortest = shortest_from(&f, count), longest = 0;
		vmc_listed at = vmc_freelist_fit(&f.list, count);
		if (shortest == UINT64_MAX) {
			assert_int_equal(at, 0);
		} else if (!at) { /* the few that would do share its bin */
			assert_true(count >= 256);
			assert_true(shortest < count + count / 16);
		} else {
			assert_true(length_of(&f, at) >= count);
			assert_true(length_of(&f, at) <=
				    shortest + shortest / 16 + count / 16);
		}
		for (uint32_t k = 0; k < f.count; k++)
			if (vmc_run_count(f.run[k]) > longest)
				longest = vmc_run_count(f.run[k]);
		at = vmc_freelist_longest(&f.list);
		assert_true(length_of(&f, at) + longest / 16 >= longest);
		at = vmc_freelist_shortest(&f.list);
		shortest = shortest_from(&f, 1);
		assert_true(length_of(&f, at) <= shortest + shortest / 16);
	}
	empty(&f);
	assert_int_equal(vmc_freelist_longest(&f.list), 0);
	assert_int_equal(vmc_freelist_shortest(&f.list), 0);
	assert_int_equal(vmc_freelist_fit(&f.list, 1), 0);
	add(&f, 7, VMC_RUN_COUNT_MAX);
	assert_int_equal(length_of(&f, vmc_freelist_longest(&f.list)),
		VMC_RUN_COUNT_MAX);
	assert_int_not_equal(vmc_freelist_fit(&f.list, VMC_RUN_COUNT_MAX), 0);
	end(&f);
}

/* Lengths that share a bin, and the next bin. */
static void
test_shared_bin(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 0, 1010);
	add(&f, 2000, 1000);
	assert_int_equal(length_of(&f, vmc_freelist_fit(&f.list, 1005)), 1010);
	assert_int_equal(vmc_freelist_fit(&f.list, 1011), 0);
	add(&f, 4000, 1024);
	assert_int_equal(length_of(&f, vmc_freelist_fit(&f.list, 1005)), 1010);
	assert_int_equal(length_of(&f, vmc_freelist_fit(&f.list, 1011)), 1024);
	compare(&f);
	end(&f);
}

static int
longer_first(const void *a, const void *b)
{
	uint64_t x = vmc_run_count(*(const vmc_run *)a);
	uint64_t y = vmc_run_count(*(const vmc_run *)b);

	return (x < y) - (x > y);
}

/* Is there a subset of the longest PARTS runs not longer than the sum? */
static bool
subset_exists(struct fixture *f, uint64_t sum)
{
	uint64_t length[VMC_FREELIST_PARTS], n = 0;

	qsort(f->run, f->count, sizeof(*f->run), longer_first);
	for (uint64_t i = 0; i < f->count && n < VMC_FREELIST_PARTS; i++)
		if (vmc_run_count(f->run[i]) <= sum)
			length[n++] = vmc_run_count(f->run[i]);
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
	uint64_t found = 0, steps = RUNNING_ON_VALGRIND ? 20 : 300;
	struct fixture f;

	(void)state;
	begin(&f);
	for (uint64_t i = 0; i < steps; i++) {
		/* lengths that do not share bins: the longest is well defined
		 */
		fill(&f, (uint32_t)testing_below(&f.random, 30),
			1 + testing_below(&f.random, 255));
		uint64_t sum = 1 + testing_below(&f.random, 520);
		bool exists = sum < 512 && subset_exists(&f, sum);
		unsigned parts = vmc_freelist_exact(
			&f.list, sum, VMC_FREELIST_PARTS, part);
		assert_int_equal(parts > 0, exists);
		for (unsigned k = 0; k < parts; k++) {
			expect_no_more(&f, part[k]);
			sum -= vmc_run_count(part[k]);
		}
		assert_true(parts == 0 || sum == 0);
		compare(&f);
		found += parts > 0;
	}
	assert_true(found > 0 && found < steps);
	end(&f);
}

/*
 * One run of the length is taken rather than several shorter ones; of those no
 * more than are allowed.
 */
static void
test_exact_prefers_long(void **state)
{
	vmc_run part[VMC_FREELIST_PARTS];
	struct fixture f;

	(void)state;
	begin(&f);
	for (uint64_t i = 0; i < 10; i++)
		add(&f, 100 * i, 10);
	add(&f, 5000, 100);
	add(&f, 6000, 200);
	assert_int_equal(
		vmc_freelist_exact(&f.list, 100, VMC_FREELIST_PARTS, part), 1);
	assert_true(part[0] == vmc_run_make(5000, 100));
	assert_int_equal(
		vmc_freelist_exact(&f.list, 220, VMC_FREELIST_PARTS, part), 3);
	assert_int_equal(vmc_freelist_exact(&f.list, 80, 7, part), 0);
	assert_int_equal(f.list.count, 8);
	assert_int_equal(
		vmc_freelist_exact(&f.list, 80, VMC_FREELIST_PARTS, part), 8);
	f.count = 0;
	compare(&f);
	assert_int_equal(
		vmc_freelist_exact(&f.list, 1, VMC_FREELIST_PARTS, part), 0);
	end(&f);
}

/* Any two lengths are found, wherever their sum lies in its word. */
static void
test_exact_pairs(void **state)
{
	uint64_t step = RUNNING_ON_VALGRIND ? 31 : 1;
	vmc_run part[VMC_FREELIST_PARTS];
	struct fixture f;

	(void)state;
	begin(&f);
	for (uint64_t a = 1; a < 511; a += step)
		for (uint64_t b = 1; b <= a && a + b < 512; b += step) {
			vmc_freelist_add(&f.list, vmc_run_make(0, a));
			vmc_freelist_add(&f.list, vmc_run_make(a + 1, b));
			assert_int_equal(vmc_freelist_exact(&f.list, a + b,
						 VMC_FREELIST_PARTS, part),
				2);
			assert_int_equal(f.list.count, 0);
		}
	end(&f);
}

static void
test_no_memory(void **state)
{
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_freelist list;

	(void)state;
	for (long failing = 0; failing < 3; failing++) {
		counts.fail_at = failing;
		assert_int_equal(
			vmc_freelist_init(&list, ROOM, &memory), -ENOMEM);
		assert_int_equal(counts.objects, 0);
	}
	counts.fail_at = 3;
	assert_int_equal(vmc_freelist_init(&list, ROOM, &memory), 0);
	vmc_freelist_fini(&list, &memory);
	assert_int_equal(counts.objects, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_many),
		cmocka_unit_test(test_fit_and_cut),
		cmocka_unit_test(test_long_runs),
		cmocka_unit_test(test_shared_bin),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_exact_pairs),
		cmocka_unit_test(test_exact_prefers_long),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
