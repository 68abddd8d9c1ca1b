/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.c -- a line has the width that there is, whatever the figures; numbers
 * have five characters at most, and are never rounded to one unit too low
 */
#include "testing.h"

#include "table.h"

static void
expect_number(double number, bool bytes, const char *expected)
{
	char text[16];

	assert_string_equal(top_number(text, number, bytes), expected);
}

static void
test_numbers(void **state)
{
	(void)state;
	expect_number(0, false, "0");
	expect_number(0.04, false, "0");
	expect_number(0.5, false, "0.5");
	expect_number(9.94, false, "9.9");
	expect_number(9.96, false, "10");
	expect_number(999, false, "999");
	expect_number(999.6, false, "1.00k");
	expect_number(1000, false, "1.00k");
	expect_number(12345, false, "12.3k");
	expect_number(999499, false, "999k");
	expect_number(999999, false, "1.00M");
	expect_number(1.8e19, false, "18.0E");
	expect_number(999, true, "999");
	expect_number(1024, true, "1.00K");
	expect_number(1023.0 * 1024, true, "1.00M");
	expect_number(1 << 20, true, "1.00M");
}

static void
test_random_numbers(void **state)
{
	uint64_t random = testing_seed();
	char text[16];

	(void)state;
	for (uint64_t i = testing_operations(100000); i > 0; i--) {
		uint64_t n = testing_random(&random);
		n >>= testing_below(&random, 64);
		double number = (double)n / (i % 2 ? 1 : 7);
		assert_true(strlen(top_number(text, number, i % 3)) <= 5);
		/* what it says is near enough */
		double unit = i % 3 ? 1024 : 1000, said = strtod(text, NULL);
		const char *u = strpbrk(text, "kKMGTPE");
		for (size_t j = u ? strcspn("kMGTPE", *u == 'K' ? "k" : u) + 1
				  : 0;
			j > 0; j--)
			said *= unit;
		assert_true(said >= number * 0.99 - 0.5 &&
			    said <= number * 1.03 + 0.5);
	}
}

/* Figures and a name of any length, of any size. */
static void
fill(struct top_cache *cache, uint64_t *random)
{
	struct vmc_sample *samples[] = {
		&cache->published.now, &cache->published.before};
	size_t length = 1 + testing_below(random, VMEMCACHE_NAME_MAX);

	for (int i = 0; i < 2; i++) {
		uint64_t *numbers = (uint64_t *)(void *)&samples[i]->statistics;
		for (size_t j = 0; j < sizeof(samples[i]->statistics) / 8; j++)
			numbers[j] = testing_random(random) >>
				     testing_below(random, 64);
		samples[i]->clock_ns = testing_random(random);
		memset(samples[i]->name, 'x', length);
		samples[i]->name[length] = '\0';
	}
	cache->published.pid = 1 + (int)testing_below(random, 4194304);
	cache->state = (enum top_state)testing_below(random, TOP_GONE + 1);
}

static void
test_lines(void **state)
{
	uint64_t random = testing_seed();
	struct top_cache all[4] = {0};
	struct top_caches caches = {.all = all};
	char line[TOP_LINE];

	(void)state;
	for (uint64_t i = testing_operations(20000); i > 0; i--) {
		int width = 1 + (int)testing_below(&random, 200);
		caches.count = testing_below(&random, 5);
		for (size_t j = 0; j < caches.count; j++)
			fill(&all[j], &random);
		struct top_layout layout = top_layout(&caches, width);
		top_line(line, &layout, NULL);
		size_t length = strlen(line);
		assert_true(length <= (size_t)width);
		for (size_t j = 0; j < caches.count; j++) {
			top_line(line, &layout, &all[j]);
			assert_int_equal(strlen(line), length);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_random_numbers),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
