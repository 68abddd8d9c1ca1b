/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_error.c -- one message per thread: format, cut, errno, threads
 */
#include "testing.h"

#include "base/error.h"

#include <errno.h>
#include <pthread.h>

static void *
other_thread(void *arg)
{
	(void)arg;
	assert_string_equal(vmc_error_message(), "");
	vmc_fail_const(EIO, "of the other thread");
	return NULL;
}

static void
test_empty_at_first_and_per_thread(void **state)
{
	pthread_t thread;

	(void)state;
	assert_string_equal(vmc_error_message(), "");
	assert_int_equal(vmc_fail_const(EPERM, "of this thread"), -EPERM);
	pthread_create(&thread, NULL, other_thread, NULL);
	pthread_join(thread, NULL);
	assert_string_equal(vmc_error_message(), "of this thread");
}

static void
test_format(void **state)
{
	(void)state;
	errno = EBADF;
	assert_int_equal(vmc_fail(ENOSPC, "%d of %s", 3, "four"), -ENOSPC);
	assert_string_equal(vmc_error_message(), "3 of four");
	assert_int_equal(vmc_fail(ENOTDIR, "!open"), -ENOTDIR);
	assert_string_equal(vmc_error_message(), "open: Not a directory");
	assert_int_equal(errno, EBADF);
}

static void
test_constant_is_kept_by_reference(void **state)
{
	static const char text[] = "constant";

	(void)state;
	vmc_fail(EIO, "formatted");
	assert_int_equal(vmc_fail_const(ENOENT, text), -ENOENT);
	assert_ptr_equal(vmc_error_message(), text);
}

/* Whatever the length around the buffer's end: 255 bytes, and terminated. */
static void
test_cut(void **state)
{
	char text[600];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int length = 200; length < 600; length++) {
		vmc_fail(EIO, "!%.*s", length, text);
		size_t all = (size_t)length + strlen(": Input/output error");
		const char *message = vmc_error_message();
		assert_int_equal(strlen(message), all < 255 ? all : 255);
		assert_int_equal(
			strspn(message, "x"), length < 255 ? length : 255);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_at_first_and_per_thread),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_constant_is_kept_by_reference),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
