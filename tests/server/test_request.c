/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_request.c -- lines of memcached's text protocol, taken apart
 */
#include "testing.h"

#include "request.h"

static struct vmcd_request request;

/* In memory of its own size, so that an overrun is seen. */
static void
parse(const char *line)
{
	static char *copy;
	size_t size = strlen(line);

	free(copy);
	copy = malloc(size + !size);
	assert_non_null(copy);
	memcpy(copy, line, size);
	vmcd_parse((struct vmcd_span){copy, size}, &request);
}

static void
expect_error(const char *line, const char *error)
{
	parse(line);
	assert_int_equal(request.command, VMCD_NOTHING);
	assert_string_equal(request.error, error);
}

static void
numbers(void **state)
{
	static const struct {
		const char *text;
		bool is;
		uint64_t number;
	} cases[] = {
		{"0", true, 0},
		{"007", true, 7},
		{"+1", true, 1},
		{" 1", true, 1},
		{"1 x", true, 1},
		{"-0", true, 0},
		{"18446744073709551615", true, UINT64_MAX},
		{"18446744073709551616", false, 0},
		{"-1", false, 0},
		{"", false, 0},
		{"+", false, 0},
		{"+ 1", false, 0},
		{"1x", false, 0},
		{"0x1", false, 0},
	};
	uint64_t number;
	int64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vmcd_span text = {cases[i].text, strlen(cases[i].text)};
		number = 0;
		assert_int_equal(vmcd_unsigned(text, &number), cases[i].is);
		assert_true(number == cases[i].number);
	}
	assert_true(vmcd_signed(
		(struct vmcd_span){"-9223372036854775808", 20}, &n));
	assert_true(n == INT64_MIN);
	assert_false(
		vmcd_signed((struct vmcd_span){"9223372036854775808", 19}, &n));
}

static void
classic(void **state)
{
	(void)state;
	parse("set key 5 100 3 noreply");
	assert_int_equal(request.command, VMCD_SET);
	assert_true(vmcd_span_is(request.key, "key"));
	assert_int_equal(request.client_flags, 5);
	assert_int_equal(request.exptime, 100);
	assert_int_equal(request.value_size, 3);
	assert_true(request.quiet && request.has_value);

	parse("cas k 0 0 3 77");
	assert_int_equal(request.command, VMCD_CAS);
	assert_true(request.number == 77);

	parse("  gat 10 a  b ");
	assert_int_equal(request.command, VMCD_GAT);
	assert_int_equal(request.exptime, 10);
	assert_true(vmcd_span_is(vmcd_word(&request.rest), "a"));
	assert_true(vmcd_span_is(vmcd_word(&request.rest), "b"));
	assert_int_equal(vmcd_word(&request.rest).size, 0);

	expect_error("", "ERROR");
	expect_error("get", "ERROR");
	expect_error("nothing", "ERROR");
	expect_error("set k 0 0 -1", "CLIENT_ERROR bad command line format");
	assert_false(request.has_value);
	expect_error(
		"set k 4294967296 0 1", "CLIENT_ERROR bad command line format");
	expect_error("incr k x", "CLIENT_ERROR invalid numeric delta argument");
	expect_error("touch k x", "CLIENT_ERROR invalid exptime argument");
}

static void
meta(void **state)
{
	(void)state;
	parse("ms aGk= 3 b T10 F7 MA q Oabc C9");
	assert_int_equal(request.command, VMCD_META_SET);
	assert_true(vmcd_span_is(request.key, "hi"));
	assert_int_equal(request.value_size, 3);
	assert_int_equal(request.client_flags, 7);
	assert_int_equal(request.meta.mode, 'A');
	assert_int_equal(request.meta.exptime, 10);
	assert_int_equal(request.meta.flags, 7);
	assert_true(request.number == 9 && request.quiet);

	expect_error("mg k v v", "CLIENT_ERROR duplicate flag");
	expect_error("mg k z", "CLIENT_ERROR invalid flag");
	expect_error("md k z", "CLIENT_ERROR invalid or duplicate flag");
	expect_error("mg k b", "CLIENT_ERROR error decoding key");
	expect_error("mx k", "ERROR");
	expect_error(
		"ms k 3 Tx", "CLIENT_ERROR bad token in command line format");
	assert_true(request.has_value); /* it is skipped */
	expect_error("ma k MX", "CLIENT_ERROR invalid mode for ma M token");
}

static void
base64(void **state)
{
	uint64_t seed = testing_seed();
	char bytes[64], text[96], back[64];
	size_t size;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		size_t n = 1 + testing_below(&seed, sizeof(bytes));
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)testing_random(&seed);
		size = vmcd_base64_encode((struct vmcd_span){bytes, n}, text);
		assert_true(vmcd_base64_decode((struct vmcd_span){text, size},
			back, sizeof(back), &size));
		assert_int_equal(size, n);
		assert_memory_equal(back, bytes, n);
	}
	assert_false(vmcd_base64_decode(
		(struct vmcd_span){"YWJj", 4}, back, 2, &size));
	assert_false(vmcd_base64_decode(
		(struct vmcd_span){"YWJ", 3}, back, 3, &size));
	assert_false(vmcd_base64_decode(
		(struct vmcd_span){"Y=Jj", 4}, back, 3, &size));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(classic),
		cmocka_unit_test(meta),
		cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
