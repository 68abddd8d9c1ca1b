/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_histogram.c -- quantiles against the sorted samples
 */
#include "testing.h"

#include <math.h>

#include "histogram.h"

enum { SAMPLES = 50000 };

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
check_against(const struct bench_histogram *h, uint64_t *samples, size_t n)
{
	static const double parts[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};

	qsort(samples, n, sizeof(*samples), compare);
	assert_int_equal(h->count, n);
	assert_int_equal(h->max, samples[n - 1]);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t rank = (size_t)ceil(parts[i] * (double)n);
		uint64_t exact = samples[rank > 0 ? rank - 1 : 0];
		uint64_t found = bench_histogram_quantile(h, parts[i]);

		if (found < exact || found - exact > exact / 64)
			fail_msg("quantile %g: %llu instead of %llu", parts[i],
				(unsigned long long)found,
				(unsigned long long)exact);
	}
}

static void
quantiles_are_those_of_the_samples(void **state)
{
	static struct bench_histogram h;
	uint64_t *samples = calloc(SAMPLES, sizeof(*samples));
	uint64_t random = testing_seed();

	(void)state;
	assert_non_null(samples);
	for (unsigned magnitude = 0; magnitude < 64; magnitude += 7) {
		h = (struct bench_histogram){0};
		for (size_t i = 0; i < SAMPLES; i++) {
			/* All orders of magnitude up to this one. */
			uint64_t bits = testing_below(&random, magnitude + 1);
			samples[i] = testing_random(&random) >> (63 - bits);
			bench_histogram_record(&h, samples[i]);
		}
		check_against(&h, samples, SAMPLES);
	}
	free(samples);
}

static void
merging_is_recording_both(void **state)
{
	static struct bench_histogram both, one, other;
	uint64_t random = testing_seed();

	(void)state;
	both = one = other = (struct bench_histogram){0};
	for (int i = 0; i < 10000; i++) {
		uint64_t x = testing_below(&random, 1000000);

		bench_histogram_record(&both, x);
		bench_histogram_record(i % 3 ? &one : &other, x);
	}
	bench_histogram_merge(&one, &other);
	assert_memory_equal(&one, &both, sizeof(one));
}

static void
ends_are_exact(void **state)
{
	static struct bench_histogram h;

	(void)state;
	assert_int_equal(bench_histogram_quantile(&h, 0.5), 0);
	bench_histogram_record(&h, 0);
	assert_int_equal(bench_histogram_quantile(&h, 1), 0);
	bench_histogram_record(&h, UINT64_MAX);
	assert_true(bench_histogram_quantile(&h, 1) == UINT64_MAX);
	assert_int_equal(bench_histogram_quantile(&h, 0.5), 0);
	/* Every bucket's neighbours are one apart. */
	for (uint64_t x = 1; x < 100000; x++)
		assert_in_range(bench_histogram_bucket(x) -
					bench_histogram_bucket(x - 1),
			0, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_those_of_the_samples),
		cmocka_unit_test(merging_is_recording_both),
		cmocka_unit_test(ends_are_exact),
	};

	testing_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
