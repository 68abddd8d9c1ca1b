/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_resp.c -- requests of Redis' protocol, taken apart
 */
#include "testing.h"

#include "resp.h"

#define MOST 100

/* All prefixes of a request but the whole say that more is needed. */
static void
in_pieces(void **state)
{
	static const char request[] =
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n";
	size_t size = sizeof(request) - 1, wanted;
	struct vmcd_resp resp = {0};
	const char *error;

	(void)state;
	for (size_t n = 0; n < size; n++) {
		assert_int_equal(vmcd_resp_parse(&resp, request, n, MOST,
					 &wanted, &error),
			VMCD_RESP_MORE);
		assert_true(wanted <= size);
	}
	assert_int_equal(
		vmcd_resp_parse(&resp, request, size, MOST, &wanted, &error),
		VMCD_RESP_WHOLE);
	assert_int_equal(resp.count, 3);
	assert_int_equal(resp.at, size);
	assert_int_equal(resp.string[0].size, 3);
	assert_memory_equal(request + resp.string[1].from, "k", 1);
	assert_int_equal(resp.string[2].size, 0);
	vmcd_resp_close(&resp);
}

static void
wrong(void **state)
{
	static const char *const requests[] = {
		"x1\r\n",
		"*x\r\n",
		"*-1\r\n",
		"*1\n",
		"*99999999\r\n",
		"*1\r\nx",
		"*1\r\n$-1\r\n",
		"*1\r\n$101\r\n",
		"*1\r\n$18446744073709551615\r\n",
		"*2\r\n$31\r\n0123456789012345678901234567890\r\n$55\r\n",
		"*00000000000000000000000000000000000000001",
	};
	size_t wanted;

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		struct vmcd_resp resp = {0};
		const char *error = NULL;
		assert_int_equal(
			vmcd_resp_parse(&resp, requests[i], strlen(requests[i]),
				MOST, &wanted, &error),
			VMCD_RESP_WRONG);
		assert_non_null(error);
		vmcd_resp_close(&resp);
	}
}

static bool
matches(const char *pattern, const char *text)
{
	return vmcd_glob((struct vmcd_span){pattern, strlen(pattern)},
		(struct vmcd_span){text, strlen(text)});
}

static void
globs(void **state)
{
	char long_text[2001], long_pattern[2001];

	(void)state;
	assert_true(matches("", ""));
	assert_true(matches("*", ""));
	assert_true(matches("a*c", "abbc"));
	assert_true(matches("*b*b*", "abcbd"));
	assert_true(matches("h?llo", "hello"));
	assert_true(matches("h[ae]llo", "hallo"));
	assert_true(matches("h[a-e]llo", "hcllo"));
	assert_true(matches("h[^x]llo", "hello"));
	assert_true(matches("\\*", "*"));
	assert_true(matches("[\\]]", "]"));
	assert_false(matches("a", ""));
	assert_false(matches("", "a"));
	assert_false(matches("h[^e]llo", "hello"));
	assert_false(matches("\\*", "a"));
	assert_false(matches("*c", "ab"));
	assert_true(matches("a[b", "ab")); /* as if it were closed */
	/* no pattern takes more than pattern times text */
	memset(long_text, 'a', 2000);
	for (int i = 0; i < 2000; i++)
		long_pattern[i] = i % 2 ? '*' : 'a';
	long_pattern[1999] = 'b';
	long_text[2000] = long_pattern[2000] = '\0';
	assert_false(matches(long_pattern, long_text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_pieces),
		cmocka_unit_test(wrong),
		cmocka_unit_test(globs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
