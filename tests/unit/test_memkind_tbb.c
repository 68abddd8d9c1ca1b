/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_tbb.c -- kinds under MEMKIND_HEAP_MANAGER=TBB
 *
 * The program starts itself anew with that in its environment, which is read
 * when the library starts. Files and a program's memory stay with jemalloc, and
 * so does all without libtbbmalloc.
 */
#include "testing.h"

#include "heap.h"
#include "memkind/kinds.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static bool have_library;

static memkind_t
make_pmem(size_t size)
{
	memkind_t kind = NULL;

	assert_int_equal(memkind_create_pmem("/tmp", size, &kind), 0);
	return kind;
}

static bool
regular_is_there(void)
{
	return !RUNNING_ON_VALGRIND &&
	       memkind_check_available(MEMKIND_REGULAR) == 0;
}

static void
test_where(void **state)
{
	memkind_t kind = make_pmem(64 * MIB);
	void *ptr;
	size_t count = 0;

	(void)state;
	assert_false(kind->pools);
	/* of which a pool gave 38 % */
	while ((ptr = vmc_memkind_malloc(kind, 8192)) != NULL)
		count++;
	assert_true(count * 8192 > 64 * MIB / 100 * 95);
	memkind_destroy_kind(kind);
	if (!regular_is_there())
		skip();
	ptr = vmc_memkind_malloc(MEMKIND_REGULAR, 100);
	assert_non_null(ptr);
	assert_true(MEMKIND_REGULAR->pools == have_library);
	vmc_memkind_free(NULL, ptr);
}

static void
test_heap(void **state)
{
	memkind_t kinds[] = {
		make_pmem(64 * MIB), NULL, MEMKIND_DEFAULT, MEMKIND_REGULAR};
	char *region = malloc(64 * MIB);
	int count = regular_is_there() ? 4 : 3;

	(void)state;
	memset(region, 0xee, 64 * MIB);
	assert_int_equal(memkind_create_fixed(region, 64 * MIB, &kinds[1]), 0);
	for (int i = 0; i < count; i++) {
		heap_contract(kinds[i]);
		heap_aligned_contract(kinds[i]);
	}
	memkind_destroy_kind(kinds[0]);
	memkind_destroy_kind(kinds[1]);
	free(region);
}

static void
test_exhaustion(void **state)
{
	memkind_t kind = make_pmem(16 * MIB);

	(void)state;
	heap_fill_and_empty(kind, 16 * MIB, 5000, 75);
	memkind_destroy_kind(kind);
}

static void
test_not_offered(void **state)
{
	memkind_t kind = make_pmem(16 * MIB);
	void *ptr = vmc_memkind_malloc(kind, 100);
	size_t value;

	(void)state;
	if (!have_library)
		skip();
	assert_int_equal(
		memkind_update_cached_stats(), MEMKIND_ERROR_OPERATION_FAILED);
	assert_int_equal(
		memkind_get_stat(NULL, MEMKIND_STAT_TYPE_ACTIVE, &value),
		MEMKIND_ERROR_OPERATION_FAILED);
	assert_int_equal(
		memkind_get_stat(kind, MEMKIND_STAT_TYPE_ACTIVE, &value),
		MEMKIND_ERROR_OPERATION_FAILED);
	assert_int_equal(
		memkind_stats_print(NULL, NULL, MEMKIND_STAT_PRINT_ALL),
		MEMKIND_ERROR_OPERATION_FAILED);
	assert_int_equal(
		memkind_set_bg_threads(true), MEMKIND_ERROR_OPERATION_FAILED);
	assert_null(memkind_defrag_reallocate(kind, ptr));
	assert_int_equal(memkind_get_capacity(kind), 16 * MIB);
	vmc_memkind_free(kind, ptr);
	memkind_destroy_kind(kind);
}

enum { OBJECTS = 2000 };

static struct {
	memkind_t kind;
	void *objects[OBJECTS];
} shared;

static void *
allocate(void *unused)
{
	(void)unused;
	for (uintptr_t i = 0; i < OBJECTS; i++) {
		size_t size = 16 + i % 3000;
		shared.objects[i] = vmc_memkind_malloc(shared.kind, size);
		testing_expect(shared.objects[i] != NULL);
		memset(shared.objects[i], (int)i, size);
	}
	return NULL;
}

/* Freed by another thread, some of it after the first has ended. */
static void
test_threads(void **state)
{
	pthread_t thread;

	(void)state;
	if (!regular_is_there())
		skip();
	shared.kind = MEMKIND_REGULAR;
	for (int round = 0; round < 10; round++) {
		pthread_create(&thread, NULL, allocate, NULL);
		pthread_join(thread, NULL);
		assert_int_equal(testing_failures, 0);
		for (uintptr_t i = 0; i < OBJECTS; i++) {
			char *object = shared.objects[i];
			assert_int_equal(object[i % 3000 + 15], (char)i);
			vmc_memkind_free(i & 1 ? shared.kind : NULL, object);
		}
	}
}

/* The file is the parent's. */
static void
test_fork(void **state)
{
	memkind_t kind = make_pmem(16 * MIB);
	char *ptr = vmc_memkind_malloc(kind, 100);
	int status;

	(void)state;
	strcpy(ptr, "parent");
	if (RUNNING_ON_VALGRIND)
		skip();
	pid_t child = fork();
	if (child == 0) {
		bool ok = !vmc_memkind_malloc(kind, 100);
		ok = ok && !vmc_memkind_realloc(kind, ptr, 1000);
		vmc_memkind_free(NULL, ptr);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_string_equal(ptr, "parent");
	assert_ptr_not_equal(vmc_memkind_malloc(kind, 100), ptr);
	memkind_destroy_kind(kind);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_not_offered),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fork),
	};

	(void)argc;
	if (!getenv("MEMKIND_HEAP_MANAGER")) {
		setenv("MEMKIND_HEAP_MANAGER", "TBB", 1);
		execv("/proc/self/exe", argv);
		return 2;
	}
	have_library = dlopen("libtbbmalloc.so.2", RTLD_NOW) != NULL;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
