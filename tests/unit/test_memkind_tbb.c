/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_tbb.c -- kinds under MEMKIND_HEAP_MANAGER=TBB
 *
 * The program starts itself anew with that in its environment, which is read
 * when the library starts. Without libtbbmalloc the kinds fail with the
 * documented code, and the rest is skipped.
 */
#include "testing.h"

#include "memkind/kind.h"
#include "memkind/malloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static bool have_library;

static memkind_t
make_pmem(size_t size)
{
	memkind_t kind = NULL;

	if (!have_library)
		skip();
	assert_int_equal(memkind_create_pmem("/tmp", size, &kind), 0);
	return kind;
}

static void
test_without_library(void **state)
{
	memkind_t kind;

	(void)state;
	if (have_library)
		skip();
	assert_int_equal(
		memkind_create_pmem("/tmp", 0, &kind), MEMKIND_ERROR_ENVIRON);
	assert_null(vmc_memkind_malloc(MEMKIND_REGULAR, 100));
}

static void
heap_contract(memkind_t kind, size_t largest)
{
	void *ptr;

	assert_null(vmc_memkind_malloc(kind, 0));
	for (size_t size = 1; size < largest; size = size * 3 / 2 + 1) {
		ptr = vmc_memkind_malloc(kind, size);
		assert_non_null(ptr);
		assert_true(vmc_memkind_usable_size(NULL, ptr) >= size);
		memset(ptr, 0xaa, size);
		assert_ptr_equal(memkind_detect_kind(ptr), kind);
		ptr = vmc_memkind_realloc(kind, ptr, size * 2);
		assert_non_null(ptr);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(((unsigned char *)ptr)[i], 0xaa);
		vmc_memkind_free(size & 1 ? kind : NULL, ptr);
		ptr = vmc_memkind_calloc(kind, size, 1);
		assert_non_null(ptr);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(((char *)ptr)[i], 0);
		vmc_memkind_free(kind, ptr);
		assert_int_equal(
			vmc_memkind_posix_memalign(kind, &ptr, 1024, size), 0);
		assert_int_equal((uintptr_t)ptr % 1024, 0);
		memset(ptr, 0xbb, size);
		vmc_memkind_free(NULL, ptr);
	}
	errno = 0;
	assert_null(vmc_memkind_malloc(kind, SIZE_MAX / 2));
	assert_int_equal(errno, ENOMEM);
}

static void
test_heap(void **state)
{
	memkind_t pmem = make_pmem(64 * MIB), fixed;
	char *region = malloc(64 * MIB);

	(void)state;
	memset(region, 0xee, 64 * MIB);
	heap_contract(pmem, 4 * MIB);
	assert_int_equal(memkind_create_fixed(region, 64 * MIB, &fixed), 0);
	heap_contract(fixed, 4 * MIB);
	if (!RUNNING_ON_VALGRIND &&
		memkind_check_available(MEMKIND_REGULAR) == 0)
		heap_contract(MEMKIND_REGULAR, 4 * MIB);
	heap_contract(MEMKIND_DEFAULT, 4 * MIB);
	memkind_destroy_kind(pmem);
	memkind_destroy_kind(fixed);
	free(region);
}

/* Full, and not full any more. */
static void
test_exhaustion(void **state)
{
	enum { SIZE = 5000 };
	memkind_t kind = make_pmem(16 * MIB);
	size_t most = 16 * MIB / SIZE, count, before = 0;
	void **objects = malloc(most * sizeof(*objects));

	(void)state;
	for (int round = 0; round < 3; round++) {
		errno = 0;
		for (count = 0; count < most; count++) {
			objects[count] = vmc_memkind_malloc(kind, SIZE);
			if (!objects[count])
				break;
			memset(objects[count], round, SIZE);
		}
		assert_int_equal(errno, ENOMEM);
		assert_true(count * SIZE > 12 * MIB);
		assert_true(count >= before - before / 10);
		before = count;
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(((char *)objects[i])[SIZE - 1], round);
			vmc_memkind_free(kind, objects[i]);
		}
	}
	free(objects);
	memkind_destroy_kind(kind);
}

static void
test_not_offered(void **state)
{
	memkind_t kind = make_pmem(16 * MIB);
	void *ptr = vmc_memkind_malloc(kind, 100);
	size_t value;

	(void)state;
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
	shared.kind = make_pmem(32 * MIB);
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
	memkind_destroy_kind(shared.kind);
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
		cmocka_unit_test(test_without_library),
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
