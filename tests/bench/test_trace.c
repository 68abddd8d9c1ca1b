/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_trace.c -- small traces, written here: what is read, what is refused
 */
#include "testing.h"

#include <unistd.h>

#include "trace.h"

static char path[] = "/tmp/vmc-trace.XXXXXX";
static char error[256];

static struct bench_trace *
open_with(const void *content, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	error[0] = '\0';
	return bench_trace_open(path, error, sizeof(error));
}

static struct bench_trace *
open_text(const char *text)
{
	return open_with(text, strlen(text));
}

static void
assert_next(struct bench_trace *t, uint64_t id, uint32_t size)
{
	struct bench_trace_request r;

	assert_true(bench_trace_next(t, &r));
	assert_true(r.id == id);
	assert_int_equal(r.size, size);
}

static void
assert_end(struct bench_trace *t)
{
	struct bench_trace_request r;

	assert_false(bench_trace_next(t, &r));
}

static void
records_are_read(void **state)
{
	/* time 1, object 0x0807060504030201, size 4096; then 2, 5, 0 */
	static const unsigned char two[48] = {1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7,
		8, 0, 16, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0, 0,
		0, 5};
	struct bench_trace *t = open_with(two, sizeof(two));

	(void)state;
	assert_non_null(t);
	assert_string_equal(bench_trace_summary(t)->format, "oracleGeneral");
	assert_int_equal(bench_trace_summary(t)->requests, 2);
	assert_int_equal(bench_trace_summary(t)->bytes, 4096);
	assert_int_equal(bench_trace_summary(t)->largest, 4096);
	for (int turn = 0; turn < 2; turn++) {
		assert_next(t, UINT64_C(0x0807060504030201), 4096);
		assert_next(t, 5, 0);
		assert_end(t);
		bench_trace_rewind(t);
	}
	bench_trace_close(t);
}

static void
lines_are_read(void **state)
{
	struct bench_trace *t = open_text("time,id,size,operation\n"
					  "0,17,100\r\n"
					  "# a remark\n"
					  "\n"
					  " 0.5 , 18446744073709551615 , 7 ,x\n"
					  "1,/a/path,4294967295\n"
					  "1,17x,1\n"
					  "2,/a/path,3");
	struct bench_trace_request named, other, again;

	(void)state;
	assert_non_null(t);
	assert_string_equal(bench_trace_summary(t)->format, "csv");
	assert_int_equal(bench_trace_summary(t)->requests, 5);
	assert_true(bench_trace_summary(t)->largest == UINT32_MAX);
	for (int turn = 0; turn < 2; turn++) {
		assert_next(t, 17, 100);
		assert_next(t, UINT64_MAX, 7);
		assert_true(bench_trace_next(t, &named));
		assert_true(bench_trace_next(t, &other));
		assert_true(bench_trace_next(t, &again));
		assert_true(named.id == again.id);
		assert_true(named.id != other.id && other.id != 17);
		assert_end(t);
		bench_trace_rewind(t);
	}
	bench_trace_close(t);
}

static void
headings_are_optional(void **state)
{
	struct bench_trace *t = open_text("0,1,2\n");

	(void)state;
	assert_non_null(t);
	assert_next(t, 1, 2);
	assert_end(t);
	bench_trace_close(t);
}

static void
mistakes_are_named(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} wrong[] = {
		{"", "is empty"},
		{"\n\n", "holds no requests"},
		{"time,id,size\n", "holds no requests"},
		{"0,1,2\n3,4\n", "line 2: fewer than three fields"},
		{"0,1,2\n3,4,five\n", "line 2: the size \"five\""},
		{"0,1,2\ntime,id,size\n", "line 2: the size \"size\""},
		{"0,1,-2\n", "line 1: the size \"-2\""},
		{"0,1,2.5\n", "line 1: the size \"2.5\""},
		{"0,1,4294967296\n", "line 1: the size is 4 GiB or more"},
		{"0,1,99999999999999999999\n", "line 1: the size"},
		{"0,,2\n", "line 1: no id"},
		{"\x28\xb5\x2f\xfd rest", "zstd -d"},
		{"\x01\x02 neither", "whole number of records"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (open_text(wrong[i].text) != NULL)
			fail_msg("\"%s\" was taken", wrong[i].text);
		if (strstr(error, wrong[i].says) == NULL ||
			strstr(error, path) != error)
			fail_msg("\"%s\" instead of \"%s\"", error,
				wrong[i].says);
	}
	assert_null(bench_trace_open("/nonexistent", error, sizeof(error)));
	assert_string_equal(error, "/nonexistent: No such file or directory");
	assert_null(bench_trace_open("/", error, sizeof(error)));
	assert_non_null(strstr(error, "is not a regular file"));
	/* Text at the start, a zero later. */
	static char late[100];
	memset(late, '\n', sizeof(late));
	late[80] = '\0';
	assert_null(open_with(late, sizeof(late)));
	assert_non_null(strstr(error, "line 81: a byte of value 0"));
}

/* Random bytes are refused or read; neither crashes nor loops. */
static void
noise_does_no_harm(void **state)
{
	static const char alphabet[] = "0123456789,,,,\n\n.-x# \r";
	uint64_t random = testing_seed();

	(void)state;
	for (int i = 0; i < 300; i++) {
		unsigned char noise[480];
		size_t size = 24 * testing_below(&random, 21);
		bool text = i % 2;

		for (size_t k = 0; k < size; k++)
			noise[k] =
				(unsigned char)(text ? alphabet[testing_below(
							       &random,
							       sizeof(alphabet) -
								       1)]
						     : (char)testing_random(
							       &random));
		struct bench_trace *t = open_with(noise, size);
		if (t == NULL)
			continue;
		struct bench_trace_request r;
		uint64_t n = 0;
		while (bench_trace_next(t, &r))
			n++;
		assert_int_equal(n, bench_trace_summary(t)->requests);
		bench_trace_close(t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(lines_are_read),
		cmocka_unit_test(headings_are_optional),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(noise_does_no_harm),
	};

	testing_seed();
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
