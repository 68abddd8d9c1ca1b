/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * calls.c -- every call of memkind.h and hbwmalloc.h, and what comes of it
 *
 *     calls DIRECTORY
 *
 * A program as there are for memkind 1.14: `dropin` compiles it against the
 * headers of Debian's package, links it with the library there, and compares
 * what it prints with that library and with ours in its place. So it prints
 * what a program may rely on, and nothing that depends on how full a heap is.
 * Where memkind 1.14 crashed or overflowed it is not asked.
 */
#include <errno.h>
#include <hbwmalloc.h>
#include <memkind.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define MIB ((size_t)1 << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The value of an integer expression; of a heap call, and errno as well. */
#define SAY(expression)                                                        \
	printf("%s: %s = %lld\n", where, #expression, (long long)(expression))
#define HEAP(expression)                                                       \
	do {                                                                   \
		errno = 0;                                                     \
		SAY(expression);                                               \
		SAY(errno);                                                    \
	} while (0)

static const char *where = "";

/* Whether all bytes have that value. */
static int
all(const void *ptr, size_t size, int value)
{
	const unsigned char *bytes = ptr;

	for (size_t i = 0; ptr && i < size; i++) {
		if (bytes[i] != (unsigned char)value)
			return 0;
	}
	return ptr != NULL;
}

static void
write_text(void *count, const char *text)
{
	*(size_t *)count += strlen(text);
}

/* The heap calls on a kind that may or may not give memory. */
static void
use_heap(memkind_t kind)
{
	void *ptr = NULL, *moved;

	HEAP(memkind_malloc(kind, 0) != NULL);
	HEAP(memkind_malloc(kind, SIZE_MAX / 2) != NULL);
	HEAP(memkind_calloc(kind, 0, 8) != NULL);
	SAY(memkind_malloc_usable_size(kind, NULL));
	HEAP(memkind_realloc(kind, NULL, 0) != NULL);
	memkind_free(kind, NULL);
	memkind_free(NULL, NULL);
	for (size_t size = 1; size <= 4 * MIB; size = size * 7 + 3) {
		HEAP((ptr = memkind_malloc(kind, size)) != NULL);
		if (!ptr)
			continue;
		SAY(memkind_malloc_usable_size(kind, ptr) >= size);
		SAY(memkind_malloc_usable_size(NULL, ptr) >= size);
		SAY(memkind_detect_kind(ptr) == kind);
		memset(ptr, 0x5a, size);
		HEAP((moved = memkind_realloc(kind, ptr, size * 2)) != NULL);
		SAY(all(moved, size, 0x5a));
		HEAP((ptr = memkind_realloc(NULL, moved, size)) != NULL);
		SAY(all(ptr, size, 0x5a));
		HEAP(memkind_realloc(kind, ptr, 0) != NULL);
		HEAP((ptr = memkind_calloc(kind, size, 1)) != NULL);
		SAY(all(ptr, size, 0));
		memkind_free(size & 4 ? kind : NULL, ptr);
	}
	for (size_t alignment = 1; alignment <= 65536; alignment *= 4) {
		HEAP(memkind_posix_memalign(kind, &ptr, alignment, 100));
		if (alignment < sizeof(void *) || !ptr)
			continue;
		SAY((uintptr_t)ptr % alignment);
		memkind_free(kind, ptr);
	}
	HEAP(memkind_posix_memalign(kind, &ptr, 24, 100));
	HEAP(memkind_posix_memalign(kind, &ptr, 64, SIZE_MAX / 2));
	SAY(memkind_defrag_reallocate(kind, NULL) != NULL);
}

static const struct {
	const char *name;
	memkind_t *kind;
	int partition;
} kinds[] = {
#define KIND(name)                                                             \
	{                                                                      \
#name, &MEMKIND_##name, MEMKIND_PARTITION_##name               \
	}
	KIND(DEFAULT), KIND(REGULAR), KIND(HUGETLB), KIND(INTERLEAVE),
	KIND(HBW), KIND(HBW_ALL), KIND(HBW_PREFERRED), KIND(HBW_HUGETLB),
	KIND(HBW_ALL_HUGETLB), KIND(HBW_PREFERRED_HUGETLB),
	KIND(HBW_INTERLEAVE), KIND(DAX_KMEM), KIND(DAX_KMEM_ALL),
	KIND(DAX_KMEM_PREFERRED), KIND(DAX_KMEM_INTERLEAVE),
	KIND(HIGHEST_CAPACITY), KIND(HIGHEST_CAPACITY_PREFERRED),
	KIND(HIGHEST_CAPACITY_LOCAL), KIND(HIGHEST_CAPACITY_LOCAL_PREFERRED),
	KIND(LOWEST_LATENCY_LOCAL), KIND(LOWEST_LATENCY_LOCAL_PREFERRED),
	KIND(HIGHEST_BANDWIDTH_LOCAL), KIND(HIGHEST_BANDWIDTH_LOCAL_PREFERRED),
	KIND(GBTLB), KIND(HBW_GBTLB), KIND(HBW_PREFERRED_GBTLB)};

#define DEPRECATED (COUNT(kinds) - 3) /* no more is asked of them */

static void
use_static_kinds(void)
{
	memkind_t kind;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		where = kinds[i].name;
		kind = NULL;
		SAY(memkind_get_kind_by_partition(kinds[i].partition, &kind));
		SAY(kind == *kinds[i].kind);
		if (i >= DEPRECATED)
			continue;
		SAY(memkind_check_available(kind));
		SAY(memkind_get_capacity(kind));
		if (memkind_check_available(kind) == 0)
			use_heap(kind);
		SAY(memkind_destroy_kind(kind));
	}
	where = "no such kind";
	SAY(memkind_get_kind_by_partition(MEMKIND_NUM_BASE_KIND, &kind));
	SAY(memkind_get_kind_by_partition(-1, &kind));
	SAY(memkind_detect_kind(NULL) != NULL);
	SAY(memkind_realloc(NULL, NULL, 10) != NULL);
}

static void
use_pmem(const char *dir)
{
	struct memkind_config *config;
	memkind_t kind;

	where = "pmem";
	SAY(memkind_create_pmem("/nonexistent", 0, &kind));
	SAY(memkind_create_pmem(dir, MEMKIND_PMEM_MIN_SIZE - 1, &kind));
	SAY(memkind_check_dax_path("/nonexistent"));
	SAY(memkind_check_dax_path(dir));
	SAY(memkind_create_pmem(dir, 32 * MIB + 1, &kind));
	SAY(memkind_check_available(kind));
	SAY(memkind_get_capacity(kind) >= (ssize_t)(32 * MIB));
	use_heap(kind);
	SAY(memkind_malloc(kind, 64 * MIB) != NULL);
	SAY(memkind_destroy_kind(kind));
	SAY(memkind_create_pmem(dir, 0, &kind));
	use_heap(kind);
	SAY(memkind_destroy_kind(kind));

	where = "pmem with a configuration";
	SAY((config = memkind_config_new()) != NULL);
	memkind_config_set_path(config, dir);
	memkind_config_set_size(config, 1);
	SAY(memkind_create_pmem_with_config(config, &kind));
	memkind_config_set_size(config, 64 * MIB);
	for (int policy = 0; policy <= MEMKIND_MEM_USAGE_POLICY_MAX_VALUE;
		policy++) {
		memkind_config_set_memory_usage_policy(
			config, (memkind_mem_usage_policy)policy);
		SAY(memkind_create_pmem_with_config(config, &kind));
		if (policy == MEMKIND_MEM_USAGE_POLICY_MAX_VALUE)
			continue;
		use_heap(kind);
		SAY(memkind_destroy_kind(kind));
	}
	memkind_config_delete(config);
}

static void
use_fixed(void)
{
	const size_t size = 64 * MIB;
	char *region = aligned_alloc(4096, size), *ptr;
	memkind_t kind, other;

	where = "fixed";
	memset(region, 0xee, size);
	SAY(memkind_create_fixed(region, size, &kind));
	SAY(memkind_create_fixed(region, size, &other));
	SAY(memkind_check_available(kind));
	SAY(memkind_get_capacity(kind));
	use_heap(kind);
	ptr = memkind_malloc(kind, 100);
	SAY(ptr >= region && ptr < region + size);
	SAY(memkind_destroy_kind(kind));
	free(region);
}

/* Which static kind it is; -1: none. */
static int
partition_of(memkind_t kind)
{
	memkind_t other;

	for (int i = 0; i < MEMKIND_NUM_BASE_KIND; i++)
		if (memkind_get_kind_by_partition(i, &other) == 0 &&
			other == kind)
			return i;
	return -1;
}

static void
use_created(void)
{
	for (int types = 1; types < 4; types++) {
		for (int policy = 0; policy <= MEMKIND_POLICY_MAX_VALUE;
			policy++) {
			for (int bits = 0; bits < 22; bits += 21) {
				memkind_t kind = NULL;
				char text[64];
				snprintf(text, sizeof(text), "created %d %d %d",
					types, policy, bits);
				where = text;
				int code = memkind_create_kind(
					(memkind_memtype_t)types,
					(memkind_policy_t)policy,
					(memkind_bits_t)bits, &kind);
				SAY(code);
				if (code == 0)
					SAY(partition_of(kind));
				if (code == 0 && bits == 0)
					use_heap(kind);
				if (code == 0)
					SAY(memkind_destroy_kind(kind));
			}
		}
	}
}

static void
use_statistics(const char *dir)
{
	size_t value, count = 0;
	memkind_t kind;
	void *ptr;

	where = "statistics";
	SAY(memkind_create_pmem(dir, 64 * MIB, &kind));
	memset(ptr = memkind_malloc(kind, MIB), 1, MIB);
	SAY(memkind_update_cached_stats());
	for (int type = 0; type < MEMKIND_STAT_TYPE_MAX_VALUE; type++) {
		memkind_stat_type t = (memkind_stat_type)type;
		SAY(memkind_get_stat(kind, t, &value));
		SAY(value >= MIB && value <= 8 * MIB);
		SAY(memkind_get_stat(NULL, t, &value));
		SAY(value >= MIB);
		SAY(memkind_get_stat(MEMKIND_DEFAULT, t, &value));
	}
	SAY(memkind_get_stat(kind, MEMKIND_STAT_TYPE_MAX_VALUE, &value));
	SAY(memkind_stats_print(
		write_text, &count, MEMKIND_STAT_PRINT_JSON_FORMAT));
	SAY(count > 1000);
	SAY(memkind_stats_print(
		write_text, &count, (memkind_stat_print_opt)(1 << 9)));
	SAY(memkind_set_bg_threads(true));
	SAY(memkind_set_bg_threads(false));
	/* it may move, if there is anything to be won */
	if ((value = (uintptr_t)memkind_defrag_reallocate(kind, ptr)))
		ptr = (void *)value;
	SAY(all(ptr, MIB, 1));
	memkind_free(kind, ptr);
	SAY(memkind_destroy_kind(kind));
}

static void
use_hbw(void)
{
	void *ptr = NULL;

	where = "hbw";
	SAY(hbw_check_available());
	SAY(hbw_get_policy());
	SAY(hbw_set_policy((hbw_policy_t)0));
	SAY(hbw_set_policy((hbw_policy_t)5));
	HEAP(hbw_malloc(0) != NULL);
	HEAP((ptr = hbw_malloc(1000)) != NULL);
	SAY(hbw_malloc_usable_size(ptr) >= 1000);
	memset(ptr, 1, 1000);
	HEAP((ptr = hbw_realloc(ptr, 100000)) != NULL);
	SAY(all(ptr, 1000, 1));
	SAY(hbw_verify_memory_region(ptr, 100000, HBW_TOUCH_PAGES));
	SAY(hbw_verify_memory_region(ptr, 1000, 0));
	SAY(hbw_verify_memory_region(ptr, 0, 0));
	SAY(hbw_verify_memory_region(NULL, 1, 0));
	SAY(hbw_verify_memory_region(ptr, 1, 2));
	hbw_free(ptr);
	hbw_free(NULL);
	HEAP((ptr = hbw_calloc(100, 10)) != NULL);
	SAY(all(ptr, 1000, 0));
	hbw_free(ptr);
	HEAP(hbw_posix_memalign(&ptr, 3, 10));
	HEAP(hbw_posix_memalign(&ptr, 1024, 10));
	SAY((uintptr_t)ptr % 1024);
	hbw_free(ptr);
	HEAP(hbw_posix_memalign_psize(&ptr, 64, 10, HBW_PAGESIZE_4KB));
	hbw_free(ptr);
	HEAP(hbw_posix_memalign_psize(&ptr, 64, 10, HBW_PAGESIZE_1GB_STRICT));
	SAY(hbw_set_policy(HBW_POLICY_BIND));
	SAY(hbw_set_policy(HBW_POLICY_PREFERRED));
	SAY(hbw_get_policy());
}

static void
use_messages(void)
{
	char text[MEMKIND_ERROR_MESSAGE_SIZE];

	for (int code = -260; code < 140; code++) {
		memkind_error_message(code, text, sizeof(text));
		puts(text);
	}
	SAY(memkind_get_version());
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	use_messages();
	use_static_kinds();
	use_pmem(argv[1]);
	use_fixed();
	use_created();
	use_statistics(argv[1]);
	use_hbw();
	fflush(stdout);
	_Exit(0); /* past the end of memkind 1.14, which may fail */
}
