/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_depot.c -- what goes in comes out, once, whoever is at it
 */
#include "testing.h"

#include "memkind/heap/depot.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

static const size_t sizes[] = {0, 8, 64, 32768};
#define CLASSES 4u

static void
test_shelves(void **state)
{
	struct vmc_depot *depot = vmc_depot_create(sizes, CLASSES);
	void *in[32], *out[64];
	unsigned filled = 0;

	(void)state;
	assert_non_null(depot);
	for (uintptr_t i = 0; i < 32; i++)
		in[i] = (void *)(i + 1);
	assert_int_equal(vmc_depot_get(depot, 1, out, 64), 0);
	while (vmc_depot_put(depot, 1, in, 32))
		filled += 32;
	assert_int_equal(filled, 1024);
	/* another class is another shelf; all, or nothing */
	assert_int_equal(vmc_depot_get(depot, 2, out, 64), 0);
	assert_false(vmc_depot_put(depot, 3, in, 5));
	assert_true(vmc_depot_put(depot, 3, in, 3));
	assert_int_equal(vmc_depot_get(depot, 3, out, 2), 2);
	assert_ptr_equal(out[0], in[1]);
	assert_ptr_equal(out[1], in[2]);
	assert_int_equal(vmc_depot_get(depot, 1, out, 64), 64);
	assert_memory_equal(out, in, sizeof(in));
	assert_memory_equal(out + 32, in, sizeof(in));
	/* nobody was in the middle of a change: all of it is still there */
	assert_true(vmc_depot_put(depot, 1, in, 32));
	vmc_depot_after_fork(depot);
	assert_int_equal(vmc_depot_get(depot, 1, out, 64), 64);
	assert_memory_equal(out + 32, in, sizeof(in));
	vmc_depot_destroy(depot);
}

static void
test_idle(void **state)
{
	struct vmc_depot *depot = vmc_depot_create(sizes, CLASSES);
	void *object = depot;

	(void)state;
	vmc_depot_put(depot, 1, &object, 1);
	assert_false(vmc_depot_idle(depot, 1));
	assert_true(vmc_depot_idle(depot, 1));
	assert_true(vmc_depot_idle(depot, 2));
	vmc_depot_get(depot, 1, &object, 1);
	assert_false(vmc_depot_idle(depot, 1));
	vmc_depot_destroy(depot);
}

static void
test_none(void **state)
{
	void *object = &object;

	(void)state;
	assert_false(vmc_depot_put(NULL, 1, &object, 1));
	assert_int_equal(vmc_depot_get(NULL, 1, &object, 1), 0);
	assert_false(vmc_depot_idle(NULL, 1));
	vmc_depot_after_fork(NULL);
	vmc_depot_destroy(NULL);
}

#define OBJECTS 512u

static struct vmc_depot *common;
static _Atomic unsigned holders[OBJECTS];
static pthread_barrier_t start;

/* Takes some, holds them alone, puts them back. */
static void *
exchange(void *arguments)
{
	uint64_t seed = *(uint64_t *)arguments;
	uint64_t rounds = testing_operations(100000);
	void *mine[16];

	pthread_barrier_wait(&start);
	for (uint64_t i = 0; i < rounds; i++) {
		unsigned n = vmc_depot_get(common, 1, mine,
			1 + (unsigned)testing_below(&seed, 16));
		for (unsigned j = 0; j < n; j++)
			testing_expect(
				vmc_fetch_add_relaxed(
					(_Atomic unsigned *)mine[j], 1u) == 0);
		for (unsigned j = 0; j < n; j++)
			vmc_store_relaxed((_Atomic unsigned *)mine[j], 0);
		while (n > 0 && !vmc_depot_put(common, 1, mine, n))
			sched_yield();
	}
	return NULL;
}

static void
test_threads(void **state)
{
	uint64_t seeds[4] = {0};
	pthread_t threads[4];
	void *out[OBJECTS];

	(void)state;
	pthread_barrier_init(&start, NULL, 4);
	common = vmc_depot_create(sizes, CLASSES);
	for (unsigned i = 0; i < OBJECTS; i++) {
		void *object = (void *)&holders[i];
		assert_true(vmc_depot_put(common, 1, &object, 1));
	}
	for (unsigned i = 0; i < 4; i++) {
		seeds[i] = testing_seed() + i;
		pthread_create(&threads[i], NULL, exchange, &seeds[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(vmc_depot_get(common, 1, out, OBJECTS), OBJECTS);
	for (unsigned i = 0; i < OBJECTS; i++)
		assert_int_equal(
			vmc_fetch_add_relaxed((_Atomic unsigned *)out[i], 1u),
			0);
	vmc_depot_destroy(common);
	pthread_barrier_destroy(&start);
}

static void *
allocate_some(void *arguments)
{
	void **objects = arguments;

	for (unsigned i = 1; i < OBJECTS; i++)
		objects[i] = vmc_memkind_malloc(objects[0], 64);
	return NULL;
}

static size_t
allocated(memkind_t kind)
{
	size_t bytes = SIZE_MAX;

	memkind_update_cached_stats();
	memkind_get_stat(kind, MEMKIND_STAT_TYPE_ALLOCATED, &bytes);
	return bytes;
}

/*
 * What another thread allocated and this one frees is in the depot; asking
 * for statistics empties it, and so does the end of the last thread.
 */
static void
test_kind(void **state)
{
	void *objects[OBJECTS];
	memkind_t kind;
	pthread_t thread;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 16 << 20, &kind), 0);
	objects[0] = kind;
	pthread_create(&thread, NULL, allocate_some, objects);
	pthread_join(thread, NULL);
	for (unsigned i = 1; i < OBJECTS; i++)
		vmc_memkind_free(kind, objects[i]);
	/* 8, 16, 32, 48, 64: the fifth class */
	assert_int_equal(
		vmc_depot_get(kind->arenas[0]->depot, 5, objects, 1), 1);
	vmc_memkind_free(kind, objects[0]);
	assert_int_equal(allocated(kind), 0);
	memkind_destroy_kind(kind);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shelves),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
