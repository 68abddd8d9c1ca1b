/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leftovers.c -- after delete no file, mapping, descriptor or thread is left
 */
#include "fixture.h"
#include "process.h"

#include <pthread.h>

struct process {
	int descriptors;
	int unnamed_mappings;
	int threads;
	size_t size;
};

static struct process
process_now(void)
{
	return (struct process){.descriptors = process_descriptors(),
		.unnamed_mappings = process_unnamed_mappings(),
		.threads = process_threads(),
		.size = process_status_size("VmSize")};
}

/* Entries in the directory, "." and ".." not counted. */
static int
files_in(const char *path)
{
	DIR *dir = opendir(path);
	int count = -2;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void *
use_in_a_thread(void *arg)
{
	VMEMcache *cache = arg;

	for (uint64_t key = 0; key < 2000; key++) {
		testing_expect(fixture_put(cache, key, 1, 3000) == 0);
		testing_expect(fixture_has(cache, key, 1, 3000));
		if (key % 3 == 0)
			testing_expect(vmemcache_evict(cache, NULL, 0) == 0);
	}
	return NULL;
}

static void
one_life(const char *dir, int generation)
{
	static const size_t sizes[] = {1 << 20, 3 << 20, 17 << 20};
	VMEMcache *cache =
		fixture_new(sizes[generation % 3], generation % 2 ? 256 : 4097,
			generation % 5 ? VMEMCACHE_REPLACEMENT_LRU
				       : VMEMCACHE_REPLACEMENT_NONE);
	pthread_t thread;

	assert_int_equal(vmemcache_add(cache, dir), 0);
	/* the file has no name from the start */
	assert_int_equal(files_in(dir), 0);
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_PREFAULT, 1);
	if (generation % 5) {
		assert_int_equal(
			pthread_create(&thread, NULL, use_in_a_thread, cache),
			0);
		pthread_join(thread, NULL);
	}
	assert_int_equal(testing_failures, 0);
	vmemcache_delete(cache);
	assert_int_equal(files_in(dir), 0);
}

static void
lives_leave_nothing(const char *parent)
{
	char dir[200];

	snprintf(dir, sizeof(dir), "%s/vmc-test-XXXXXX", parent);
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 4; i++) /* what is kept for the next cache is */
		one_life(dir, i);
	struct process before = process_now();
	for (int i = 0; i < 15; i++)
		one_life(dir, i);
	struct process after = process_now();
	assert_int_equal(after.descriptors, before.descriptors);
	assert_int_equal(after.unnamed_mappings, before.unnamed_mappings);
	assert_int_equal(after.threads, before.threads);
#ifndef VMC_TESTING_SANITIZED
	/* 15 pools would be 100 MiB; memory of the allocators is not exact */
	if (!RUNNING_ON_VALGRIND)
		assert_true(after.size < before.size + (16 << 20));
#endif
	assert_int_equal(rmdir(dir), 0);
}

static void
test_on_tmpfs(void **state)
{
	(void)state;
	lives_leave_nothing(FIXTURE_DIR);
}

static void
test_on_a_disk(void **state)
{
	(void)state;
	lives_leave_nothing(".");
}

/* What is open while the cache is in use: its file, and its mapping. */
static void
test_in_use(void **state)
{
	int descriptors = process_descriptors();
	int mappings = process_unnamed_mappings();

	(void)state;
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(process_descriptors(), descriptors + 1);
	/* the pool, and the page that tells children whose it is */
	assert_int_equal(process_unnamed_mappings(), mappings + 2);
	vmemcache_delete(cache);
	assert_int_equal(process_descriptors(), descriptors);
	assert_int_equal(process_unnamed_mappings(), mappings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_tmpfs),
		cmocka_unit_test(test_on_a_disk),
		cmocka_unit_test(test_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
