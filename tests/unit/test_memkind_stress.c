/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_stress.c -- threads on one kind, with contents that tell
 *
 * Every object is filled with a pattern made of its address, size and owner;
 * objects change hands through a shared table, so many are freed by another
 * thread than the one that allocated them. A heap that hands out memory
 * twice, or gives back what is in use, shows as a wrong pattern. Meanwhile
 * other kinds come and go, and threads end.
 *
 * The rule about address ranges that pass from one arena to another (arena.c)
 * is what this is for: with jemalloc's assertions (VMC_JEMALLOC_DEBUG) and
 * the shortest decay it fails at once where the rule is broken.
 */
#include "testing.h"

#include "memkind/heap/engine.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include "base/os.h"
#include "base/os_space.h"

#include <pthread.h>
#include <unistd.h>

#define THREADS 4
#define EXCHANGE 256
#define OWN 512

struct object {
	size_t size;
	uint64_t tag;
	/* and a pattern to the end */
};

struct arguments {
	memkind_t kind;
	uint64_t seed;
	size_t largest;
	unsigned long operations;
};

static _Atomic(struct object *) exchange[EXCHANGE];

static uint64_t
tag_of(const struct object *object, size_t size)
{
	return ((uintptr_t)object ^ size) * UINT64_C(0x9e3779b97f4a7c15);
}

static void
fill(struct object *object, size_t size)
{
	unsigned char *bytes = (unsigned char *)object;

	object->size = size;
	object->tag = tag_of(object, size);
	memset(bytes + sizeof(*object), (int)(object->tag >> 56),
		size - sizeof(*object));
}

static void
check(const struct object *object)
{
	const unsigned char *bytes = (const unsigned char *)object;

	testing_expect(object->tag == tag_of(object, object->size));
	for (size_t i = sizeof(*object); i < object->size;
		i += i < 256 || i + 256 >= object->size ? 1 : 61)
		testing_expect(bytes[i] == (unsigned char)(object->tag >> 56));
}

static size_t
random_size(uint64_t *seed, size_t largest)
{
	size_t top = sizeof(struct object)
		     << testing_below(seed, 12); /* to 32 KiB */

	if (testing_below(seed, 64) == 0)
		top = largest;
	if (top > largest)
		top = largest;
	return sizeof(struct object) + testing_below(seed, top);
}

static struct object *
allocate(const struct arguments *a, uint64_t *seed)
{
	size_t size = random_size(seed, a->largest);
	struct object *object;
	void *aligned;

	switch (testing_below(seed, 8)) {
	case 0:
		object = vmc_memkind_calloc(a->kind, 1, size);
		for (size_t i = 0; object && i < size; i++)
			testing_expect(((char *)object)[i] == 0);
		break;
	case 1:
		if (vmc_memkind_posix_memalign(a->kind, &aligned,
			    (size_t)16 << testing_below(seed, 13), size) != 0)
			return NULL;
		object = aligned;
		break;
	default:
		object = vmc_memkind_malloc(a->kind, size);
	}
	if (object)
		fill(object, size);
	return object;
}

static struct object *
resize(const struct arguments *a, struct object *object, uint64_t *seed)
{
	size_t old = object->size, size = random_size(seed, a->largest);
	struct object *moved = vmc_memkind_realloc(a->kind, object, size);
	size_t kept = old < size ? old : size;

	if (!moved)
		return object;
	testing_expect(moved->size == old);
	testing_expect(((unsigned char *)moved)[kept - 1] ==
			       (unsigned char)(moved->tag >> 56) ||
		       kept == sizeof(*moved));
	fill(moved, size);
	return moved;
}

static void
release(const struct arguments *a, struct object *object, uint64_t *seed)
{
	if (!object)
		return;
	check(object);
	memset(object, 0xdd, object->size);
	vmc_memkind_free(testing_below(seed, 2) ? a->kind : NULL, object);
}

static void *
work(void *arguments)
{
	const struct arguments *a = arguments;
	struct object *own[OWN] = {NULL};
	uint64_t seed = a->seed;

	for (unsigned long i = 0; i < a->operations; i++) {
		struct object **slot = &own[testing_below(&seed, OWN)];
		switch (testing_below(&seed, 8)) {
		case 0:
			*slot = vmc_exchange_acq_rel(
				&exchange[testing_below(&seed, EXCHANGE)],
				*slot);
			break;
		case 1:
			if (*slot)
				*slot = resize(a, *slot, &seed);
			break;
		default:
			release(a, *slot, &seed);
			*slot = allocate(a, &seed);
		}
		if (*slot)
			check(*slot);
	}
	for (unsigned i = 0; i < OWN; i++)
		release(a, own[i], &seed);
	return NULL;
}

static void
run_some_threads(unsigned count, uint64_t seed, memkind_t kind, size_t largest,
	unsigned long operations)
{
	struct arguments a[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < count; i++) {
		a[i] = (struct arguments){kind, seed + i, largest, operations};
		assert_int_equal(
			pthread_create(&threads[i], NULL, work, &a[i]), 0);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < EXCHANGE; i++) {
		release(&a[0], vmc_exchange_acq_rel(&exchange[i], NULL), &seed);
	}
	assert_int_equal(testing_failures, 0);
}

static void
run_threads(memkind_t kind, size_t largest, unsigned long operations)
{
	run_some_threads(THREADS, testing_seed(), kind, largest, operations);
}

static const char *
directory(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static unsigned long
operations(void)
{
	return (unsigned long)testing_operations(60000);
}

static void
test_pmem(void **state)
{
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_pmem(directory(), 64 << 20, &kind), 0);
	run_threads(kind, 256 << 10, operations());
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* Free pages go back at once. */
static void
test_pmem_conservative(void **state)
{
	struct memkind_config *config = memkind_config_new();
	memkind_t kind;

	(void)state;
	memkind_config_set_path(config, directory());
	memkind_config_set_size(config, 64 << 20);
	memkind_config_set_memory_usage_policy(
		config, MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE);
	assert_int_equal(memkind_create_pmem_with_config(config, &kind), 0);
	memkind_config_delete(config);
	run_threads(kind, 256 << 10, operations() / 2);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

/* So little that allocations fail all the time. */
static void
test_exhausted(void **state)
{
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_pmem(directory(), 16 << 20, &kind), 0);
	run_threads(kind, 1 << 20, operations() / 2);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

static void
test_fixed(void **state)
{
	size_t size = 24 << 20;
	char *region = malloc(size);
	memkind_t kind;

	(void)state;
	memset(region, 0xee, size);
	assert_int_equal(
		memkind_create_fixed(region + 100, size - 100, &kind), 0);
	run_threads(kind, 64 << 10, operations());
	assert_int_equal(memkind_destroy_kind(kind), 0);
	free(region);
}

static void
test_node_kind(void **state)
{
	(void)state;
	/* its addresses are too many to be searched for leaks */
	if (RUNNING_ON_VALGRIND ||
		memkind_check_available(MEMKIND_REGULAR) != 0)
		skip();
	run_threads(MEMKIND_REGULAR, 256 << 10, operations());
}

static void
test_default(void **state)
{
	(void)state;
	run_threads(MEMKIND_DEFAULT, 256 << 10, operations());
}

static void *
come_and_go(void *arguments)
{
	const struct arguments *a = arguments;
	uint64_t seed = a->seed;
	memkind_t kind;

	for (unsigned long i = 0; i < a->operations; i++) {
		struct arguments mine = {.seed = 0, .largest = 64 << 10};
		struct object *objects[64];
		int code = memkind_create_pmem(directory(), 16 << 20, &kind);
		testing_expect(code == 0);
		if (code != 0)
			break;
		mine.kind = kind;
		for (unsigned j = 0; j < 64; j++)
			objects[j] = allocate(&mine, &seed);
		for (unsigned j = 0; j < 64; j++)
			check(objects[j]);
		for (unsigned j = 0; j < 64; j += 2)
			release(&mine, objects[j], &seed);
		memkind_destroy_kind(kind);
	}
	return NULL;
}

static void
test_kinds_come_and_go(void **state)
{
	struct arguments a[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		a[i] = (struct arguments){
			NULL, testing_seed() + i, 0, operations() / 1000};
		assert_int_equal(
			pthread_create(&threads[i], NULL, come_and_go, &a[i]),
			0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	for (unsigned i = MEMKIND_NUM_BASE_KIND; i < MEMKIND_MAX_KIND; i++)
		assert_int_equal(
			vmc_load_relaxed(&vmc_kinds[i].state), VMC_KIND_FREE);
}

/*
 * For $VMC_TEST_SECONDS, if that is set: rounds of two threads, which end
 * after each, on one kind on a disk, with a line for each minute.
 */
static void
test_churn(void **state)
{
	const char *given = getenv("VMC_TEST_SECONDS");
	double seconds = given ? strtod(given, NULL) : 0;
	uint64_t start = vmc_os_clock_ns(), next = 0, seed = testing_seed();
	unsigned long rounds = 0, ops = operations() / 2;
	double elapsed;
	size_t occupied;
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 256 << 20, &kind), 0);
	do {
		seed += THREADS;
		run_some_threads(2, seed, kind, 1 << 20, ops);
		rounds++;
		elapsed = (double)(vmc_os_clock_ns() - start) / 1e9;
		if (given && (elapsed >= (double)next || elapsed >= seconds)) {
			next = (uint64_t)elapsed + 60;
			vmc_os_file_occupied(kind->space.fd, &occupied);
			printf("%.0f s, %lu operations, all patterns right, "
			       "%zu KiB of the file in use\n",
				elapsed, rounds * ops * 2, occupied >> 10);
			fflush(stdout);
		}
	} while (elapsed < seconds);
	assert_int_equal(memkind_destroy_kind(kind), 0);
}

static void *
short_life(void *kind)
{
	void *ptr = vmc_memkind_malloc(kind, 100);

	testing_expect(ptr != NULL);
	memset(ptr, 1, 100);
	vmc_memkind_free(kind, ptr);
	return NULL;
}

/* What a thread had in its caches is there for others when it has ended. */
static void
test_threads_end(void **state)
{
	size_t allocated;
	memkind_t kind;
	pthread_t thread;

	(void)state;
	assert_int_equal(memkind_create_pmem(directory(), 16 << 20, &kind), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(
			pthread_create(&thread, NULL, short_life, kind), 0);
		pthread_join(thread, NULL);
	}
	assert_null(kind->heaps);
	memkind_update_cached_stats();
	memkind_get_stat(kind, MEMKIND_STAT_TYPE_ALLOCATED, &allocated);
	assert_int_equal(allocated, 0);
	memkind_destroy_kind(kind);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pmem),
		cmocka_unit_test(test_pmem_conservative),
		cmocka_unit_test(test_exhausted),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_node_kind),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_kinds_come_and_go),
		cmocka_unit_test(test_threads_end),
	};

	/* threads share some, and some are alone; read once */
	setenv("MEMKIND_ARENA_NUM_PER_KIND", "3", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
