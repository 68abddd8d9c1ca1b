/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork.c -- a cache belongs to the process that made it; a child may only
 * delete its copy, at any moment, and make caches of its own
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PUTS = 500, SIZE = 1000 };

/* What test(cache) returns in a child; 200 and more: it was killed. */
static int
in_child(int (*test)(VMEMcache *), VMEMcache *cache)
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(240);
		_exit(test(cache));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

static bool
is_foreign(long long result)
{
	return result == -1 && errno == EBADF;
}

static int
use_as_a_child(VMEMcache *cache)
{
	uint64_t key = 1;
	char buffer[SIZE];
	size_t size;
	unsigned long long value;

	if (!is_foreign(fixture_put(cache, 10000, 1, 10)))
		return 1;
	if (!is_foreign(fixture_put(cache, 1, 2, 10)))
		return 2;
	if (!is_foreign(vmemcache_get(cache, &key, 8, buffer, SIZE, 0, &size)))
		return 3;
	if (!is_foreign(fixture_exists(cache, 1)))
		return 4;
	if (!is_foreign(fixture_evict(cache, 1)))
		return 5;
	if (!is_foreign(vmemcache_evict(cache, NULL, 0)))
		return 6;
	if (!is_foreign(vmemcache_get_stat(
		    cache, VMEMCACHE_STAT_PUT, &value, sizeof(value))))
		return 7;
	if (vmemcache_add(cache, FIXTURE_DIR) != -1)
		return 8;
	vmemcache_callback_on_evict(cache, NULL, NULL);
	vmemcache_delete(cache);
	return 0;
}

static int
use_one_of_its_own(VMEMcache *cache)
{
	VMEMcache *own = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	for (uint64_t key = 0; key < PUTS; key++)
		if (fixture_put(own, key, 7, SIZE) != 0 ||
			!fixture_has(own, key, 7, SIZE))
			return 1;
	if (vmc_cache_check(own) != 0)
		return 2;
	/* and so on, in a child of the child */
	if (in_child(use_as_a_child, own) != 0)
		return 3;
	if (in_child(use_as_a_child, cache) != 0)
		return 4;
	if (!fixture_has(own, PUTS - 1, 7, SIZE))
		return 5;
	vmemcache_delete(cache);
	vmemcache_delete(own);
	return 0;
}

static int
add_and_use(VMEMcache *cache)
{
	if (vmemcache_add(cache, FIXTURE_DIR) != 0)
		return 1;
	if (fixture_put(cache, 1, 3, SIZE) != 0 ||
		!fixture_has(cache, 1, 3, SIZE))
		return 2;
	vmemcache_delete(cache);
	return 0;
}

static int
exit_only(VMEMcache *cache)
{
	(void)cache;
	return 0;
}

static void
test_child(void **state)
{
	static int (*const children[])(VMEMcache *) = {
		use_as_a_child, use_one_of_its_own, exit_only};
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	for (uint64_t key = 0; key < PUTS; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(in_child(children[i], cache), 0);
		for (uint64_t key = 0; key < PUTS; key++)
			assert_true(fixture_has(cache, key, 1, SIZE));
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), PUTS);
		fixture_check(cache);
	}
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* One that has no medium yet belongs to nobody. */
static void
test_child_adds(void **state)
{
	VMEMcache *cache = vmemcache_new();

	(void)state;
	assert_int_equal(in_child(add_and_use, cache), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
	assert_true(fixture_has(cache, 1, 1, SIZE));
	vmemcache_delete(cache);
}

/* Threads that keep every lock and structure of the cache busy. */
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
		uint64_t key = testing_below(&random, 3000);
		if (!fixture_has(b->cache, key, 1, 40 * (key % 100)))
			fixture_put(b->cache, key, 1, 40 * (key % 100));
		if (key % 7 == 0)
			fixture_evict(b->cache, key + 1);
	}
	return NULL;
}

static int
delete_copy(VMEMcache *cache)
{
	vmemcache_delete(cache);
	return 0;
}

/* Whatever other threads hold at the fork, the child's delete ends. */
static void
test_child_of_many_threads(void **state)
{
	enum { THREADS = 3 };
	struct busy b = {0};
	pthread_t threads[THREADS];

	(void)state;
	if (RUNNING_ON_VALGRIND)
		skip(); /* the child leaks what its lost threads had */
#ifdef VMC_TESTING_SANITIZED
	/* its allocator is locked for ever where a thread was in it */
	skip();
#endif
	b.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	testing_seed(); /* before there are threads */
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, keep_busy, &b), 0);
	uint64_t forks = testing_operations(32);
	for (uint64_t i = 0; i < forks; i++)
		assert_int_equal(in_child(delete_copy, b.cache), 0);
	vmc_store_relaxed(&b.stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	fixture_check(b.cache);
	vmemcache_delete(b.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_child_adds),
		cmocka_unit_test(test_child_of_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
