/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * media.c -- the same use on every medium that there is: tmpfs, a disk, what
 * libpmem takes for persistent memory, a device DAX if one is named, and with
 * metadata in either place
 *
 * VMC_TEST_DEVDAX=/dev/dax... is a device whose contents may be lost.
 */
#include "fixture.h"
#include "process.h"

#include <sys/wait.h>

static void
use(VMEMcache *cache)
{
	uint64_t random = testing_seed();

	uint64_t count = testing_operations(20000);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t key = testing_below(&random, 2000);
		size_t size = (size_t)(key * key % 5000);
		switch (testing_below(&random, 5)) {
		case 0:
			fixture_evict(cache, key);
			assert_int_equal(fixture_exists(cache, key), 0);
			break;
		case 1:
			if (fixture_put(cache, key, 1, size) != 0)
				assert_int_equal(errno, EEXIST);
			assert_int_equal(fixture_exists(cache, key), 1);
			break;
		default:
			if (fixture_exists(cache, key))
				assert_true(fixture_has(cache, key, 1, size));
		}
	}
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_HIT) > 0);
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
}

static void
use_on(const char *path, size_t size, enum vmemcache_metadata metadata)
{
	VMEMcache *cache = fixture_new(size, 0, VMEMCACHE_REPLACEMENT_LRU);
	int mappings = process_unnamed_mappings();
	int descriptors = process_descriptors();

	assert_int_equal(vmemcache_set_metadata(cache, metadata), 0);
	if (vmemcache_add(cache, path) != 0)
		fail_msg("%s: %s", path, vmemcache_errormsg());
	use(cache);
	vmemcache_delete(cache);
	assert_int_equal(process_unnamed_mappings(), mappings);
	assert_int_equal(process_descriptors(), descriptors);
}

static void
test_tmpfs(void **state)
{
	(void)state;
	use_on(FIXTURE_DIR, 2 << 20, VMEMCACHE_METADATA_DRAM);
	use_on(FIXTURE_DIR, 5 << 20, VMEMCACHE_METADATA_DRAM);
}

static void
test_disk(void **state)
{
	(void)state;
	use_on(".", 2 << 20, VMEMCACHE_METADATA_DRAM);
}

/* In an unnamed file beside the pool's. */
static void
test_metadata_in_a_file(void **state)
{
	(void)state;
	use_on(FIXTURE_DIR, 2 << 20, VMEMCACHE_METADATA_PMEM);
	/* takes as much address space as the disk has room */
	if (!RUNNING_ON_VALGRIND)
		use_on(".", 2 << 20, VMEMCACHE_METADATA_PMEM);
}

/* The failure of the metadata's file is one of add: it can be called again. */
static void
test_metadata_fails(void **state)
{
	VMEMcache *cache = vmemcache_new();

	(void)state;
	assert_int_equal(
		vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM), 0);
	assert_fails(vmemcache_add(cache, "/nonexistent"), ENOENT);
	assert_int_equal(
		vmemcache_set_metadata(cache, VMEMCACHE_METADATA_DRAM), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	vmemcache_delete(cache);
}

/* Stores as to persistent memory, in a process that was told so. */
static void
test_forced_pmem(void **state)
{
	int status;

	(void)state;
	/* this is that process; or /proc/self/exe is not */
	if (getenv("PMEM_IS_PMEM_FORCE") || RUNNING_ON_VALGRIND)
		skip();
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		setenv("PMEM_IS_PMEM_FORCE", "1", 1);
		execl("/proc/self/exe", "media", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_devdax(void **state)
{
	const char *device = getenv("VMC_TEST_DEVDAX");

	(void)state;
	if (!device)
		skip();
	use_on(device, 0, VMEMCACHE_METADATA_DRAM);
	use_on(device, 2 << 20, VMEMCACHE_METADATA_DRAM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tmpfs),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_metadata_in_a_file),
		cmocka_unit_test(test_metadata_fails),
		cmocka_unit_test(test_forced_pmem),
		cmocka_unit_test(test_devdax),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
