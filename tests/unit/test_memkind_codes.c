/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_codes.c -- the codes for what the system refuses
 *
 * Each with the call that fails, and that nothing stays behind. Codes for
 * bad arguments are in test_memkind.c, those for machines that lack a kind in
 * test_memkind_machines.c.
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include "base/os.h"
#include "fault.h"
#include "machine.h"
#include "process.h"

#include <errno.h>

#define MIB ((size_t)1 << 20)

/* First of all: nodes are read once, and it is tried again after a failure. */
static void
test_no_memory_for_nodes(void **state)
{
	(void)state;
	fault_arm("mmap", 0, 100, ENOMEM);
	assert_int_equal(
		memkind_check_available(MEMKIND_REGULAR), MEMKIND_ERROR_MALLOC);
	assert_int_equal(memkind_get_capacity(MEMKIND_REGULAR), -1);
	fault_disarm();
	/* malloc() may be made of a kind: it is never called */
	fault_arm("malloc", 0, 100, ENOMEM);
	fault_arm("calloc", 0, 100, ENOMEM);
	fault_arm("fopen", 0, 100, ENOMEM);
	assert_int_equal(memkind_check_available(MEMKIND_REGULAR), 0);
	assert_int_equal(fault_disarm(), 0);
	assert_true(memkind_get_capacity(MEMKIND_REGULAR) > 0);
}

/* Whatever mapping is refused: the code, errno, and no trace. */
static void
test_no_addresses(void **state)
{
	static char region[16 << 20];
	int descriptors = process_descriptors(), mappings;
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 16 * MIB, &kind), 0);
	memkind_destroy_kind(kind);
	mappings = process_unnamed_mappings();
	for (long skip = 0;; skip++) {
		fault_arm("mmap", skip, 1, ENOMEM);
		errno = 0;
		int code = memkind_create_pmem("/tmp", 16 * MIB, &kind);
		int err = errno;
		if (fault_disarm() == 0) {
			assert_int_equal(code, 0);
			memkind_destroy_kind(kind);
			break;
		}
		if (code == 0) { /* the failure was not one that matters */
			memkind_destroy_kind(kind);
			continue;
		}
		assert_int_equal(code, MEMKIND_ERROR_MALLOC);
		assert_int_equal(err, ENOMEM);
	}
	assert_int_equal(process_descriptors(), descriptors);
	assert_int_equal(process_unnamed_mappings(), mappings);
	fault_arm("mmap", 0, 1, ENOMEM);
	assert_int_equal(memkind_create_fixed(region, sizeof(region), &kind),
		MEMKIND_ERROR_MALLOC);
	assert_int_equal(fault_disarm(), 1);
}

/* A static kind that could not start says why, and starts the next time. */
static void
test_static_kinds_start_later(void **state)
{
	void *ptr;

	(void)state;
	if (RUNNING_ON_VALGRIND ||
		memkind_check_available(MEMKIND_REGULAR) != 0)
		skip();
	fault_arm("mmap", 0, 100, ENOMEM);
	errno = 0;
	assert_null(vmc_memkind_malloc(MEMKIND_REGULAR, 100));
	assert_int_equal(errno, ENOMEM);
	fault_disarm();
	assert_int_equal(MEMKIND_REGULAR->error, MEMKIND_ERROR_MMAP);
	ptr = vmc_memkind_malloc(MEMKIND_REGULAR, 100);
	assert_non_null(ptr);
	vmc_memkind_free(MEMKIND_REGULAR, ptr);
}

/* Created kinds are as many, and the codes the same, whoever makes them. */
static void
test_too_many(void **state)
{
	static char region[2][4096] __attribute__((aligned(4096)));
	memkind_t kinds[MEMKIND_MAX_KIND], kind;
	unsigned count = 0;

	(void)state;
	if (RUNNING_ON_VALGRIND) /* all of memory, as often as there are kinds
				  */
		skip();
	while (memkind_create_pmem("/tmp", 16 * MIB, &kinds[count]) == 0)
		count++;
	assert_int_equal(count, MEMKIND_MAX_KIND - MEMKIND_NUM_BASE_KIND);
	errno = 0;
	assert_int_equal(memkind_create_fixed(region[0], 4096, &kind),
		MEMKIND_ERROR_TOOMANY);
	memkind_destroy_kind(kinds[--count]);
	assert_int_equal(memkind_create_fixed(region[0], 4096, &kind), 0);
	assert_int_equal(memkind_create_fixed(region[1], 4096, &kinds[count]),
		MEMKIND_ERROR_TOOMANY);
	memkind_destroy_kind(kind);
	while (count > 0)
		memkind_destroy_kind(kinds[--count]);
}

/* jemalloc has no arena left: no memory, and none is lost. */
static void
test_no_arena(void **state)
{
	memkind_t kind;
	void *ptr;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 16 * MIB, &kind), 0);
	fault_arm("vmc_engine_arena_create", 0, 100, EAGAIN);
	errno = 0;
	assert_null(vmc_memkind_malloc(kind, 100));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(
		vmc_memkind_posix_memalign(kind, &ptr, 64, 100), ENOMEM);
	assert_true(fault_disarm() > 0);
	ptr = vmc_memkind_malloc(kind, 100);
	assert_non_null(ptr);
	vmc_memkind_free(kind, ptr);
	memkind_destroy_kind(kind);
}

/* No memory, or no such addresses: nobody walks through them. */
static void
test_implausible_memory(void **state)
{
	size_t page = 4096;
	char *region = vmc_os_map_anonymous(16 * page);
	memkind_t kind, other;
	static const struct {
		void *addr;
		size_t size;
	} cases[] = {{(void *)UINTPTR_MAX, 0}, {(void *)UINTPTR_MAX, 1},
		{(void *)4096, (size_t)1 << 46}, {(void *)4096, 4096},
		{(void *)4096, SIZE_MAX - 8192},
		{(void *)(UINTPTR_MAX - 8192), 8192}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(memkind_create_fixed(
					 cases[i].addr, cases[i].size, &kind),
			MEMKIND_ERROR_INVALID);
	assert_int_equal(
		memkind_create_fixed(region, 0, &kind), MEMKIND_ERROR_INVALID);
	/* less than a whole page of it, wherever it begins */
	assert_int_equal(memkind_create_fixed(region + 1, 2 * page - 2, &kind),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(
		memkind_create_fixed(region + 1, 2 * page - 1, &kind), 0);
	/* of which some is in a kind */
	assert_int_equal(memkind_create_fixed(region, 4 * page, &other),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(
		memkind_create_fixed(region + 2 * page, page, &other), 0);
	memkind_destroy_kind(kind);
	memkind_destroy_kind(other);
	vmc_os_unmap(region, 16 * page);
}

static void
allow(const char *bytes)
{
	static const char *const limits[] = {"memory/memory.limit_in_bytes",
		"memory/memory.memsw.limit_in_bytes", "memory.max"};
	char path[64];

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		snprintf(path, sizeof(path), "fs/cgroup/%s", limits[i]);
		assert_true(machine_file(path, bytes));
	}
	assert_true(machine_file("fs/cgroup/memory.swap.max", "0"));
}

/*
 * A file in memory is refused what a control group does not allow, before the
 * kernel ends somebody for it. The first test here that takes any.
 */
static void
test_memory_limit(void **state)
{
	char root[] = "/tmp/vmc-codes-XXXXXX", sys[64];
	memkind_t kind;
	void *ptr = NULL;

	(void)state;
	if (memkind_create_pmem("/dev/shm", 32 * MIB, &kind) != 0)
		skip();
	assert_non_null(mkdtemp(root));
	machine_root = root;
	allow("4194304");
	snprintf(sys, sizeof(sys), "%s/sys", root);
	fault_redirect("/sys", sys);
	bool limited = vmc_os_memory_left("") == 4 * MIB;
	errno = 0;
	if (limited)
		ptr = vmc_memkind_malloc(kind, MIB);
	int err = errno;
	allow("400000000");
	void *later = vmc_memkind_malloc(kind, MIB);
	fault_redirect(NULL, NULL);
	assert_int_equal(machine_remove(root), 0);
	memkind_destroy_kind(kind);
	assert_non_null(later);
	if (!limited) /* without control groups */
		skip();
	assert_null(ptr);
	assert_int_equal(err, ENOMEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory_for_nodes),
		cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_implausible_memory),
		cmocka_unit_test(test_no_addresses),
		cmocka_unit_test(test_static_kinds_start_later),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_no_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
