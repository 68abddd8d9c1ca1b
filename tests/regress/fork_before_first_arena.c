/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork_before_first_arena.c -- kinds are made and used while others fork
 *
 * jemalloc began later than we did, so that at a fork its locks were taken
 * before ours: a thread that made an arena had them the other way round. Found
 * by the soak.
 */
#include "testing.h"

#include "memkind.h"
#include "memkind/malloc.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic bool stop;

static void *
make_kinds(void *arg)
{
	(void)arg;
	while (!vmc_load_relaxed(&stop)) {
		struct memkind *kind;

		testing_expect(
			memkind_create_pmem("/tmp", MEMKIND_PMEM_MIN_SIZE,
				&kind) == MEMKIND_SUCCESS);
		void *p = vmc_memkind_malloc(kind, 100);
		testing_expect(p != NULL);
		vmc_memkind_free_sized(kind, p, 100);
		testing_expect(memkind_destroy_kind(kind) == MEMKIND_SUCCESS);
	}
	return NULL;
}

static void
test_forks(void **state)
{
	uint64_t forks = testing_operations(500);
	pthread_t threads[2];

	(void)state;
	alarm(240); /* for what hangs */
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, make_kinds, NULL), 0);
	for (uint64_t i = 0; i < forks; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		assert_int_equal(waitpid(child, NULL, 0), child);
	}
	vmc_store_relaxed(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
