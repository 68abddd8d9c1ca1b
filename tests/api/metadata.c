/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metadata.c -- what the cache keeps beside the pool, in each place it can be
 *
 * Which nodes are KMEM nodes is read once in a process, so each answer has a
 * process of its own: this program again, whose exit code is the errno of
 * vmemcache_add(). VMC_TEST_KMEM is that errno for the machine as it is; the
 * laboratory sets it.
 */
#include "fixture.h"
#include "process.h"

#include "memkind/kinds.h"

#include <sys/wait.h>

/* Every place's statistic; the metadata is in just one. */
static void
check_statistics(VMEMcache *cache, enum vmemcache_metadata where)
{
	static const enum vmemcache_statistic of[] = {
		[VMEMCACHE_METADATA_DRAM] = VMEMCACHE_STAT_DRAM_SIZE_USED,
		[VMEMCACHE_METADATA_PMEM] = VMEMCACHE_STAT_PMEM_SIZE_USED,
		[VMEMCACHE_METADATA_KMEM] = VMEMCACHE_STAT_KMEM_SIZE_USED};
	unsigned long long bytes;

	for (uint64_t key = 0; key < 1000; key++)
		assert_int_equal(fixture_put(cache, key, 1, 100), 0);
	for (int i = 0; i < 3; i++) {
		bytes = fixture_stat(cache, of[i]);
		if (i == (int)where)
			assert_in_range(bytes, 1000 * 20, 1000 * 400);
		else
			assert_int_equal(bytes, 0);
	}
	for (uint64_t key = 0; key < 1000; key++)
		assert_true(fixture_has(cache, key, 1, 100));
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
}

static int
open_with(VMEMcache **cache, enum vmemcache_metadata where, const char *path)
{
	*cache = fixture_new(4 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(vmemcache_set_metadata(*cache, where), 0);
	return vmemcache_add(*cache, path);
}

static void
test_statistics(void **state)
{
	VMEMcache *cache;

	(void)state;
	for (int where = VMEMCACHE_METADATA_DRAM;
		where <= VMEMCACHE_METADATA_PMEM; where++) {
		assert_int_equal(
			open_with(&cache, (enum vmemcache_metadata)where,
				FIXTURE_DIR),
			0);
		check_statistics(cache, (enum vmemcache_metadata)where);
		vmemcache_delete(cache);
	}
}

/* All pages of the kind are on the node of that number, if one is named. */
static void
check_nodes(const char *list)
{
	size_t pages[PROCESS_NODES] = {0}, sum = 0;
	const struct vmc_piece *piece;

	for (piece = MEMKIND_DAX_KMEM_PREFERRED->space.pieces; piece;
		piece = piece->next)
		sum += process_pages_on_nodes(piece->base, piece->size, pages);

	if (access("/proc/self/numa_maps", R_OK) != 0)
		return;
	assert_true(sum > 0);
	if (list)
		assert_int_equal(pages[strtoul(list, NULL, 10)], sum);
}

/* What the child of test_nodes() does. */
static void
use_kmem(void **state)
{
	int descriptors = process_descriptors();
	VMEMcache *cache;

	(void)state;
	if (open_with(&cache, VMEMCACHE_METADATA_KMEM, FIXTURE_DIR) != 0) {
		int err = errno;
		assert_int_equal(process_descriptors(), descriptors);
		printf("%s\n", vmemcache_errormsg());
		assert_string_not_equal(vmemcache_errormsg(), "");
		/* it can be had elsewhere */
		assert_int_equal(
			vmemcache_set_metadata(cache, VMEMCACHE_METADATA_DRAM),
			0);
		assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
		check_statistics(cache, VMEMCACHE_METADATA_DRAM);
		vmemcache_delete(cache);
		assert_int_equal(process_descriptors(), descriptors);
		fflush(stdout);
		_exit(err);
	}
	check_statistics(cache, VMEMCACHE_METADATA_KMEM);
	check_nodes(getenv("MEMKIND_DAX_KMEM_NODES"));
	vmemcache_delete(cache);
}

/* nodes NULL: none are named. */
static int
errno_with(const char *nodes, const char *name, const char *value)
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		unsetenv("MEMKIND_DAX_KMEM_NODES");
		if (nodes)
			setenv("MEMKIND_DAX_KMEM_NODES", nodes, 1);
		if (name)
			setenv(name, value, 1);
		execl("/proc/self/exe", "metadata", "--kmem", (char *)NULL);
		_exit(255);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_nodes(void **state)
{
	const char *expected = getenv("VMC_TEST_KMEM");

	(void)state;
	assert_int_equal(errno_with("0", NULL, NULL), 0);
	assert_int_equal(errno_with("0-", NULL, NULL), EINVAL);
	assert_int_equal(errno_with("", NULL, NULL), ENODEV);
	assert_int_equal(errno_with("1000", NULL, NULL), EINVAL);
	assert_int_equal(errno_with("0", "MEMKIND_HOG_MEMORY", "2"), 0);
	if (expected)
		assert_int_equal(errno_with(NULL, NULL, NULL), atoi(expected));
	else if (memkind_check_available(MEMKIND_DAX_KMEM) != 0)
		assert_int_equal(errno_with(NULL, NULL, NULL), ENODEV);
	/* of these, node 1's processors have two at the same distance */
	if (expected && atoi(expected) == 0)
		assert_int_equal(errno_with("0,2", NULL, NULL), ENODEV);
}

/* A variable that makes no sense is as if it was not set. */
static void
test_files_with_a_wrong_environment(void **state)
{
	VMEMcache *cache;

	(void)state;
	assert_int_equal(
		open_with(&cache, VMEMCACHE_METADATA_PMEM, FIXTURE_DIR), 0);
	assert_int_equal(vmemcache_put(cache, "k", 1, "v", 1), 0);
	vmemcache_delete(cache);
}

static void
test_environment(void **state)
{
	int status;

	(void)state;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		setenv("MEMKIND_HOG_MEMORY", "2", 1);
		execl("/proc/self/exe", "metadata", "--pmem", (char *)NULL);
		_exit(255);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statistics),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_environment),
	};
	const struct CMUnitTest kmem[] = {cmocka_unit_test(use_kmem)};
	const struct CMUnitTest pmem[] = {
		cmocka_unit_test(test_files_with_a_wrong_environment)};

	if (argc == 2 && strcmp(argv[1], "--kmem") == 0)
		return cmocka_run_group_tests(kmem, NULL, NULL);
	if (argc == 2 && strcmp(argv[1], "--pmem") == 0)
		return cmocka_run_group_tests(pmem, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
