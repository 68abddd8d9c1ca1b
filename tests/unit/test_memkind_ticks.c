/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_ticks.c -- what is free goes back, whatever calls are made
 */
#include "testing.h"

#include "memkind/heap/magazines.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include <pthread.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { SIZE = 100000, COUNT = 200 };

static memkind_t
make_pmem(void)
{
	const char *directory =
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	memkind_t kind;

	assert_int_equal(memkind_create_pmem(directory, 32 * MIB, &kind), 0);
	return kind;
}

/* Allocate much, free all of it, which is due at once then. */
static void *
use(void *arg)
{
	memkind_t kind = arg;
	void *objects[COUNT];

	for (int i = 0; i < COUNT; i++)
		objects[i] = vmc_memkind_malloc(kind, SIZE);
	for (int i = 0; i < COUNT; i++)
		vmc_memkind_free(kind, objects[i]);
	assert_true(vmc_load_relaxed(&kind->space.held) > 15 * MIB);
	for (unsigned i = 0; i < kind->space.arenas; i++)
		if (kind->arenas[i])
			assert_int_equal(vmc_engine_arena_decay(
						 kind->arenas[i]->index, 1),
				0);
	return NULL;
}

/* Calls that all end at a magazine, of one kind until another has given back:
 * if it does not, the test never ends. */
static void
call_until_given_back(memkind_t of, memkind_t kind)
{
	while (vmc_load_relaxed(&kind->space.held) > 4 * MIB)
		vmc_memkind_free(of, vmc_memkind_malloc(of, 64));
}

static void
test_light_use(void **state)
{
	memkind_t kind = make_pmem();

	(void)state;
	use(kind);
	call_until_given_back(kind, kind);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

static void
test_other_thread(void **state)
{
	memkind_t kind = make_pmem();
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, use, kind), 0);
	pthread_join(thread, NULL);
	call_until_given_back(kind, kind);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

static void
test_other_kind(void **state)
{
	memkind_t kind = make_pmem(), other = make_pmem();

	(void)state;
	use(kind);
	call_until_given_back(other, kind);
	assert_int_equal(memkind_destroy_kind(other), 0);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* How many frees it is until the clock is looked at. */
static unsigned
frees_until_look(memkind_t kind, size_t size)
{
	struct vmc_thread_heap *heap = vmc_heap_mine(kind);
	unsigned count = 0;

	heap->next_tick = 0;
	for (; heap->next_tick == 0; count++)
		vmc_memkind_free(kind, vmc_memkind_malloc(kind, size));
	return count;
}

/* Calls that are few and far between look each time, others now and then. */
static void
test_credit(void **state)
{
	memkind_t kind = make_pmem();
	struct vmc_thread_heap *heap;

	(void)state;
	vmc_memkind_free(kind, vmc_memkind_malloc(kind, 64));
	heap = vmc_heap_mine(kind);
	for (int i = 0; i < 3; i++) {
		assert_in_range(frees_until_look(kind, 64), 1, VMC_CREDIT + 1);
		for (int j = 0; j < 5; j++)
			assert_int_equal(frees_until_look(kind, 64), 1);
		/* none is due for long: frees that look in vain */
		heap->next_tick = UINT64_MAX;
		for (unsigned j = 0; j < 2 * VMC_CREDIT; j++)
			vmc_memkind_free(kind, vmc_memkind_malloc(kind, 64));
		assert_int_equal(heap->credit, VMC_CREDIT);
	}
	/* the magazine holds what it held, whatever is carried over */
	for (unsigned i = 0; i < 3 * VMC_CREDIT; i++) {
		vmc_memkind_free(kind, vmc_memkind_malloc(kind, 64));
		assert_int_equal(vmc_magazine_capacity(&heap->magazines[5]),
			VMC_MAGAZINE_OBJECTS);
	}
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_light_use),
		cmocka_unit_test(test_other_thread),
		cmocka_unit_test(test_other_kind),
		cmocka_unit_test(test_credit),
	};

	vmc_kinds_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
