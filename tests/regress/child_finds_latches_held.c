/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * child_finds_latches_held.c -- a thread that only looked, in a walk or for
 * statistics, held a latch while another thread forked; so the child that came
 * to own the cache waited for that latch forever
 */
#include "fixture.h"

#include "extent/extent_internal.h"
#include "space.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PUTS = 300, SIZE = 1000 };

static VMEMcache *cache;
static pid_t child;
static int told[2]; /* a pipe from the child */

/* All is as it was, and can be used; in the child, once the parent has gone. */
static bool
uses_all(void)
{
	while (fixture_exists(cache, 0) < 0)
		usleep(1000);
	for (uint64_t key = 0; key < PUTS; key++)
		if (fixture_exists(cache, key) !=
			!fixture_exists(cache, key + PUTS))
			return false;
	if (vmemcache_clear(cache) != 0)
		return false;
	for (uint64_t key = 0; key < 10 * PUTS; key++)
		if (fixture_put(cache, key, 2, SIZE) != 0 ||
			!fixture_has(cache, key, 2, SIZE))
			return false;
	return vmc_cache_check(cache) == 0;
}

static void *
fork_in_thread(void *arg)
{
	child = fork();
	if (child != 0)
		return arg;
	alarm(60);
	bool ok = uses_all();
	_exit(write(told[1], &ok, sizeof(ok)) == sizeof(ok) ? 0 : 1);
}

/* While this thread holds what it holds. */
static void
fork_here(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fork_in_thread, NULL) != 0 ||
		pthread_join(thread, NULL) != 0)
		_exit(1);
}

/* vmc_index_visit_fn */
static void
visit(void *leaf, void *arg)
{
	(void)leaf;
	(void)arg;
	if (child == -1)
		fork_here();
}

static void
fork_in_walk(void)
{
	uint64_t position = 0;

	vmc_index_walk(cache->index, &position, visit, NULL);
}

static void
fork_in_walk_of_cleared(void)
{
	vmc_cleared_walk(cache, visit, NULL);
}

static void
fork_in_statistics(void)
{
	vmc_store_relaxed(&cache->extent->latch.held, true);
	fork_here();
}

static void
fill(uint64_t first)
{
	for (uint64_t key = first; key < first + PUTS; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
}

/* A process that forks like that, and ends; and its child. */
static void
check_child(void (*fork_like_that)(void))
{
	bool ok = false;

	child = -1;
	assert_int_equal(pipe(told), 0);
	fflush(NULL);
	pid_t parent = fork();
	if (parent == 0) {
		alarm(60);
		cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		fill(0);
		if (vmemcache_clear(cache) != 0)
			_exit(1);
		fill(PUTS);
		fork_like_that();
		_exit(child > 0 ? 0 : 1);
	}
	close(told[1]);
	assert_int_equal(read(told[0], &ok, sizeof(ok)), sizeof(ok));
	assert_true(ok);
	close(told[0]);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
}

static void
test_walk(void **state)
{
	(void)state;
	check_child(fork_in_walk);
}

static void
test_walk_of_cleared(void **state)
{
	(void)state;
	check_child(fork_in_walk_of_cleared);
}

static void
test_statistics(void **state)
{
	(void)state;
	check_child(fork_in_statistics);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_of_cleared),
		cmocka_unit_test(test_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
