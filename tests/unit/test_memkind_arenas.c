/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_arenas.c -- a kind with several arenas: how many, and what one
 * thread's has free is there for the others; files first, then parts
 */
#include "testing.h"

#include "memkind/heap/depot.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include "base/os.h"
#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { SIZE = 110000 };

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

struct object {
	struct object *next;
};

/* How many objects there was room for; all are freed. */
static size_t
fill_and_empty_by(memkind_t kind, size_t size)
{
	struct object *all = NULL, *object;
	size_t count = 0;

	for (; (object = vmc_memkind_malloc(kind, size)); count++) {
		object->next = all;
		all = object;
	}
	while ((object = all)) {
		all = object->next;
		vmc_memkind_free(kind, object);
	}
	return count;
}

static size_t
fill_and_empty(memkind_t kind)
{
	return fill_and_empty_by(kind, SIZE);
}

static void *
in_a_thread(void *kind)
{
	return (void *)fill_and_empty(kind);
}

/* What the function says in a thread of its own. */
static size_t
run_in_a_thread(void *(*function)(void *), void *arg)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, function, arg), 0);
	pthread_join(thread, &result);
	return (size_t)result;
}

static size_t
fill_and_empty_in_a_thread(memkind_t kind)
{
	return run_in_a_thread(in_a_thread, kind);
}

/* What another thread has freed is kept for a while, but not at any price. */
static void
test_free_in_another(void **state)
{
	memkind_t kind = kind_of(32 * MIB, 2);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(fill_and_empty_in_a_thread(kind) * SIZE > 28 * MIB);
		assert_true(fill_and_empty(kind) * SIZE > 28 * MIB);
	}
	assert_non_null(kind->arenas[0]);
	assert_non_null(kind->arenas[1]);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* What is due in the arena of a thread that has ended is given back. */
static void
test_due_in_another(void **state)
{
	memkind_t kind = kind_of(32 * MIB, 2);
	void *objects[100];

	(void)state;
	vmc_memkind_free(kind, vmc_memkind_malloc(kind, 64));
	fill_and_empty_in_a_thread(kind);
	assert_true(vmc_load_relaxed(&kind->space.held) > 14 * MIB);
	assert_int_equal(vmc_engine_arena_decay(kind->arenas[1]->index, 1), 0);
	/* at some tick: if none comes, the test never ends */
	while (vmc_load_relaxed(&kind->space.held) > 8 * MIB) {
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
count_in_depot(const struct memkind *kind, const struct vmc_arena *arena)
{
	size_t count = 0;
	char *object;

	/* 8, 16, 32, 48, 64: the fifth class */
	while (vmc_depot_get(arena->depot, 5, (void **)&object, 1) == 1) {
		if (vmc_kind_home(kind, object) != arena)
			return SIZE_MAX;
		count++;
		je_dallocx(object, MALLOCX_TCACHE_NONE);
	}
	return count;
}

/* However they are freed, objects get to the depot of their own arena. */
static void
check_depots(memkind_t kind)
{
	struct few mine = {.kind = kind}, others = {.kind = kind};

	allocate_few(&mine);
	run_in_a_thread(allocate_few, &others);
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

static void
test_depots(void **state)
{
	(void)state;
	check_depots(kind_of(32 * MIB, 2));
}

/* Threads have an arena each while there are enough, and leave it to others. */
static void
test_least_used(void **state)
{
	memkind_t kind = kind_of(48 * MIB, 3);

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

/*
 * One for each processor, where the environment does not say otherwise, and
 * where the limit is not so low that what is free in one arena is missed in
 * another.
 */
static void
test_how_many(void **state)
{
	unsigned processors = vmc_os_processor_count();
	cpu_set_t all, one;
	memkind_t kind;
	size_t cpu = 0;

	(void)state;
	if (processors > VMC_KIND_ARENAS)
		processors = VMC_KIND_ARENAS;
	/* whatever one the thread that makes the kind was pinned to */
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(
		memkind_create_pmem(directory(), 16 * MIB * 64, &kind), 0);
	assert_int_equal(kind->space.arenas, processors);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(memkind_destroy_kind(kind), 0);
	assert_int_equal(memkind_create_pmem(directory(), 16 * MIB, &kind), 0);
	assert_int_equal(kind->space.arenas, 1);
	assert_true(fill_and_empty(kind) * SIZE > 14 * MIB);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* How many threads on node 0 share an arena, of so many nodes. */
static const struct {
	unsigned nodes, each;
} local[] = {{1, 2}, {2, 4}, {4, 8}, {8, 16}, {16, 16}};

/* Several for each node, in turn, of which no other node's threads have any. */
static void
test_local(void **state)
{
	struct vmc_kind_type type_of_local = {.closest = true};
	struct vmc_node_rules *rules =
		(struct vmc_node_rules *)vmc_nodes_here();
	struct vmc_node_set processors;
	static struct vmc_arena arenas[8];
	struct memkind kind = {.type = &type_of_local, .space.arenas = 8};

	(void)state;
	assert_non_null(rules);
	processors = rules->topology.processors;
	fault_arm("getcpu", 0, 1000, ENOSYS); /* node 0 */
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		unsigned nodes = local[i].nodes;
		rules->topology.processors = (struct vmc_node_set){{0}};
		for (unsigned n = 0; n < nodes; n++)
			vmc_node_add(&rules->topology.processors, n);
		for (unsigned a = 0; a < 8; a++) {
			arenas[a].heaps = 0;
			vmc_store_relaxed(&kind.arenas[a], &arenas[a]);
		}
		for (unsigned t = 0; t < 16; t++)
			arenas[vmc_kind_arena(&kind)].heaps++;
		for (unsigned a = 0; a < 8; a++)
			assert_int_equal(arenas[a].heaps,
				a % nodes == 0 ? local[i].each : 0);
	}
	fault_disarm();
	rules->topology.processors = processors;
}

static size_t asked_alignment;

static void *
note_alignment(extent_hooks_t *hooks, void *new_addr, size_t size,
	size_t alignment, bool *zero, bool *commit, unsigned index)
{
	void *addr = NULL;

	(void)hooks, (void)new_addr, (void)index;
	if (alignment > asked_alignment)
		asked_alignment = alignment;
	*zero = *commit = true;
	return alignment <= VMC_OS_CHUNK &&
			       posix_memalign(&addr, alignment, size) == 0
		       ? memset(addr, 0, size)
		       : NULL;
}

/* jemalloc's huge pages are ours, not those of the machine that built it. */
static void
test_alignment_of_metadata(void **state)
{
	static extent_hooks_t hooks = {.alloc = note_alignment};
	size_t page = 0, size = sizeof(page);
	unsigned index;

	(void)state;
	if (RUNNING_ON_VALGRIND) /* what jemalloc has from it stays */
		skip();
	assert_int_equal(je_mallctl("arenas.page", &page, &size, NULL, 0), 0);
	assert_int_equal(page, 4096);
	assert_int_equal(vmc_engine_arena_create(&hooks, &index), 0);
	assert_int_equal(asked_alignment, VMC_OS_CHUNK);
}

/*
 * jemalloc has no more arenas: those that the kind has serve every thread. (A
 * thread whose arena was refused got nothing, whatever the others had.)
 */
static void
test_refused(void **state)
{
	memkind_t kind = kind_of(64 * MIB, 4);
	void *first = vmc_memkind_malloc(kind, SIZE);

	(void)state;
	fault_arm("vmc_engine_arena_create", 0, 1000, EAGAIN);
	for (int i = 0; i < 3; i++)
		assert_true(fill_and_empty_in_a_thread(kind) * SIZE > 60 * MIB);
	assert_true(fault_disarm() > 0);
	assert_null(kind->arenas[1]);
	vmc_memkind_free(kind, first);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* --- arenas that are parts of the caller's memory --- */

static char *memory;
static const struct vmc_kind_type fixed = {.name = "fixed"};

static int
setup_memory(void **state)
{
	(void)state;
	memory = vmc_os_map_anonymous(64 * MIB);
	return memory ? 0 : -1;
}

static int
teardown_memory(void **state)
{
	(void)state;
	vmc_os_unmap(memory, 64 * MIB);
	return 0;
}

static memkind_t
fixed_of(size_t size, unsigned arenas)
{
	struct vmc_space space;
	memkind_t kind;

	vmc_kinds_init();
	assert_int_equal(vmc_space_user(&space, memory, size, arenas), 0);
	assert_int_equal(vmc_kind_create(&fixed, &space, -1, &kind), 0);
	return kind;
}

static bool
is_in(const struct vmc_arena *arena, const void *ptr)
{
	return (size_t)((const char *)ptr - arena->base) < arena->size;
}

/* Each thread has what all others leave, in small objects and in large ones. */
static void *
check_all_is_there(void *arg)
{
	memkind_t kind = arg;

	assert_true(fill_and_empty(kind) * SIZE > 14 * MIB);
	assert_true(fill_and_empty_by(kind, 1000) * 1000 > 14 * MIB);
	assert_true(fill_and_empty_by(kind, 4096) * 4096 > 14 * MIB);
	assert_true(fill_and_empty_by(kind, 8 * MIB) > 0);
	return NULL;
}

static void
test_parts_have_all(void **state)
{
	memkind_t kind = fixed_of(16 * MIB, 2);

	(void)state;
	check_all_is_there(kind);
	assert_null(kind->arenas[1]);
	for (int i = 0; i < 3; i++) {
		run_in_a_thread(check_all_is_there, kind);
		check_all_is_there(kind);
	}
	assert_int_equal(
		kind->arenas[1]->size, 4 * MIB - 2 * vmc_os_page_size());
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

static void
test_parts_depots(void **state)
{
	(void)state;
	check_depots(fixed_of(16 * MIB, 2));
}

/* Grown beyond what its arena has, it moves to where there is room. */
static void *
grow(void *arg)
{
	memkind_t kind = arg;
	size_t size = 65536;
	unsigned char *ptr = vmc_memkind_malloc(kind, size);

	assert_true(is_in(kind->arenas[1], ptr));
	memset(ptr, 1, size);
	for (; size <= 4 * MIB; size *= 2) {
		ptr = vmc_memkind_realloc(kind, ptr, 2 * size);
		assert_non_null(ptr);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(ptr[i], 1);
		memset(ptr + size, 1, size);
	}
	assert_false(is_in(kind->arenas[1], ptr));
	vmc_memkind_free(kind, ptr);
	return NULL;
}

static void
test_parts_grow(void **state)
{
	memkind_t kind = fixed_of(32 * MIB, 4);

	(void)state;
	vmc_memkind_free(kind, vmc_memkind_malloc(kind, SIZE));
	run_in_a_thread(grow, kind);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

static void *
one(void *kind)
{
	return vmc_memkind_malloc(kind, MIB);
}

static size_t
stat(memkind_t kind, memkind_stat_type which)
{
	size_t value;

	assert_int_equal(memkind_get_stat(kind, which, &value), 0);
	return value;
}

/* Statistics tell what the program has, not which arena has what of another. */
static void
test_parts_statistics(void **state)
{
	memkind_t kind = fixed_of(32 * MIB, 2);
	void *mine = one(kind);
	size_t active;

	(void)state;
	memkind_update_cached_stats();
	assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ALLOCATED), MIB);
	active = stat(kind, MEMKIND_STAT_TYPE_ACTIVE);
	size_t whole = stat(NULL, MEMKIND_STAT_TYPE_ALLOCATED);
	void *others = (void *)run_in_a_thread(one, kind);
	assert_true(is_in(kind->arenas[1], others));
	/* the snapshot is of before: nothing of the part is in it */
	assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ALLOCATED), MIB);
	assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ACTIVE), active);
	memkind_update_cached_stats();
	assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ALLOCATED), 2 * MIB);
	assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ACTIVE), 2 * active);
	/* of the process, too: the part is not an object beside what is in it
	 */
	assert_true(stat(NULL, MEMKIND_STAT_TYPE_ALLOCATED) > whole);
	assert_true(stat(NULL, MEMKIND_STAT_TYPE_ALLOCATED) < whole + 2 * MIB);
	vmc_memkind_free(kind, mine);
	vmc_memkind_free(kind, others);
	memkind_update_cached_stats();
	assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ALLOCATED), 0);
	assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ACTIVE), 0);
	assert_int_equal(memkind_destroy_kind(kind), 0);

	/* nothing of one that was shows in its successor */
	for (int i = 0; i < 10; i++) {
		kind = fixed_of(32 * MIB, 2);
		run_in_a_thread(one, kind);
		run_in_a_thread(one, kind);
		one(kind);
		run_in_a_thread(one, kind);
		assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ALLOCATED), 0);
		assert_int_equal(stat(kind, MEMKIND_STAT_TYPE_ACTIVE), 0);
		memkind_update_cached_stats();
		assert_int_equal(
			stat(kind, MEMKIND_STAT_TYPE_ALLOCATED), 4 * MIB);
		assert_int_equal(memkind_destroy_kind(kind), 0);
	}
}

/* Without room for a part, a thread shares the first arena; the next tries. */
static void
test_parts_without_room(void **state)
{
	memkind_t kind = fixed_of(16 * MIB, 2);
	void *most = vmc_memkind_malloc(kind, 14 * MIB), *object;

	(void)state;
	object = (void *)run_in_a_thread(one, kind);
	assert_true(is_in(kind->arenas[0], object));
	assert_null(kind->arenas[1]);
	vmc_memkind_free(kind, object);
	vmc_memkind_free(kind, most);
	object = (void *)run_in_a_thread(one, kind);
	assert_true(is_in(kind->arenas[1], object));
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* Which there are: none in little memory, a quarter of it in all. */
static void
test_parts_how_many(void **state)
{
	static const struct {
		size_t size;
		unsigned wanted, arenas;
		size_t part;
	} cases[] = {
		{8 * MIB - 4096, 64, 1, 0}, {8 * MIB, 64, 2, 2 * MIB},
		{64 * MIB, 1, 1, 0}, {64 * MIB, 64, 9, 2 * MIB},
		{64 * MIB, 4, 4, 4 * MIB}, /* 5.33: whole chunks */
	};
	struct vmc_space space;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(vmc_space_user(&space, memory, cases[i].size,
					 cases[i].wanted),
			0);
		assert_int_equal(space.arenas, cases[i].arenas);
		assert_int_equal(space.part, cases[i].part);
		assert_int_equal(space.capacity, cases[i].size);
	}
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
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_alignment_of_metadata),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_parts_have_all),
		cmocka_unit_test(test_parts_depots),
		cmocka_unit_test(test_parts_grow),
		cmocka_unit_test(test_parts_statistics),
		cmocka_unit_test(test_parts_without_room),
		cmocka_unit_test(test_parts_how_many),
	};

	unsetenv("MEMKIND_ARENA_NUM_PER_KIND");
	return cmocka_run_group_tests(tests, setup_memory, teardown_memory);
}
