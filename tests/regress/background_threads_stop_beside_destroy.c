/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * background_threads_stop_beside_destroy.c -- memkind_set_bg_threads(false)
 * while other threads destroy kinds hung, and with it every thread that gave
 * memory back
 */
#include "testing.h"

#include "memkind.h"
#include "memkind/malloc.h"

#include <pthread.h>
#include <unistd.h>

static _Atomic bool stop;

static void *
make_kinds(void *unused)
{
	(void)unused;
	while (!vmc_load_relaxed(&stop)) {
		memkind_t kind;

		testing_expect(memkind_create_pmem("/dev/shm",
				       MEMKIND_PMEM_MIN_SIZE, &kind) == 0);
		void *ptr = vmc_memkind_malloc(kind, 100000);
		testing_expect(ptr != NULL);
		vmc_memkind_free(kind, ptr);
		memkind_destroy_kind(kind);
	}
	return NULL;
}

static void
test_stop(void **state)
{
	uint64_t rounds = testing_operations(1000);
	pthread_t threads[4];

	(void)state;
	alarm(240); /* for what hangs */
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, make_kinds, NULL), 0);
	for (uint64_t i = 0; i < rounds; i++) {
		assert_int_equal(memkind_set_bg_threads(true), 0);
		assert_int_equal(memkind_set_bg_threads(false), 0);
	}
	vmc_store_relaxed(&stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
