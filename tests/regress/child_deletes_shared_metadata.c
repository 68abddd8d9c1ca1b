/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * child_deletes_shared_metadata.c -- with metadata in a file, which parent and
 * child share, the child's vmemcache_delete() walked an index that the parent
 * was changing at that time, and crashed
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 6000, THREADS = 2 };

struct busy {
	VMEMcache *cache;
	_Atomic bool stop;
};

static void *
keep_busy(void *arg)
{
	struct busy *b = arg;
	uint64_t random = testing_seed() ^ (uint64_t)pthread_self();

	while (!vmc_load_relaxed(&b->stop)) {
		uint64_t key = testing_below(&random, KEYS);
		size_t size = key % 1000;
		if (!fixture_has(b->cache, key, 1, size))
			testing_expect(
				fixture_put(b->cache, key, 1, size) == 0 ||
				errno == EEXIST);
		if (key % 4 == 0)
			fixture_evict(b->cache, key + 1);
	}
	return NULL;
}

static void
test_delete_while_the_parent_goes_on(void **state)
{
	struct busy b = {0};
	pthread_t threads[THREADS];
	uint64_t forks = testing_operations(20);
	int status;

	(void)state;
	if (RUNNING_ON_VALGRIND)
		skip(); /* the child leaks what its lost threads had */
#ifdef VMC_TESTING_SANITIZED
	/* its allocator is locked for ever where a thread was in it */
	skip();
#endif
	testing_seed();
	b.cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(
		vmemcache_set_metadata(b.cache, VMEMCACHE_METADATA_PMEM), 0);
	assert_int_equal(vmemcache_add(b.cache, FIXTURE_DIR), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, keep_busy, &b), 0);
	for (uint64_t i = 0; i < forks; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(240);
			vmemcache_delete(b.cache);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
	}
	vmc_store_relaxed(&b.stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(b.cache);
	vmemcache_delete(b.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delete_while_the_parent_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
