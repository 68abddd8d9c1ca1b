/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every kind that was destroyed left 2 MiB of address space and a mapping of
 * its own behind: jemalloc does not return what it noted down about an arena.
 * Now neither memory nor addresses nor mappings stay, however many kinds
 * there were.
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include "process.h"

#include <pthread.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static memkind_t
make_pmem(void)
{
	const char *dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	memkind_t kind = NULL;

	assert_int_equal(memkind_create_pmem(dir, 16 * MIB, &kind), 0);
	return kind;
}

/* A kind that is used, by two threads, and then given up as it is. */
static void *
use_kind(void *kind)
{
	for (size_t size = 1; size < 100000; size = size * 2 + 1)
		memset(vmc_memkind_malloc(kind, size), 1, size);
	return NULL;
}

static void
use_and_destroy(memkind_t kind)
{
	pthread_t thread;

	use_kind(kind);
	assert_int_equal(pthread_create(&thread, NULL, use_kind, kind), 0);
	pthread_join(thread, NULL);
	memkind_destroy_kind(kind);
}

static void
test_kinds_that_were_leave_no_trace(void **state)
{
	char *region = malloc(16 * MIB);
	size_t addresses = 0, resident = 0;
	int mappings = 0;
	uint64_t n = testing_operations(500);
	memkind_t kind;

	(void)state;
	for (uint64_t i = 0; i < n + 10; i++) {
		if (i == 10) {
			addresses = process_status_size("VmSize");
			resident = process_status_size("RssAnon");
			mappings = process_mappings();
		}
		use_and_destroy(make_pmem());
		assert_int_equal(
			memkind_create_fixed(region, 16 * MIB, &kind), 0);
		use_and_destroy(kind);
	}
	free(region);
#ifndef VMC_TESTING_SANITIZED
	if (RUNNING_ON_VALGRIND)
		return;
	assert_true(process_status_size("VmSize") <= addresses + 8 * MIB);
	assert_true(process_status_size("RssAnon") <= resident + 4 * MIB);
	assert_true(process_mappings() <= mappings + 4);
#else
	(void)addresses;
	(void)resident;
	(void)mappings;
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_that_were_leave_no_trace)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
