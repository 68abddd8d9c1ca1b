/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_hbw.c -- hbwmalloc under each policy, with and without memory
 * of that sort
 *
 * A policy is for the life of a process, so each has one: this program again.
 * MEMKIND_HBW_NODES makes node 0 high-bandwidth memory, where there is none.
 */
#include "testing.h"

#include "hbwmalloc.h"
#include "memkind.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

static int policy;

static void
settle_policy(void)
{
	assert_int_equal(hbw_get_policy(), HBW_POLICY_PREFERRED);
	assert_int_equal(hbw_set_policy((hbw_policy_t)0), EINVAL);
	assert_int_equal(hbw_set_policy((hbw_policy_t)5), EINVAL);
	assert_int_equal(hbw_set_policy((hbw_policy_t)-1), EINVAL);
	assert_int_equal(hbw_set_policy((hbw_policy_t)policy), 0);
	for (int other = 1; other <= 4; other++)
		assert_int_equal(hbw_set_policy((hbw_policy_t)other),
			other == policy ? 0 : EPERM);
	assert_int_equal(hbw_get_policy(), policy);
}

static void
check_region(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	/* no pages yet: which of the two is the kernel's choice */
	int err = hbw_verify_memory_region(p, 4 * page, 0);
	assert_true(err == -1 || err == EFAULT);
	if (hbw_check_available() != 0)
		assert_int_equal(
			hbw_verify_memory_region(p, 4 * page, HBW_TOUCH_PAGES),
			-1);
	assert_int_equal(hbw_verify_memory_region(NULL, page, 0), EINVAL);
	assert_int_equal(hbw_verify_memory_region(p, 0, 0), EINVAL);
	assert_int_equal(hbw_verify_memory_region(p, page, 2), EINVAL);
	assert_int_equal(hbw_verify_memory_region(p, page, ~0), EINVAL);
	assert_int_equal(hbw_verify_memory_region(p, SIZE_MAX, 0), EINVAL);
	munmap(p, 4 * page);
	assert_int_equal(hbw_verify_memory_region(p, page, 0), EFAULT);
}

/* Touched or not, whole pages or parts of them. */
static void
check_own_region(char *p, size_t size)
{
	if (hbw_check_available() != 0)
		return;
	p[0] = 7;
	assert_int_equal(hbw_verify_memory_region(p, size, HBW_TOUCH_PAGES), 0);
	assert_int_equal(p[0], 7);
	assert_int_equal(hbw_verify_memory_region(p, size, 0), 0);
	assert_int_equal(hbw_verify_memory_region(p + 5, 1, 0), 0);
}

/* Every call, where there is memory for the policy. */
static void
use(void **state)
{
	char *p, *q;
	void *aligned;

	(void)state;
	settle_policy();
	errno = 77;
	assert_null(hbw_malloc(0));
	assert_null(hbw_calloc(0, 5));
	assert_int_equal(errno, 77);
	assert_null(hbw_malloc(SIZE_MAX / 2));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hbw_calloc(SIZE_MAX / 4, 5));
	assert_int_equal(errno, ENOMEM);
	p = hbw_malloc(5000);
	assert_non_null(p);
	memset(p, 0x5a, 5000);
	q = hbw_calloc(50, 100);
	assert_non_null(q);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(q[i], 0);
	assert_true(hbw_malloc_usable_size(p) >= 5000);
	assert_int_equal(hbw_malloc_usable_size(NULL), 0);
	p = hbw_realloc(p, 100000);
	assert_non_null(p);
	assert_int_equal(p[4999], 0x5a);
	check_own_region(p, 100000);
	assert_null(hbw_realloc(p, 0));
	p = hbw_realloc(NULL, 10);
	assert_non_null(p);
	hbw_free(p);
	hbw_free(q);
	hbw_free(NULL);
	assert_int_equal(hbw_posix_memalign(&aligned, 3, 10), EINVAL);
	assert_int_equal(hbw_posix_memalign(&aligned, 4, 10), EINVAL);
	assert_int_equal(hbw_posix_memalign(&aligned, 4096, 10), 0);
	assert_int_equal((uintptr_t)aligned % 4096, 0);
	hbw_free(aligned);
	check_region();
}

static void
use_page_sizes(void **state)
{
	/* a pool of such pages may or may not be there */
	const hbw_pagesize_t pools[] = {
		HBW_PAGESIZE_2MB, HBW_PAGESIZE_1GB, HBW_PAGESIZE_1GB_STRICT};
	void *p;

	(void)state;
	assert_int_equal(
		hbw_posix_memalign_psize(&p, 64, 10, (hbw_pagesize_t)0),
		EINVAL);
	assert_int_equal(
		hbw_posix_memalign_psize(&p, 64, 10, HBW_PAGESIZE_MAX_VALUE),
		EINVAL);
	assert_int_equal(
		hbw_posix_memalign_psize(&p, 3, 10, HBW_PAGESIZE_4KB), EINVAL);
	assert_int_equal(
		hbw_posix_memalign_psize(&p, 256, 10, HBW_PAGESIZE_4KB), 0);
	assert_int_equal((uintptr_t)p % 256, 0);
	hbw_free(p);
	for (size_t i = 0; i < sizeof(pools) / sizeof(*pools); i++) {
		int err = hbw_posix_memalign_psize(&p, HUGE_PAGE, 10, pools[i]);
		/* strict: whole pages only; interleaved: none of them */
		if (policy == HBW_POLICY_INTERLEAVE ||
			pools[i] == HBW_PAGESIZE_1GB_STRICT) {
			assert_int_equal(err, EINVAL);
			continue;
		}
		assert_true(err == 0 || err == ENOMEM);
		if (err == ENOMEM) {
			assert_null(p);
			continue;
		}
		assert_int_equal((uintptr_t)p % HUGE_PAGE, 0);
		memset(p, 1, 10);
		hbw_free(p);
	}
}

/* Every call, where there is none. */
static void
refused(void **state)
{
	void *p = &p;

	(void)state;
	settle_policy();
	errno = 77;
	assert_int_equal(hbw_posix_memalign(&p, 64, 10), ENOMEM);
	assert_int_equal(errno, 77);
	assert_int_equal(hbw_check_available(), ENODEV);
	errno = 0;
	assert_null(hbw_malloc(10));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hbw_calloc(1, 10));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hbw_realloc(NULL, 10));
	assert_int_equal(errno, ENOMEM);
	errno = 77;
	assert_int_equal(hbw_posix_memalign(&p, 64, 10), ENOMEM);
	assert_int_equal(errno, 77);
	assert_null(p);
	assert_int_equal(
		hbw_posix_memalign_psize(&p, 64, 10, HBW_PAGESIZE_4KB), ENOMEM);
	check_region();
}

static int
run_self(const char *nodes, const char *how, int with_policy)
{
	char number[16];
	int status;

	snprintf(number, sizeof(number), "%d", with_policy);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		unsetenv("MEMKIND_HBW_NODES");
		if (nodes)
			setenv("MEMKIND_HBW_NODES", nodes, 1);
		execl("/proc/self/exe", "hbw", how, number, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* Has this machine such memory without being told? */
static bool
machine_has_some(void)
{
	return getenv("MEMKIND_HBW_NODES") == NULL &&
	       memkind_check_available(MEMKIND_HBW_ALL) == MEMKIND_SUCCESS;
}

static void
test_each_policy(void **state)
{
	const char *nodes = machine_has_some() ? NULL : "0";

	(void)state;
	for (int i = HBW_POLICY_BIND; i <= HBW_POLICY_BIND_ALL; i++)
		assert_int_equal(run_self(nodes, "--use", i), 0);
}

/* A list that cannot be understood leaves no nodes, and so does no list. */
static void
test_without_memory(void **state)
{
	(void)state;
	for (int i = HBW_POLICY_BIND; i <= HBW_POLICY_BIND_ALL; i++) {
		/* to prefer what is not there is to have the rest */
		const char *how =
			i == HBW_POLICY_PREFERRED ? "--use" : "--refused";
		assert_int_equal(run_self("0-", how, i), 0);
		if (!machine_has_some())
			assert_int_equal(run_self(NULL, how, i), 0);
	}
}

/* The first allocation settles it as the default. */
static void
test_settled_by_allocation(void **state)
{
	void *p = hbw_malloc(10);

	(void)state;
	assert_int_equal(hbw_get_policy(), HBW_POLICY_PREFERRED);
	assert_int_equal(hbw_set_policy(HBW_POLICY_BIND), EPERM);
	assert_int_equal(hbw_set_policy(HBW_POLICY_PREFERRED), 0);
	hbw_free(p);
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_policy),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_settled_by_allocation),
	};
	const struct CMUnitTest with[] = {
		cmocka_unit_test(use),
		cmocka_unit_test(use_page_sizes),
	};
	const struct CMUnitTest without[] = {cmocka_unit_test(refused)};

	if (argc == 3)
		policy = atoi(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--use") == 0)
		return cmocka_run_group_tests(with, NULL, NULL);
	if (argc == 3)
		return cmocka_run_group_tests(without, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
