/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tiers.c -- every call of memkind_memtier.h, and what comes of it
 *
 * As calls.c is. Not asked is where memkind 1.14 crashes: NULL for a builder, a
 * heap or a kind, and what the C library has allocated. Nor what it counts
 * wrong: what could not be aligned, objects that could not be reallocated, or
 * were to 0 bytes by memtier_realloc(), and those that come from memkind.h.
 * It says nothing in errno of builders, accepts a trigger that is not a number,
 * and its calloc does not see when the product is too large for a size_t.
 */
#include <errno.h>
#include <memkind_memtier.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SAY(expression)                                                        \
	printf("%s: %s = %lld\n", where, #expression, (long long)(expression))
#define HEAP(expression)                                                       \
	do {                                                                   \
		errno = 0;                                                     \
		SAY(expression);                                               \
		SAY(errno);                                                    \
	} while (0)
#define DYNAMIC "policy.dynamic_threshold."
#define AS_IS SIZE_MAX

static const char *where = "";

static struct memtier_memory *
construct(memtier_policy_t policy, unsigned count)
{
	const memkind_t kinds[] = {
		MEMKIND_REGULAR, MEMKIND_INTERLEAVE, MEMKIND_DEFAULT};
	struct memtier_builder *builder = memtier_builder_new(policy);
	struct memtier_memory *memory;

	for (unsigned i = 0; i < count; i++)
		SAY(memtier_builder_add_tier(builder, kinds[i], i + 1));
	memory = memtier_builder_construct_memtier_memory(builder);
	SAY(memory != NULL);
	memtier_builder_delete(builder);
	return memory;
}

static void
builders(void)
{
	struct memtier_builder *builder;
	struct memtier_memory *memory;

	where = "builders";
	SAY(memtier_builder_new(MEMTIER_POLICY_MAX_VALUE) != NULL);
	SAY(memtier_builder_new((memtier_policy_t)-1) != NULL);
	builder = memtier_builder_new(MEMTIER_POLICY_STATIC_RATIO);
	SAY(builder != NULL);
	SAY(memtier_builder_construct_memtier_memory(builder) != NULL);
	SAY(memtier_builder_add_tier(builder, NULL, 1));
	SAY(memtier_builder_add_tier(builder, MEMKIND_DEFAULT, 0));
	SAY(memtier_builder_add_tier(builder, MEMKIND_DEFAULT, 1));
	SAY(memtier_builder_add_tier(builder, MEMKIND_HBW, 1));
	SAY(memtier_builder_add_tier(builder, MEMKIND_REGULAR, 4294967295u));
	for (int i = 0; i < 2; i++) {
		memory = memtier_builder_construct_memtier_memory(builder);
		SAY(memory != NULL);
		memtier_delete_memtier_memory(memory);
	}
	SAY(memtier_ctl_set(builder, DYNAMIC "check_cnt", "xxxxxxxx"));
	memtier_builder_delete(builder);
	construct(MEMTIER_POLICY_DYNAMIC_THRESHOLD, 1);
}

static struct memtier_builder *
dynamic(unsigned tiers)
{
	const memkind_t kinds[] = {
		MEMKIND_DEFAULT, MEMKIND_REGULAR, MEMKIND_INTERLEAVE};
	struct memtier_builder *builder =
		memtier_builder_new(MEMTIER_POLICY_DYNAMIC_THRESHOLD);

	for (unsigned i = 0; i < tiers; i++)
		memtier_builder_add_tier(builder, kinds[i], 1);
	return builder;
}

static void
thresholds(unsigned count, const size_t *values)
{
	static const char *const names[] = {"val", "min", "max"};
	struct memtier_builder *builder = dynamic(count + 1);
	char name[80];

	for (unsigned i = 0; i < 3 * count; i++) {
		snprintf(name, sizeof(name), DYNAMIC "thresholds[%u].%s", i / 3,
			names[i % 3]);
		if (values[i] != AS_IS)
			SAY(memtier_ctl_set(builder, name, &values[i]));
	}
	SAY(memtier_builder_construct_memtier_memory(builder) != NULL);
	memtier_builder_delete(builder);
}

static void
properties(void)
{
	static const size_t single[][3] = {{100, 50, 200}, {100, 100, 200},
		{200, 100, 200}, {200, 200, 200}, {99, 100, 200},
		{201, 100, 200}, {1024, AS_IS, AS_IS}, {512, AS_IS, AS_IS},
		{511, AS_IS, AS_IS}, {1535, AS_IS, AS_IS}, {1536, AS_IS, AS_IS},
		{0, 0, AS_IS}, {0, 0, 0}};
	static const size_t pairs[][6] = {
		{AS_IS, AS_IS, AS_IS, AS_IS, AS_IS, AS_IS},
		{AS_IS, AS_IS, AS_IS, 1600, 1535, AS_IS},
		{AS_IS, AS_IS, AS_IS, 1600, 1534, AS_IS},
		{AS_IS, AS_IS, AS_IS, 2559, AS_IS, AS_IS},
		{AS_IS, AS_IS, AS_IS, 2560, AS_IS, AS_IS},
		{100, 50, 200, 300, 200, 400}, {100, 50, 200, 300, 199, 400}};
	static const char *const names[] = {"", "foo", "policy", DYNAMIC,
		"policy.foo.degree", DYNAMIC "check_cnt.x",
		DYNAMIC "thresholds[1].val", DYNAMIC "thresholds[].val",
		DYNAMIC "thresholds[x].val", DYNAMIC "thresholds[-1].val",
		DYNAMIC "thresholds[0]val", DYNAMIC "thresholds[0].value",
		DYNAMIC "thresholds.0.val", DYNAMIC "check_cnt",
		DYNAMIC "trigger", DYNAMIC "degree"};
	static const float floats[] = {0, -1, 0.02f, 1, 2, 100};

	for (size_t i = 0; i < COUNT(single); i++) {
		where = "one threshold";
		thresholds(1, single[i]);
	}
	for (size_t i = 0; i < COUNT(pairs); i++) {
		where = "two thresholds";
		thresholds(2, pairs[i]);
	}
	for (unsigned tiers = 0; tiers <= 2; tiers++) {
		struct memtier_builder *builder = dynamic(tiers);
		where = "value of a threshold";
		HEAP(memtier_ctl_set(
			builder, DYNAMIC "thresholds[0].val", "xxxxxxxx"));
		for (size_t i = 0; i < COUNT(names); i++) {
			where = names[i];
			HEAP(memtier_ctl_set(builder, names[i], "xxxxxxxx"));
		}
		memtier_builder_delete(builder);
	}
	for (size_t i = 0; i < 2 * COUNT(floats); i++) {
		struct memtier_builder *builder = dynamic(2);
		where = i % 2 ? DYNAMIC "trigger" : DYNAMIC "degree";
		SAY(memtier_ctl_set(builder, where, &floats[i / 2]));
		SAY(memtier_builder_construct_memtier_memory(builder) != NULL);
		memtier_builder_delete(builder);
	}
}

static void
heap(void)
{
	struct memtier_memory *memory =
		construct(MEMTIER_POLICY_STATIC_RATIO, 1);
	const memkind_t kind = MEMKIND_REGULAR;
	void *ptr;

	where = "heap";
	HEAP(memtier_malloc(memory, 0) != NULL);
	HEAP(memtier_calloc(memory, 0, 8) != NULL);
	HEAP(memtier_realloc(memory, NULL, 0) != NULL);
	HEAP(memtier_posix_memalign(memory, &ptr, 64, 0));
	HEAP(memtier_usable_size(NULL));
	memtier_free(NULL);
	memtier_kind_free(kind, NULL);
	HEAP(memtier_malloc(memory, SIZE_MAX / 2) != NULL);
	HEAP(memtier_calloc(memory, 1, SIZE_MAX / 2) != NULL);
	HEAP(memtier_realloc(memory, NULL, SIZE_MAX / 2) != NULL);
	HEAP(memtier_posix_memalign(memory, &ptr, 24, 100));
	HEAP(memtier_posix_memalign(memory, &ptr, 4, 100));
	HEAP(memtier_posix_memalign(memory, &ptr, 64, SIZE_MAX / 2));
	SAY(memtier_kind_allocated_size(kind));
	for (size_t size = 1; size < 1000000; size = size * 7 + 3) {
		HEAP((ptr = memtier_malloc(memory, size)) != NULL);
		SAY(memtier_usable_size(ptr));
		SAY(memkind_detect_kind(ptr) == kind);
		SAY(memtier_kind_allocated_size(kind));
		HEAP((ptr = memtier_realloc(memory, ptr, 2 * size)) != NULL);
		SAY(memtier_kind_allocated_size(kind));
		memtier_free(ptr);
		HEAP((ptr = memtier_calloc(memory, size, 3)) != NULL);
		SAY(memtier_kind_allocated_size(kind));
		memtier_kind_free(kind, ptr);
		HEAP(memtier_posix_memalign(memory, &ptr, 64, size));
		SAY((uintptr_t)ptr % 64);
		SAY(memtier_kind_allocated_size(kind));
		memtier_kind_free(NULL, ptr);
		SAY(memtier_kind_allocated_size(kind));
	}
	memtier_delete_memtier_memory(memory);
}

static void
on_kind(memkind_t kind)
{
	void *ptr;

	HEAP(memtier_kind_malloc(kind, 0) != NULL);
	HEAP(memtier_kind_malloc(kind, SIZE_MAX / 2) != NULL);
	HEAP(memtier_kind_calloc(kind, 0, 8) != NULL);
	HEAP(memtier_kind_calloc(kind, 1, SIZE_MAX / 2) != NULL);
	HEAP(memtier_kind_realloc(kind, NULL, 0) != NULL);
	HEAP(memtier_kind_realloc(kind, NULL, SIZE_MAX / 2) != NULL);
	HEAP(memtier_kind_posix_memalign(kind, &ptr, 64, 0));
	HEAP(memtier_kind_posix_memalign(kind, &ptr, 24, 100));
	HEAP(memtier_kind_posix_memalign(kind, &ptr, 4, 100));
	HEAP(memtier_kind_posix_memalign(kind, &ptr, 64, SIZE_MAX / 2));
	HEAP((ptr = memtier_kind_malloc(kind, 50)) != NULL);
	SAY(memtier_kind_allocated_size(kind));
	if (!ptr)
		return;
	HEAP((ptr = memtier_kind_realloc(kind, ptr, 500)) != NULL);
	SAY(memtier_kind_allocated_size(kind));
	HEAP((ptr = memtier_kind_realloc(kind, ptr, 0)) != NULL);
	SAY(memtier_kind_allocated_size(kind));
	HEAP((ptr = memtier_kind_realloc(kind, NULL, 5)) != NULL);
	memtier_kind_free(kind, ptr);
	HEAP((ptr = memtier_kind_calloc(kind, 5, 100)) != NULL);
	SAY(memtier_kind_allocated_size(kind));
	memtier_kind_free(kind, ptr);
	HEAP(memtier_kind_posix_memalign(kind, &ptr, 64, 100));
	SAY(memtier_kind_allocated_size(kind));
	memtier_free(ptr);
	SAY(memtier_kind_allocated_size(kind));
}

/* A tier that is full, or too small, says so. */
static void
full(const char *directory)
{
	enum { LIMIT = MEMKIND_PMEM_MIN_SIZE, OBJECT = 65536 };
	memkind_t kind;
	void *ptr;

	where = "full";
	SAY(memkind_create_pmem(directory, LIMIT, &kind));
	HEAP(memtier_kind_malloc(kind, 2 * LIMIT) != NULL);
	HEAP(memtier_kind_calloc(kind, 2, LIMIT) != NULL);
	HEAP(memtier_kind_realloc(kind, NULL, 2 * LIMIT) != NULL);
	HEAP(memtier_kind_posix_memalign(kind, &ptr, 64, 2 * LIMIT));
	SAY(memtier_kind_allocated_size(kind));
	for (int i = 0; i < LIMIT / OBJECT; i++)
		memtier_kind_malloc(kind, OBJECT);
	HEAP(memtier_kind_malloc(kind, OBJECT) != NULL);
	SAY(memkind_destroy_kind(kind));
}

/* Each tier has its share, within a tenth of it. */
static void
shares(void)
{
	const memkind_t kinds[] = {
		MEMKIND_REGULAR, MEMKIND_INTERLEAVE, MEMKIND_DEFAULT};
	struct memtier_memory *memory;
	size_t sizes[3], all = 0;

	where = "shares";
	memory = construct(MEMTIER_POLICY_STATIC_RATIO, 3);
	for (unsigned i = 0; i < 200000; i++)
		if (!memtier_malloc(memory, 16 << i % 7))
			SAY(i);
	for (int i = 0; i < 3; i++)
		all += sizes[i] = memtier_kind_allocated_size(kinds[i]);
	for (size_t i = 0; i < 3; i++)
		SAY(sizes[i] * 60 / all >= 9 * (i + 1) &&
			sizes[i] * 60 / all <= 11 * (i + 1));
	memtier_delete_memtier_memory(memory);
}

/* Sizes from the threshold on are the next tier's. */
static void
sides(void)
{
	static const size_t sizes[] = {
		1, 511, 512, 1023, 1024, 1025, 2047, 2048, 5000};
	struct memtier_builder *builder = dynamic(3);
	const unsigned never = 1000000;
	struct memtier_memory *memory;
	void *ptr;

	where = "sides";
	SAY(memtier_ctl_set(builder, DYNAMIC "check_cnt", &never));
	memory = memtier_builder_construct_memtier_memory(builder);
	memtier_builder_delete(builder);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		ptr = memtier_malloc(memory, sizes[i]);
		SAY(memkind_detect_kind(ptr) == MEMKIND_DEFAULT);
		SAY(memkind_detect_kind(ptr) == MEMKIND_REGULAR);
		memtier_free(ptr);
	}
	memtier_delete_memtier_memory(memory);
}

static void *
in_thread(void *unused)
{
	memtier_kind_malloc(MEMKIND_INTERLEAVE, 100);
	return unused;
}

static void
threads(void)
{
	pthread_t thread;

	where = "threads";
	for (int i = 0; i < 3; i++) {
		pthread_create(&thread, NULL, in_thread, NULL);
		pthread_join(thread, NULL);
		SAY(memtier_kind_allocated_size(MEMKIND_INTERLEAVE));
	}
}

int
main(int argc, char **argv)
{
	builders();
	properties();
	heap();
	where = "DEFAULT";
	on_kind(MEMKIND_DEFAULT);
	where = "HBW";
	on_kind(MEMKIND_HBW);
	threads();
	sides();
	shares();
	if (argc > 1)
		full(argv[1]);
	return 0;
}
