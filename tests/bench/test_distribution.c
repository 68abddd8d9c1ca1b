/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_distribution.c -- what is drawn is distributed as it says
 *
 * Frequencies and means of many draws against the exact figures, within six
 * standard deviations: wrong one time in 500 million.
 */
#include "testing.h"

#include <math.h>
#include <unistd.h>

#include "distribution.h"

enum { DRAWS = 200000 };

static uint64_t random_state;

static struct bench_distribution
parsed(const char *text)
{
	struct bench_distribution d;
	const char *wrong = bench_distribution_parse(&d, text, 1024);

	if (wrong != NULL)
		fail_msg("%s: %s", text, wrong);
	return d;
}

static void
assert_near(double found, double expected, double deviation)
{
	if (!(fabs(found - expected) <= 6 * deviation + 1e-12))
		fail_msg("%g instead of %g, deviation %g", found, expected,
			deviation);
}

static void
fixed_is_fixed(void **state)
{
	struct bench_distribution d = parsed("fixed:4K");

	(void)state;
	assert_int_equal(bench_draw(&d, &random_state), 4096);
	d = parsed("1.5K");
	assert_int_equal(bench_draw(&d, &random_state), 1536);
}

static void
uniform_has_its_moments(void **state)
{
	struct bench_distribution d = parsed("uniform:100:899");
	double sum = 0;
	double squares = 0;
	double variance = (800.0 * 800.0 - 1) / 12;

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		uint64_t n = bench_draw(&d, &random_state);
		double x = (double)n - 499.5;

		assert_in_range(n, 100, 899);
		sum += x;
		squares += x * x;
	}
	assert_near(sum / DRAWS, 0, sqrt(variance / DRAWS));
	/* Kurtosis 1.8: the squares vary by 0.8 variances squared. */
	assert_near(squares / DRAWS, variance, variance * sqrt(0.8 / DRAWS));
}

/* As many in every octave, but for the rounding to whole numbers. */
static void
log_uniform_fills_octaves_alike(void **state)
{
	struct bench_distribution d = parsed("log-uniform:256:64K");
	double count[17] = {0};
	double logarithms = log(65537.0 / 256);

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		uint64_t n = bench_draw(&d, &random_state);

		assert_in_range(n, 256, 65536);
		count[63 - __builtin_clzll(n)]++;
	}
	for (int octave = 8; octave < 16; octave++) {
		double p = log(2) / logarithms;
		assert_near(
			count[octave] / DRAWS, p, sqrt(p * (1 - p) / DRAWS));
	}
}

static void
check_zipf(double skew, uint64_t n)
{
	char text[64];
	double *count = calloc(n, sizeof(*count));
	double all = 0;
	double tail = 0;
	double tail_count = 0;

	snprintf(text, sizeof(text), "zipf:%g:10:%llu", skew,
		(unsigned long long)n + 9);
	struct bench_distribution d = parsed(text);
	assert_non_null(count);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t drawn = bench_draw(&d, &random_state);

		assert_in_range(drawn, 10, n + 9);
		count[drawn - 10]++;
	}
	for (uint64_t k = 1; k <= n; k++)
		all += pow((double)k, -skew);
	for (uint64_t k = 1; k <= n; k++) {
		double p = pow((double)k, -skew) / all;

		if (k <= 12) {
			assert_near(count[k - 1] / DRAWS, p,
				sqrt(p * (1 - p) / DRAWS));
		} else if (k > n / 2) {
			tail += p;
			tail_count += count[k - 1];
		}
	}
	assert_near(tail_count / DRAWS, tail, sqrt(tail / DRAWS));
	free(count);
}

static void
zipf_has_its_frequencies(void **state)
{
	static const double skews[] = {0.2, 0.8, 0.99, 1, 1.01, 1.5, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(skews) / sizeof(skews[0]); i++) {
		check_zipf(skews[i], 1000);
		check_zipf(skews[i], 2);
		check_zipf(skews[i], 1);
	}
	check_zipf(0.99, 1000000);
}

static void
listed_numbers_are_drawn_alike(void **state)
{
	char path[] = "/tmp/vmc-sizes.XXXXXX";
	char text[64];
	int fd = mkstemp(path);
	double count[3] = {0};

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "100\n\n2K\r\n7\n", 11), 11);
	close(fd);
	snprintf(text, sizeof(text), "file:%s", path);
	struct bench_distribution d = parsed(text);
	unlink(path);
	assert_int_equal(d.low, 7);
	assert_int_equal(d.high, 2048);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t n = bench_draw(&d, &random_state);

		count[n == 100 ? 0 : n == 2048 ? 1 : 2]++;
		assert_true(n == 100 || n == 2048 || n == 7);
	}
	for (int i = 0; i < 3; i++)
		assert_near(count[i] / DRAWS, 1.0 / 3, sqrt(2.0 / 9 / DRAWS));
	bench_distribution_free(&d);
}

static void
same_seed_same_numbers(void **state)
{
	struct bench_distribution d = parsed("zipf:0.9:1:1G");
	uint64_t a = 42;
	uint64_t b = 42;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bench_draw(&d, &a), bench_draw(&d, &b));
}

static void
nonsense_is_refused(void **state)
{
	static const char *const nonsense[] = {"", "x", "-1", "4Q", "1e3",
		"0x10", " 1", "1 ", "nan", "inf", "fixed:", "uniform:1",
		"uniform:5:4", "uniform:1:", "uniform::1", "log-uniform:0:5",
		"log-uniform:1:8T:", "uniform:0:8192T", "zipf:1:10",
		"zipf:0:1:10", "zipf:-1:1:10", "zipf:nan:1:10", "zipf:11:1:2",
		"normal:1:2", "file:/nonexistent/file", "file:/dev/null",
		"file:/etc/passwd", "99999999999999999999"};

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		struct bench_distribution d;

		if (bench_distribution_parse(&d, nonsense[i], 1024) == NULL)
			fail_msg("\"%s\" was taken", nonsense[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_is_fixed),
		cmocka_unit_test(uniform_has_its_moments),
		cmocka_unit_test(log_uniform_fills_octaves_alike),
		cmocka_unit_test(zipf_has_its_frequencies),
		cmocka_unit_test(listed_numbers_are_drawn_alike),
		cmocka_unit_test(same_seed_same_numbers),
		cmocka_unit_test(nonsense_is_refused),
	};

	random_state = testing_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
