/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process out of descriptors was told that it has too many kinds: open(2)'s
 * EMFILE and that of the full table were one. And on a DAX medium that was
 * full, memkind_check_dax_path() said that it could not be used.
 */
#include "testing.h"

#include "fault.h"
#include "memkind.h"

#include <errno.h>

static void
test_no_descriptor(void **state)
{
	memkind_t kind;

	(void)state;
	for (int i = 0; i < 2; i++) {
		int err = i ? ENFILE : EMFILE;
		fault_arm("open", 0, 1, err);
		errno = 0;
		assert_int_equal(memkind_create_pmem("/tmp", 0, &kind),
			MEMKIND_ERROR_INVALID);
		assert_int_equal(errno, err);
		assert_int_equal(fault_disarm(), 1);
	}
}

static void
test_full_medium(void **state)
{
	(void)state;
	fault_arm("fallocate", 0, 100, ENOSPC);
	assert_int_not_equal(
		memkind_check_dax_path("/tmp"), MEMKIND_ERROR_RUNTIME);
	fault_disarm();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_descriptor),
		cmocka_unit_test(test_full_medium),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
