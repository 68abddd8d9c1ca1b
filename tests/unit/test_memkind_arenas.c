/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_arenas.c -- a kind with several arenas: how many, and what one
 * thread's has free is there for the others
 */
#include "testing.h"

#include "memkind/depot.h"
#include "memkind/kind.h"
#include "memkind/malloc.h"

#include "base/os.h"
#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { SIZE = 110000, MOST = 1000 };

static const char *
directory(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static const struct vmc_kind_type type = {.name = "file"};

/* A kind in a file of so many bytes, with so many arenas. */
static memkind_t
kind_of(size_t size, unsigned arenas)
{
	struct vmc_space space;
	memkind_t kind;

	vmc_kinds_init();
	assert_int_equal(vmc_space_file(&space, directory(), size, arenas), 0);
	assert_int_equal(
		vmc_kind_create(&type, &space, VMC_DECAY_MS, &kind), 0);
	return kind;
}

/* How many objects there was room for; all are freed. */
static size_t
fill_and_empty(memkind_t kind)
{
	static _Thread_local void *objects[MOST];
	size_t count = 0, most;

	while (count < MOST &&
		(objects[count] = vmc_memkind_malloc(kind, SIZE)))
		count++;
	most = count;
	while (count > 0)
		vmc_memkind_free(kind, objects[--count]);
	return most;
}

static void *
in_a_thread(void *kind)
{
	return (void *)fill_and_empty(kind);
}

static size_t
fill_and_empty_in_a_thread(memkind_t kind)
{
	pthread_t thread;
	void *count;

	assert_int_equal(pthread_create(&thread, NULL, in_a_thread, kind), 0);
	pthread_join(thread, &count);
	return (size_t)count;
}

/* What another thread has freed is kept for a while, but not at any price. */
static void
test_free_in_another(void **state)
{
	memkind_t kind = kind_of(16 * MIB, 2);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(fill_and_empty_in_a_thread(kind) * SIZE > 14 * MIB);
		assert_true(fill_and_empty(kind) * SIZE > 14 * MIB);
	}
	assert_non_null(kind->arenas[0]);
	assert_non_null(kind->arenas[1]);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* What is due in the arena of a thread that has ended is given back. */
static void
test_due_in_another(void **state)
{
	memkind_t kind = kind_of(16 * MIB, 2);
	void *objects[100];

	(void)state;
	vmc_memkind_free(kind, vmc_memkind_malloc(kind, 64));
	fill_and_empty_in_a_thread(kind);
	assert_true(vmc_load_relaxed(&kind->space.reserved) > 14 * MIB);
	assert_int_equal(vmc_engine_arena_decay(kind->arenas[1]->index, 1), 0);
	/* at some tick: if none comes, the test never ends */
	while (vmc_load_relaxed(&kind->space.reserved) > 8 * MIB) {
		for (int i = 0; i < 100; i++)
			objects[i] = vmc_memkind_malloc(kind, 64);
		for (int i = 0; i < 100; i++)
			vmc_memkind_free(kind, objects[i]);
	}
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

enum { SMALL = 64, FEW = 500 };

struct few {
	memkind_t kind;
	void *objects[FEW];
};

static void *
allocate_few(void *arg)
{
	struct few *few = arg;

	for (int i = 0; i < FEW; i++)
		few->objects[i] = vmc_memkind_malloc(few->kind, SMALL);
	return NULL;
}

/* How many objects are in an arena's depot; SIZE_MAX: some are another's. */
static size_t
count_in_depot(memkind_t kind, const struct vmc_arena *arena)
{
	const char *slice = kind->space.base + arena->offset;
	size_t count = 0;
	char *object;

	/* 8, 16, 32, 48, 64: the fifth class */
	while (vmc_depot_get(arena->depot, 5, (void **)&object, 1) == 1) {
		if ((size_t)(object - slice) >= kind->space.slice)
			return SIZE_MAX;
		count++;
		je_dallocx(object, MALLOCX_TCACHE_NONE);
	}
	return count;
}

/* However they are freed, objects get to the depot of their own arena. */
static void
test_depots(void **state)
{
	memkind_t kind = kind_of(16 * MIB, 2);
	struct few mine = {.kind = kind}, others = {.kind = kind};
	pthread_t thread;

	(void)state;
	allocate_few(&mine);
	assert_int_equal(
		pthread_create(&thread, NULL, allocate_few, &others), 0);
	pthread_join(thread, NULL);
	for (int i = 0; i < FEW; i++) {
		if (i % 3 == 0) /* mixed, and several in a row */
			for (int j = i; j < i + 3 && j < FEW; j++)
				vmc_memkind_free(kind, others.objects[j]);
		vmc_memkind_free(kind, mine.objects[i]);
	}
	for (int i = 0; i < 2; i++)
		assert_in_range(
			count_in_depot(kind, kind->arenas[i]), FEW / 4, FEW);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* Threads have an arena each while there are enough, and leave it to others. */
static void
test_least_used(void **state)
{
	memkind_t kind = kind_of(16 * MIB, 3);

	(void)state;
	vmc_memkind_free(kind, vmc_memkind_malloc(kind, SIZE));
	for (int i = 0; i < 5; i++)
		assert_true(fill_and_empty_in_a_thread(kind) > 0);
	assert_non_null(kind->arenas[1]);
	assert_null(kind->arenas[2]);
	assert_int_equal(kind->arenas[0]->heaps, 1);
	assert_int_equal(kind->arenas[1]->heaps, 0);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* One for each processor, where the environment does not say otherwise. */
static void
test_how_many(void **state)
{
	unsigned processors = vmc_os_cpu_count();
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_pmem(directory(), 16 * MIB, &kind), 0);
	assert_int_equal(kind->space.slices,
		processors < VMC_KIND_ARENAS ? processors : VMC_KIND_ARENAS);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* Fewer where all together would be too large, or cannot be had. */
static void
test_fewer(void **state)
{
	struct vmc_space space;
	memkind_t kind;

	(void)state;
	assert_int_equal(vmc_space_slices(MIB, 16), 16);
	assert_int_equal(vmc_space_slices(VMC_SPACE_MOST / 4, 16), 4);
	assert_int_equal(vmc_space_slices(VMC_SPACE_MOST / 4 + 1, 16), 3);
	assert_int_equal(vmc_space_slices(2 * VMC_SPACE_MOST, 16), 1);

	fault_arm("ftruncate", 0, 2, EFBIG);
	kind = kind_of(16 * MIB, 16);
	assert_int_equal(fault_disarm(), 2);
	assert_int_equal(kind->space.slices, 4);
	assert_true(fill_and_empty(kind) * SIZE > 14 * MIB);
	assert_int_equal(memkind_destroy_kind(kind), 0);

	unsigned slices = 16;
	for (long failing = 0; slices != 4; failing++) {
		fault_arm("mmap", 0, failing, ENOMEM);
		kind = kind_of(16 * MIB, 16);
		fault_disarm();
		assert_true(kind->space.slices == slices ||
			    kind->space.slices == slices / 2);
		slices = kind->space.slices;
		assert_true(fill_and_empty(kind) * SIZE > 14 * MIB);
		assert_int_equal(memkind_destroy_kind(kind), 0);
	}

	fault_arm("ftruncate", 0, 1000, EFBIG);
	assert_int_equal(
		vmc_space_file(&space, directory(), 16 * MIB, 16), -EFBIG);
	assert_int_equal(fault_disarm(), 5);
	fault_arm("mmap", 0, 1000, ENOMEM);
	assert_int_equal(
		vmc_space_file(&space, directory(), 16 * MIB, 16), -ENOMEM);
	fault_disarm();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_free_in_another),
		cmocka_unit_test(test_due_in_another),
		cmocka_unit_test(test_depots),
		cmocka_unit_test(test_least_used),
		cmocka_unit_test(test_how_many),
		cmocka_unit_test(test_fewer),
	};

	unsetenv("MEMKIND_ARENA_NUM_PER_KIND");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
