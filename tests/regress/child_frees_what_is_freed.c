/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * child_frees_what_is_freed.c -- a child's vmemcache_delete() walked lists that
 * another thread of the parent was in the middle of changing at the fork, and
 * freed again what that one had just freed
 *
 * Linked with --wrap: a thread stops right after it has freed something that
 * waited in its limbo, and then the main thread forks.
 */
#include "fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

/* Larger than an entry, and no larger than the first chunk of a limbo. */
enum { LARGE = 2000 };

static _Thread_local bool stops;
static void *freed;
static bool freed_again;
static sem_t has_stopped, may_go_on;

void __real_vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size);
void __wrap_vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size);

void
__wrap_vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size)
{
	if (freed && ptr == freed) {
		freed_again = true;
		return;
	}
	__real_vmc_memkind_free_sized(kind, ptr, size);
	if (stops && size >= LARGE) {
		stops = false;
		freed = ptr;
		sem_post(&has_stopped);
		sem_wait(&may_go_on);
		freed = NULL;
	}
}

static void *
put_and_evict(void *arg)
{
	VMEMcache *cache = arg;

	stops = true;
	for (uint64_t key = 0; stops && key < 20000; key++) {
		testing_expect(fixture_put(cache, key, 1, 100) == 0);
		testing_expect(fixture_evict(cache, key) == 0);
	}
	testing_expect(!stops);
	if (stops)
		sem_post(&has_stopped);
	return NULL;
}

static void
test_child_of_a_thread_that_frees(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	pthread_t thread;
	int status;

	(void)state;
	sem_init(&has_stopped, 0, 0);
	sem_init(&may_go_on, 0, 0);
	assert_int_equal(
		pthread_create(&thread, NULL, put_and_evict, cache), 0);
	sem_wait(&has_stopped);
	pid_t child = fork();
	if (child == 0) {
		vmemcache_delete(cache);
		_exit(freed_again);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	sem_post(&may_go_on);
	pthread_join(thread, NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_of_a_thread_that_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
