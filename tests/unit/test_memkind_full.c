/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_full.c -- PMEM kinds on media that are full, or that cannot do
 * what others can
 *
 * Each time: what was allocated before keeps its contents, what cannot be had
 * is NULL and ENOMEM, nothing is lost, and the kind is as good as new when
 * there is space again.
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include "base/os_space.h"
#include "fault.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { SIZE = 10000, MOST = 20000 };
static unsigned char *objects[MOST];

static const char *
directory(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* As many as there is room for, at most that many; how many it was. */
static unsigned
fill(memkind_t kind, unsigned most)
{
	unsigned n;

	errno = 0;
	for (n = 0; n < most; n++) {
		objects[n] = vmc_memkind_malloc(kind, SIZE);
		if (!objects[n])
			break;
		memset(objects[n], (int)n, SIZE);
	}
	if (n < most && errno != ENOMEM)
		return 0;
	return n;
}

/* Whether they had their contents; frees them. */
static bool
empty(memkind_t kind, unsigned count)
{
	bool right = true;

	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = 0; j < SIZE; j += 101)
			right = right && objects[i][j] == (unsigned char)i;
		vmc_memkind_free(kind, objects[i]);
	}
	return right;
}

static int
failed_at(int line)
{
	fprintf(stderr, "line %d of the test's child\n", line);
	return 1;
}

#define EXPECT(condition)                                                      \
	do {                                                                   \
		if (!(condition))                                              \
			return failed_at(__LINE__);                            \
	} while (0)

/* A tmpfs of 32 MiB, on which the kind may grow to 64. */
static int
on_small_file_system(const char *dir)
{
	static const char zeros[1 << 20];
	char path[64];
	unsigned first, less;
	memkind_t kind;
	size_t written = 0;
	int fd;

	EXPECT(memkind_create_pmem(dir, 64 * MIB, &kind) == 0);
	first = fill(kind, MOST);
	EXPECT(first * SIZE > 28 * MIB && first * SIZE < 32 * MIB);
	EXPECT(!vmc_memkind_malloc(kind, 4 * MIB) && errno == ENOMEM);
	EXPECT(empty(kind, first));
	EXPECT(fill(kind, MOST) >= first - first / 100);
	EXPECT(empty(kind, first));
	/* another file takes what the kind gives back */
	memkind_update_cached_stats();
	vmc_engine_arena_purge(kind->arenas[0]->index);
	snprintf(path, sizeof(path), "%s/other", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	for (ssize_t n; (n = write(fd, zeros, sizeof(zeros))) > 0;)
		written += (size_t)n;
	close(fd);
	EXPECT(written > 28 * MIB);
	less = fill(kind, MOST);
	EXPECT(less < first / 8 && errno == ENOMEM);
	unlink(path);
	EXPECT(empty(kind, less));
	EXPECT(fill(kind, MOST) >= first - first / 100);
	EXPECT(empty(kind, first));
	memkind_destroy_kind(kind);
	return 0;
}

static void
test_full_file_system(void **state)
{
	char dir[] = "/tmp/vmc-full-XXXXXX";
	int result;

	(void)state;
	assert_non_null(mkdtemp(dir));
	result = RUNNING_ON_VALGRIND
			 ? PROCESS_REFUSED
			 : process_on_file_system(dir, "tmpfs", "size=32m",
				   on_small_file_system);
	rmdir(dir);
	if (result == PROCESS_REFUSED)
		skip();
	assert_int_equal(result, 0);
}

/* The same by calls that fail, at each place in turn. */
static void
test_no_space_now_and_then(void **state)
{
	memkind_t kind;
	unsigned before, count;

	(void)state;
	for (long skip = 0; skip < 12; skip += RUNNING_ON_VALGRIND ? 6 : 1) {
		assert_int_equal(
			memkind_create_pmem(directory(), 16 * MIB, &kind), 0);
		fault_arm("fallocate", skip, 1000000, ENOSPC);
		before = fill(kind, MOST);
		assert_null(vmc_memkind_calloc(kind, 1, 3 * MIB));
		fault_disarm();
		/* space again: beside what is there, and in its place */
		count = before;
		while (count < MOST &&
			(objects[count] = vmc_memkind_malloc(kind, SIZE)))
			memset(objects[count], (int)count, SIZE), count++;
		assert_true(count * SIZE > 15 * MIB);
		assert_true(empty(kind, count));
		count = fill(kind, MOST);
		assert_true(count * SIZE > 15 * MIB);
		assert_true(empty(kind, count));
		memkind_destroy_kind(kind);
	}
}

static void
everything_with(int err, bool hoard)
{
	size_t occupied;
	memkind_t kind;
	unsigned first;
	void *large;

	if (err)
		fault_arm("fallocate", 0, 1000000, err);
	assert_int_equal(memkind_create_pmem(directory(), 16 * MIB, &kind), 0);
	if (hoard) /* MEMKIND_HOG_MEMORY=1 */
		vmc_store_relaxed(&kind->space.hoard, true);
	first = fill(kind, MOST);
	assert_true(first * SIZE > 15 * MIB);
	vmc_os_file_occupied(kind->space.fd, &occupied);
	assert_true(occupied >= first * SIZE);
	assert_true(empty(kind, first));
	for (int i = 0; i < 3; i++) {
		large = vmc_memkind_calloc(kind, 1, 8 * MIB);
		assert_non_null(large);
		for (size_t at = 0; at < 8 * MIB; at += 512)
			assert_int_equal(((char *)large)[at], 0);
		memset(large, 1, 8 * MIB);
		vmc_memkind_free(kind, large);
		vmc_engine_arena_purge(kind->arenas[0]->index);
		first = fill(kind, MOST);
		assert_true(first * SIZE > 15 * MIB);
		assert_true(empty(kind, first));
	}
	fault_disarm();
	memkind_destroy_kind(kind);
}

/*
 * Neither reserving nor punching: space is made by writing, and kept. Objects
 * of 2 MiB and more could not be had any more after the first purge.
 */
static void
test_no_fallocate(void **state)
{
	(void)state;
	everything_with(EOPNOTSUPP, false);
	everything_with(ENOSYS, false);
	everything_with(0, true);
}

static void
test_no_space_without_fallocate(void **state)
{
	memkind_t kind;
	unsigned count;

	(void)state;
	assert_int_equal(memkind_create_pmem(directory(), 16 * MIB, &kind), 0);
	fault_arm("fallocate", 0, 1000000, EOPNOTSUPP);
	fault_arm("pwrite", 500, 1000000, ENOSPC);
	count = fill(kind, MOST);
	assert_in_range(count * SIZE, 500 * 4096 / 2, 500 * 4096);
	fault_disarm();
	assert_true(empty(kind, count));
	count = fill(kind, MOST);
	assert_true(count * SIZE > 15 * MIB);
	assert_true(empty(kind, count));
	memkind_destroy_kind(kind);
}

static int
refused(const char *dir)
{
	memkind_t kind;

	EXPECT(memkind_create_pmem(dir, 0, &kind) == MEMKIND_ERROR_INVALID);
	EXPECT(errno == EINVAL);
	EXPECT(memkind_create_pmem(dir, 64 * MIB, &kind) ==
		MEMKIND_ERROR_INVALID);
	EXPECT(errno == EINVAL);
	return 0;
}

static void
test_huge_pages(void **state)
{
	char dir[] = "/tmp/vmc-huge-XXXXXX";
	int result;

	(void)state;
	assert_non_null(mkdtemp(dir));
	result = process_on_file_system(
		dir, "hugetlbfs", "pagesize=2M", refused);
	rmdir(dir);
	if (result == PROCESS_REFUSED)
		skip();
	assert_int_equal(result, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_file_system),
		cmocka_unit_test(test_no_space_now_and_then),
		cmocka_unit_test(test_no_fallocate),
		cmocka_unit_test(test_no_space_without_fallocate),
		cmocka_unit_test(test_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
