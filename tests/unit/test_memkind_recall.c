/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_recall.c -- what threads have cached is there for others before
 * an allocation fails
 */
#include "testing.h"

#include "memkind/heap/magazines.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include "base/os.h"

#include <pthread.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { ROUNDS = 3, MOST_THREADS = 64, LARGEST = 8192, SMALLEST = 64 };

static uint64_t seed;

static const char *
directory(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static memkind_t
make_pmem(size_t size)
{
	memkind_t kind;

	assert_int_equal(memkind_create_pmem(directory(), size, &kind), 0);
	return kind;
}

struct crowd {
	memkind_t kind;
	size_t share; /* bytes that each thread holds */
	pthread_barrier_t barrier;
	_Atomic unsigned refused;
	_Atomic unsigned number;
};

/* Objects of any size until they have so many bytes together. */
static void
hold(struct crowd *crowd, uint64_t *random)
{
	void *objects[LARGEST];
	size_t count = 0, bytes = 0;

	while (bytes < crowd->share && count < LARGEST) {
		size_t size = SMALLEST + testing_below(random, LARGEST);
		size >>= testing_below(random, 5);
		/* what a class may have beyond the size: a quarter */
		if (bytes + size + size / 4 + 16 > crowd->share)
			break;
		void *object = vmc_memkind_malloc(crowd->kind, size);
		if (!object) {
			vmc_fetch_add_relaxed(&crowd->refused, 1);
			break;
		}
		memset(object, 1, size);
		bytes += vmc_memkind_usable_size(crowd->kind, object);
		objects[count++] = object;
	}
	pthread_barrier_wait(&crowd->barrier);
	while (count > 0)
		vmc_memkind_free(crowd->kind, objects[--count]);
	pthread_barrier_wait(&crowd->barrier);
}

static void *
hold_and_free(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t random = seed + vmc_fetch_add_relaxed(&crowd->number, 1);

	for (int i = 0; i < ROUNDS; i++)
		hold(crowd, &random);
	return NULL;
}

/* So many threads hold so much of the kind together, and none is refused. */
static void
check_crowd(memkind_t kind, size_t size, unsigned count, size_t percent)
{
	struct crowd crowd = {.kind = kind};
	pthread_t threads[MOST_THREADS];

	if (RUNNING_ON_VALGRIND)
		count /= 8;
	crowd.share = size / count * percent / 100;
	pthread_barrier_init(&crowd.barrier, NULL, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 hold_and_free, &crowd),
			0);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crowd.barrier);
	assert_int_equal(crowd.refused, 0);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/*
 * With 100 KB each of 16 MiB, 64 threads were refused memory hundreds of times:
 * what others had freed was in their caches.
 */
static void
test_crowd(void **state)
{
	(void)state;
	check_crowd(make_pmem(16 * MIB), 16 * MIB, 64, 40);
	check_crowd(make_pmem(16 * MIB), 16 * MIB, 64, 75);
	check_crowd(make_pmem(64 * MIB), 64 * MIB, 64, 75);
}

static void
test_crowd_in_fixed(void **state)
{
	void *memory = malloc(16 * MIB);
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_fixed(memory, 16 * MIB, &kind), 0);
	check_crowd(kind, 16 * MIB, 64, 40);
	free(memory);
}

struct idler {
	memkind_t kind;
	pthread_barrier_t barrier;
};

/* Uses all classes, frees all of it, and does nothing then. */
static void *
use_and_idle(void *arg)
{
	struct idler *idler = arg;
	void *objects[100];

	for (unsigned class = 1; class < VMC_CLASSES; class ++) {
		for (int i = 0; i < 100; i++)
			objects[i] = vmc_memkind_malloc(
				idler->kind, vmc_class_sizes[class]);
		for (int i = 0; i < 100; i++)
			vmc_memkind_free(idler->kind, objects[i]);
	}
	pthread_barrier_wait(&idler->barrier);
	pthread_barrier_wait(&idler->barrier);
	return NULL;
}

/* Bytes in objects of that size that there is room for. */
static size_t
room_for(memkind_t kind, size_t size)
{
	void *all = NULL, *object;
	size_t count = 0;

	for (; (object = vmc_memkind_malloc(kind, size)); count++) {
		*(void **)object = all;
		all = object;
	}
	while ((object = all)) {
		all = *(void **)object;
		vmc_memkind_free(kind, object);
	}
	return count * size;
}

static void
test_idle_thread(void **state)
{
	struct idler idler = {.kind = make_pmem(16 * MIB)};
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&idler.barrier, NULL, 2);
	assert_int_equal(
		pthread_create(&thread, NULL, use_and_idle, &idler), 0);
	pthread_barrier_wait(&idler.barrier);
	assert_true(room_for(idler.kind, 65536) > 15 * MIB);
	assert_true(room_for(idler.kind, 1024) > 15 * MIB);
	pthread_barrier_wait(&idler.barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&idler.barrier);
	assert_int_equal(memkind_destroy_kind(idler.kind), 0);
}

/*
 * What the calling thread's magazines can hold when all have been used, and
 * what it keeps aside.
 */
static size_t
magazines_of(memkind_t kind, unsigned *with)
{
	size_t bytes;

	*with = 0;
	for (unsigned class = 1; class < VMC_CLASSES; class ++)
		vmc_memkind_free(
			kind, vmc_memkind_malloc(kind, vmc_class_sizes[class]));
	bytes = vmc_class_sizes[vmc_heap_mine(kind)->last_most];
	for (unsigned class = 1; class < VMC_CLASSES; class ++) {
		const struct vmc_magazine *m =
			&vmc_heap_mine(kind)->magazines[class];
		bytes += vmc_magazine_capacity(m) * vmc_class_sizes[class];
		*with += vmc_magazine_capacity(m) >= 2;
	}
	assert_int_equal(memkind_destroy_kind(kind), 0);
	return bytes;
}

static void
test_budget(void **state)
{
	unsigned with;

	(void)state;
	assert_true(magazines_of(make_pmem(16 * MIB), &with) <= 16 << 10);
	assert_in_range(with, 10, VMC_CLASSES - 2);
	/* where there is plenty, all have one */
	assert_true(magazines_of(make_pmem(2048 * MIB), &with) <= 2 * MIB);
	assert_int_equal(with, VMC_CLASSES - 1);
}

/* --- parts of fixed memory --- */

static const struct vmc_kind_type fixed = {.name = "fixed"};
static void *memory;

static memkind_t
make_fixed(size_t size, unsigned arenas)
{
	struct vmc_space space;
	memkind_t kind;

	memory = vmc_os_map_anonymous(size);
	assert_non_null(memory);
	assert_int_equal(vmc_space_user(&space, memory, size, arenas), 0);
	assert_int_equal(vmc_kind_create(&fixed, &space, -1, &kind), 0);
	return kind;
}

static void
destroy_fixed(memkind_t kind, size_t size)
{
	assert_int_equal(memkind_destroy_kind(kind), 0);
	vmc_os_unmap(memory, size);
}

/* MiB of the largest object that can be had. */
static size_t
largest(memkind_t kind)
{
	void *object = NULL;
	size_t size = kind->space.capacity;

	while (!object && size > MIB) {
		size -= MIB;
		object = vmc_memkind_malloc(kind, size);
	}
	vmc_memkind_free(kind, object);
	return size / MIB;
}

/* Whether the thread has a part. */
static bool
has_part(memkind_t kind)
{
	return vmc_load_relaxed(&vmc_heap_mine(kind)->arena)->is_part;
}

static void *
use_a_part(void *arg)
{
	memkind_t kind = arg;

	assert_true(room_for(kind, 100) > 0);
	assert_true(room_for(kind, 100000) > 0);
	vmc_memkind_free(kind, vmc_memkind_malloc(kind, 100000));
	assert_true(has_part(kind));
	return NULL;
}

/* Once another thread had used it, one object could have 75 % at most. */
static void
test_part_comes_back(void **state)
{
	memkind_t kind = make_fixed(16 * MIB, 2);
	size_t before = largest(kind);
	pthread_t thread;

	(void)state;
	assert_true(before > 12);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(
			pthread_create(&thread, NULL, use_a_part, kind), 0);
		pthread_join(thread, NULL);
		assert_false(vmc_load_relaxed(&kind->arenas[1]->vacant));
		assert_int_equal(largest(kind), before);
		assert_true(vmc_load_relaxed(&kind->arenas[1]->vacant));
	}
	destroy_fixed(kind, 16 * MIB);
}

struct owner {
	memkind_t kind;
	pthread_barrier_t barrier;
	void *object;
};

static void *
own_a_part(void *arg)
{
	struct owner *owner = arg;
	void *object = vmc_memkind_malloc(owner->kind, 100000);

	assert_true(has_part(owner->kind));
	pthread_barrier_wait(&owner->barrier); /* it is in use */
	pthread_barrier_wait(&owner->barrier);
	assert_non_null(object);
	memset(object, 1, 100000);
	vmc_memkind_free(owner->kind, object);
	pthread_barrier_wait(&owner->barrier); /* it is free */
	pthread_barrier_wait(&owner->barrier);
	return use_a_part(owner->kind);
}

/* What is in use stays, what is free goes, whose thread gets another then. */
static void
test_part_of_a_live_thread(void **state)
{
	struct owner owner = {.kind = make_fixed(16 * MIB, 2)};
	size_t before = largest(owner.kind), now;
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&owner.barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, own_a_part, &owner), 0);
	pthread_barrier_wait(&owner.barrier);
	now = largest(owner.kind);
	assert_true(now < before);
	assert_false(vmc_load_relaxed(&owner.kind->arenas[1]->vacant));
	pthread_barrier_wait(&owner.barrier);
	pthread_barrier_wait(&owner.barrier);
	assert_int_equal(largest(owner.kind), before);
	pthread_barrier_wait(&owner.barrier);
	pthread_join(thread, NULL);
	assert_int_equal(largest(owner.kind), before);
	pthread_barrier_destroy(&owner.barrier);
	destroy_fixed(owner.kind, 16 * MIB);
}

static void *
free_only(void *arg)
{
	struct owner *owner = arg;

	vmc_memkind_free(owner->kind, owner->object);
	assert_ptr_not_equal(vmc_heap_mine(owner->kind), &vmc_heap_empty);
	assert_null(owner->kind->arenas[1]);
	return use_a_part(owner->kind);
}

static void
test_no_part_for_frees(void **state)
{
	struct owner owner = {.kind = make_fixed(16 * MIB, 2)};
	pthread_t thread;

	(void)state;
	owner.object = vmc_memkind_malloc(owner.kind, 100);
	assert_int_equal(pthread_create(&thread, NULL, free_only, &owner), 0);
	pthread_join(thread, NULL);
	destroy_fixed(owner.kind, 16 * MIB);
}

enum { SMALL_ONES = 100 };

/* Small objects in the own arena, and now and then one that needs all. */
static void *
use_and_need_all(void *arg)
{
	struct owner *owner = arg;
	uint64_t random = seed + (uintptr_t)&random;
	unsigned char *objects[SMALL_ONES] = {NULL}, *large;

	for (uint64_t i = testing_operations(20000); i > 0; i--) {
		size_t n = testing_below(&random, SMALL_ONES);
		if (objects[n]) {
			testing_expect(objects[n][0] == n);
			testing_expect(objects[n][8 * n] == n);
			vmc_memkind_free(owner->kind, objects[n]);
			objects[n] = NULL;
		} else if (testing_below(&random, 400) == 0) {
			large = vmc_memkind_malloc(owner->kind, 13 * MIB);
			if (large)
				large[0] = large[13 * MIB - 1] = 1;
			vmc_memkind_free(owner->kind, large);
		} else {
			objects[n] = vmc_memkind_malloc(owner->kind,
				testing_below(&random, 8) ? 8 * n + 1 : 40000);
			if (objects[n])
				objects[n][0] = objects[n][8 * n] =
					(unsigned char)n;
		}
		if (testing_below(&random, 200) == 0)
			for (n = 0; n < SMALL_ONES; n++) {
				vmc_memkind_free(owner->kind, objects[n]);
				objects[n] = NULL;
			}
	}
	for (size_t n = 0; n < SMALL_ONES; n++)
		vmc_memkind_free(owner->kind, objects[n]);
	return NULL;
}

/* Parts come and go while threads use them. */
static void
test_parts_come_and_go(void **state)
{
	struct owner owner = {.kind = make_fixed(16 * MIB, 3)};
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 use_and_need_all, &owner),
			0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	assert_true(largest(owner.kind) > 12);
	destroy_fixed(owner.kind, 16 * MIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_crowd_in_fixed),
		cmocka_unit_test(test_idle_thread),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_part_comes_back),
		cmocka_unit_test(test_part_of_a_live_thread),
		cmocka_unit_test(test_no_part_for_frees),
		cmocka_unit_test(test_parts_come_and_go),
	};

	seed = testing_seed();
	vmc_kinds_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
