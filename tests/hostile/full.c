/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * full.c -- a file system that is full when a cache is added, and one that
 * fills up while a cache is in use
 *
 * The pool is reserved by vmemcache_add() and never grows, so it cannot be
 * surprised later. What grows is metadata in a file.
 */
#include "fixture.h"
#include "process.h"

#include <signal.h>
#include <sys/resource.h>

#define REQUIRE(truth)                                                         \
	do {                                                                   \
		if (!(truth)) {                                                \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, \
				#truth, vmemcache_errormsg());                 \
			return 1;                                              \
		}                                                              \
	} while (0)

/* Leave so much of the file system; false: something else went wrong. */
static bool
occupy(const char *dir, const char *name, off_t leave)
{
	static char page[4096];
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, page, sizeof(page)) > 0)
		;
	bool full = errno == ENOSPC &&
		    ftruncate(fd, lseek(fd, 0, SEEK_CUR) - leave) == 0;
	close(fd);
	return full;
}

static bool
vacate(const char *dir, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return unlink(path) == 0;
}

static bool
all_there(VMEMcache *cache, uint64_t from, uint64_t to, size_t size)
{
	for (uint64_t key = from; key < to; key++)
		if (!fixture_has(cache, key, 1, size))
			return false;
	return true;
}

static int
full_at_add(const char *dir)
{
	VMEMcache *cache = fixture_new(8 << 20, 0, VMEMCACHE_REPLACEMENT_NONE);

	/* larger than the file system, and larger than what is left */
	REQUIRE(vmemcache_add(cache, dir) == -1 && errno == ENOSPC);
	REQUIRE(vmemcache_set_size(cache, 1 << 20) == 0);
	REQUIRE(occupy(dir, "ballast", 0));
	REQUIRE(vmemcache_add(cache, dir) == -1 && errno == ENOSPC);
	REQUIRE(vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM) == 0);
	REQUIRE(vmemcache_add(cache, dir) == -1 && errno == ENOSPC);
	REQUIRE(vmemcache_set_metadata(cache, VMEMCACHE_METADATA_DRAM) == 0);
	REQUIRE(vacate(dir, "ballast"));

	/* from here on the pool is safe, whatever becomes of the rest */
	REQUIRE(vmemcache_add(cache, dir) == 0);
	REQUIRE(occupy(dir, "ballast", 0));
	uint64_t count = 0;
	while (fixture_put(cache, count, 1, 1024) == 0)
		count++;
	REQUIRE(errno == ENOSPC && count == 1024);
	REQUIRE(all_there(cache, 0, count, 1024));
	REQUIRE(vmc_cache_check(cache) == 0);
	vmemcache_delete(cache);
	return 0;
}

/* The pool and some metadata fit; then there is room for little more of it. */
static int
full_while_metadata_grows(const char *dir)
{
	VMEMcache *cache = fixture_new(1 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	static char key[2048];
	uint64_t count = 0, later;

	REQUIRE(vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM) == 0);
	REQUIRE(vmemcache_add(cache, dir) == 0);
	for (; count < 500; count++)
		REQUIRE(fixture_put(cache, count, 1, 200) == 0);
	REQUIRE(occupy(dir, "ballast", 3 << 20));
	/* the pool has room for more: nothing is evicted, all grows */
	for (later = 0; later < 1000000; later++) {
		memcpy(key, &later, sizeof(later));
		if (vmemcache_put(cache, key, sizeof(key), NULL, 0) != 0)
			break;
	}
	REQUIRE(errno == ENOMEM && later > 600 && later < 1700);
	REQUIRE(vmc_cache_check(cache) == 0);
	REQUIRE(all_there(cache, 0, count, 200));
	for (uint64_t i = 0; i < later; i++) {
		memcpy(key, &i, sizeof(i));
		REQUIRE(vmemcache_exists(cache, key, sizeof(key), NULL) == 1);
	}

	/* What is evicted gives memory back, and so does the file system. */
	for (uint64_t i = 0; i < later; i++) {
		memcpy(key, &i, sizeof(i));
		REQUIRE(vmemcache_evict(cache, key, sizeof(key)) == 0);
	}
	for (uint64_t i = 0; i < later * 9 / 10; i++) {
		memcpy(key, &i, sizeof(i));
		REQUIRE(vmemcache_put(cache, key, sizeof(key), NULL, 0) == 0);
	}
	REQUIRE(vacate(dir, "ballast"));
	for (uint64_t i = later; i < 2 * later; i++) {
		memcpy(key, &i, sizeof(i));
		REQUIRE(vmemcache_put(cache, key, sizeof(key), NULL, 0) == 0);
	}
	REQUIRE(all_there(cache, 0, count, 200));
	REQUIRE(vmc_cache_check(cache) == 0);
	vmemcache_delete(cache);
	return 0;
}

static void
on_small_tmpfs(const char *options, int (*test)(const char *dir))
{
	char dir[] = "/tmp/vmc-test-XXXXXX";

	assert_non_null(mkdtemp(dir));
	int result = process_on_file_system(dir, "tmpfs", options, test);
	assert_int_equal(rmdir(dir), 0);
	if (result == PROCESS_REFUSED)
		skip();
	assert_int_equal(result, 0);
}

static void
test_full_at_add(void **state)
{
	(void)state;
	on_small_tmpfs("size=4m", full_at_add);
}

static void
test_full_while_metadata_grows(void **state)
{
	(void)state;
	on_small_tmpfs("size=16m", full_while_metadata_grows);
}

/* Where a process may make no files of that length: no signal, an error. */
static void
test_file_size_limit(void **state)
{
	struct rlimit old, low = {.rlim_cur = 2 << 20};
	VMEMcache *cache = fixture_new(4 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low.rlim_max = old.rlim_max;
	if (setrlimit(RLIMIT_FSIZE, &low) != 0)
		skip();
	assert_fails(vmemcache_add(cache, FIXTURE_DIR), EFBIG);
	assert_fails(vmemcache_add(cache, "."), EFBIG);
	assert_int_equal(vmemcache_set_size(cache, 2 << 20), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(cache, 1, 1, 2 << 20), 0);
	assert_true(fixture_has(cache, 1, 1, 2 << 20));
	setrlimit(RLIMIT_FSIZE, &old);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_at_add),
		cmocka_unit_test(test_full_while_metadata_grows),
		cmocka_unit_test(test_file_size_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
