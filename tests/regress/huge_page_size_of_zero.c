/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * huge_page_size_of_zero.c -- a size of huge pages in /sys that is none was
 * taken for one, and divided by
 *
 * Found by fuzzing. A container may well put files of its own below /sys.
 */
#include "testing.h"

#include "base/os.h"
#include "fault.h"

#include <sys/stat.h>
#include <unistd.h>

static void
what_is_no_page_size_is_not_believed(void **state)
{
	static const char *const sizes[] = {"0\n", "1\n", "2048\n", "2097153\n",
		"18446744073709551615\n", "\n"};
	char dir[] = "/tmp/vmc-huge-XXXXXX";
	char path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/hpage_pmd_size", dir);
	fault_redirect("/sys/kernel/mm/transparent_hugepage", dir);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		fputs(sizes[i], file);
		fclose(file);
		assert_int_equal(vmc_os_huge_page_size(), 2 << 20);
	}
	fault_redirect(NULL, NULL);
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_page_size_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
