/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind.c -- the heap calls on every kind that this machine has, and
 * the making and unmaking of kinds
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include "base/os_space.h"
#include "heap.h"
#include "process.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* A size that no heap has is a failure to be reported, not the end. */
#pragma GCC visibility push(default)
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
#pragma GCC visibility pop

const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *
__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static const char *
directory(void)
{
	const char *given = getenv("VMC_TEST_DIRECTORY");

	if (given)
		return given;
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static memkind_t
make_pmem(size_t size)
{
	memkind_t kind = NULL;

	assert_int_equal(memkind_create_pmem(directory(), size, &kind), 0);
	assert_non_null(kind);
	return kind;
}

static void
test_heap_of_each_kind(void **state)
{
	memkind_t pmem = make_pmem(64 * MIB), fixed;
	void *region = malloc(64 * MIB);

	(void)state;
	memset(region, 0xee, 64 * MIB);
	assert_int_equal(memkind_create_fixed(region, 64 * MIB, &fixed), 0);
	memkind_t kinds[] = {MEMKIND_DEFAULT, MEMKIND_REGULAR,
		MEMKIND_INTERLEAVE, MEMKIND_HIGHEST_CAPACITY,
		MEMKIND_HIGHEST_CAPACITY_LOCAL_PREFERRED, MEMKIND_HBW,
		MEMKIND_HBW_ALL, MEMKIND_HBW_PREFERRED, MEMKIND_HBW_INTERLEAVE,
		MEMKIND_HUGETLB, MEMKIND_DAX_KMEM, MEMKIND_DAX_KMEM_ALL,
		MEMKIND_DAX_KMEM_INTERLEAVE, MEMKIND_LOWEST_LATENCY_LOCAL,
		MEMKIND_HIGHEST_BANDWIDTH_LOCAL, pmem, fixed};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		/*
		 * Each of these reserves addresses for all of memory, through
		 * which Valgrind searches for leaks word by word.
		 */
		if (RUNNING_ON_VALGRIND && kinds[i] != MEMKIND_DEFAULT &&
			kinds[i] != pmem && kinds[i] != fixed)
			continue;
		if (memkind_check_available(kinds[i]) != 0) {
			errno = 0;
			assert_null(vmc_memkind_malloc(kinds[i], 10));
			assert_int_equal(errno, ENOMEM);
			continue;
		}
		heap_contract(kinds[i]);
		heap_aligned_contract(kinds[i]);
		/* several kinds have the same node, which may be small */
		vmc_memkind_give_back(kinds[i]);
	}
	memkind_destroy_kind(pmem);
	memkind_destroy_kind(fixed);
	free(region);
}

static void
test_null_kind(void **state)
{
	(void)state;
	errno = 0;
	assert_null(vmc_memkind_malloc(NULL, 10));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(vmc_memkind_realloc(NULL, NULL, 10));
	assert_int_equal(errno, EINVAL);
	assert_null(memkind_detect_kind(NULL));
	assert_int_equal(memkind_check_available(NULL), MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_get_capacity(NULL), -1);
	assert_int_equal(memkind_destroy_kind(NULL), 0);
}

#ifndef VMC_MEMKIND_LIBC
static void
test_foreign_pointers(void **state)
{
	int local;

	(void)state;
	assert_null(memkind_detect_kind(&local));
	assert_null(memkind_detect_kind((void *)test_foreign_pointers));
	assert_null(memkind_detect_kind((void *)UINTPTR_MAX));
	assert_null(memkind_detect_kind((void *)1));
}
#endif

static void
test_bad_kinds(void **state)
{
	struct memkind_config *config = memkind_config_new();
	memkind_t kind;
	char byte;

	(void)state;
	int descriptors = process_descriptors();
	assert_int_equal(memkind_create_pmem("/nonexistent", 0, &kind),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(memkind_create_pmem("/proc/self/maps", 0, &kind),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_create_pmem(directory(), 16 * MIB - 1, &kind),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_create_pmem(directory(), SIZE_MAX, &kind),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_create_pmem(directory(), 0, NULL),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(
		memkind_create_pmem(NULL, 0, &kind), MEMKIND_ERROR_INVALID);
	memkind_config_set_path(config, directory());
	memkind_config_set_memory_usage_policy(
		config, MEMKIND_MEM_USAGE_POLICY_MAX_VALUE);
	assert_int_equal(memkind_create_pmem_with_config(config, &kind),
		MEMKIND_ERROR_INVALID);
	memkind_config_delete(config);
	assert_int_equal(
		memkind_create_fixed(NULL, MIB, &kind), MEMKIND_ERROR_INVALID);
	assert_int_equal(
		memkind_create_fixed(&byte, MIB, NULL), MEMKIND_ERROR_INVALID);
	assert_int_equal(
		memkind_create_fixed(&byte, 1, &kind), MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_create_fixed(&byte, SIZE_MAX, &kind),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(process_descriptors(), descriptors);
	assert_int_equal(
		memkind_check_dax_path("/nonexistent"), MEMKIND_ERROR_RUNTIME);
	assert_int_equal(memkind_check_dax_path(NULL), MEMKIND_ERROR_RUNTIME);
	assert_int_equal(memkind_check_dax_path("/dev/shm"),
		access("/dev/shm", W_OK) ? MEMKIND_ERROR_RUNTIME
					 : MEMKIND_ERROR_MMAP);
}

static void
test_create_kind(void **state)
{
	int accepted = 0;
	memkind_t kind;

	(void)state;
	for (int types = 0; types < 8; types++) {
		for (int policy = 0; policy <= MEMKIND_POLICY_MAX_VALUE;
			policy++) {
			for (int bits = 0; bits < 32; bits++) {
				int code = memkind_create_kind(
					(memkind_memtype_t)types,
					(memkind_policy_t)policy,
					(memkind_bits_t)bits, &kind);
				if (code == MEMKIND_ERROR_INVALID)
					continue;
				accepted++;
				if (code != 0) {
					assert_int_equal(code,
						MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE);
					continue;
				}
				/* a static one: programs compare */
				assert_true(
					kind->number < MEMKIND_NUM_BASE_KIND);
				void *ptr = vmc_memkind_malloc(kind, 100);
				if (kind == MEMKIND_DEFAULT)
					assert_non_null(ptr);
				assert_int_equal(memkind_destroy_kind(kind), 0);
				vmc_memkind_free(kind, ptr);
			}
		}
	}
	assert_int_equal(accepted, 10);
	assert_int_equal(memkind_create_kind(MEMKIND_MEMTYPE_DEFAULT,
				 MEMKIND_POLICY_PREFERRED_LOCAL,
				 (memkind_bits_t)0, NULL),
		MEMKIND_ERROR_INVALID);
}

static void
test_handles(void **state)
{
	static const struct {
		int types;
		memkind_policy_t policy;
		memkind_t *kind, *huge;
	} fits[] = {
		{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_BIND_LOCAL,
			&MEMKIND_HBW, &MEMKIND_HBW_HUGETLB},
		{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_BIND_ALL,
			&MEMKIND_HBW_ALL, &MEMKIND_HBW_ALL_HUGETLB},
		{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_PREFERRED_LOCAL,
			&MEMKIND_HBW_PREFERRED, &MEMKIND_HBW_PREFERRED_HUGETLB},
		{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_INTERLEAVE_ALL,
			&MEMKIND_HBW_INTERLEAVE, NULL},
		{MEMKIND_MEMTYPE_DEFAULT, MEMKIND_POLICY_PREFERRED_LOCAL,
			&MEMKIND_DEFAULT, &MEMKIND_HUGETLB},
		{MEMKIND_MEMTYPE_DEFAULT | MEMKIND_MEMTYPE_HIGH_BANDWIDTH,
			MEMKIND_POLICY_INTERLEAVE_ALL, &MEMKIND_INTERLEAVE,
			NULL},
	};
	memkind_t kind;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(fits) / sizeof(fits[0]); i++) {
		memkind_t *want = i % 2 ? fits[i / 2].huge : fits[i / 2].kind;
		if (!want || memkind_check_available(*want) != 0)
			continue;
		/* as often as one likes: none is made */
		for (int n = 0; n < 2 * MEMKIND_MAX_KIND; n++) {
			kind = NULL;
			assert_int_equal(
				memkind_create_kind(
					(memkind_memtype_t)fits[i / 2].types,
					fits[i / 2].policy,
					i % 2 ? MEMKIND_MASK_PAGE_SIZE_2MB
					      : (memkind_bits_t)0,
					&kind),
				0);
			assert_ptr_equal(kind, *want);
		}
	}
}

/* Every size with every alignment, from the caches and past them. */
static void
test_alignments(void **state)
{
	memkind_t kind = make_pmem(64 * MIB);
	void *ptrs[4];

	(void)state;
	for (size_t alignment = 8; alignment <= 16384; alignment *= 2)
		for (size_t size = 1; size < 34000; size += 1 + size / 37) {
			for (int i = 0; i < 4; i++) {
				assert_int_equal(
					vmc_memkind_posix_memalign(kind,
						&ptrs[i], alignment, size),
					0);
				assert_int_equal(
					(uintptr_t)ptrs[i] % alignment, 0);
				assert_true(vmc_memkind_usable_size(
						    kind, ptrs[i]) >= size);
				memset(ptrs[i], i, size);
			}
			for (int i = 0; i < 4; i++) {
				assert_int_equal(*(char *)ptrs[i], i);
				vmc_memkind_free(kind, ptrs[i]);
			}
		}
	memkind_destroy_kind(kind);
}

/* What can never be had empties nobody's caches. */
static void
test_impossible(void **state)
{
	memkind_t kind = make_pmem(64 * MIB);
	char *few[8], *again;
	void *ptr;

	(void)state;
	for (int i = 0; i < 8; i++)
		few[i] = vmc_memkind_malloc(kind, 100);
	for (int i = 0; i < 8; i++)
		vmc_memkind_free(kind, few[i]);
	errno = 0;
	assert_null(vmc_memkind_malloc(kind, (size_t)1 << 40));
	assert_int_equal(errno, ENOMEM);
	assert_null(vmc_memkind_calloc(kind, 1, 65 * MIB));
	assert_int_equal(
		vmc_memkind_posix_memalign(kind, &ptr, 4096, 65 * MIB), ENOMEM);
	ptr = vmc_memkind_malloc(kind, 40000);
	assert_null(vmc_memkind_realloc(kind, ptr, (size_t)1 << 40));
	/* the last but one that was freed is still the first to leave */
	for (int i = 7; i-- > 0;) {
		again = vmc_memkind_malloc(kind, 100);
		assert_ptr_equal(again, few[i]);
	}
	memkind_destroy_kind(kind);
}

static void
test_exhaustion(void **state)
{
	size_t size = 16 * MIB, occupied;
	void *region = malloc(size);
	memkind_t kind = make_pmem(size);

	(void)state;
	heap_fill_and_empty(kind, size, 512, 95);
	heap_fill_and_empty(kind, size, 4096, 95);
	memkind_update_cached_stats();
	vmc_engine_arena_purge(kind->arenas[0]->index);
	assert_int_equal(vmc_os_file_occupied(kind->space.fd, &occupied), 0);
	assert_true(occupied <= size / 20);
	memkind_destroy_kind(kind);
	assert_int_equal(memkind_create_fixed(region, size, &kind), 0);
	heap_fill_and_empty(kind, size, 512, 95);
	/* all of the region but what is before the first page it begins */
	assert_in_range(memkind_get_capacity(kind) / (ssize_t)MIB, 15, 16);
	memkind_destroy_kind(kind);
	free(region);
}

/* calloc of memory that the program and former objects have written to. */
static void
test_zeroed_on_dirty_memory(void **state)
{
	size_t size = 8 * MIB;
	char *region = malloc(size), *ptr;
	memkind_t kind;

	(void)state;
	memset(region, 0xee, size);
	assert_int_equal(memkind_create_fixed(region, size, &kind), 0);
	for (size_t n = 8; n < 4 * MIB; n = n * 3 + 8) {
		ptr = vmc_memkind_calloc(kind, 1, n);
		assert_non_null(ptr);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(ptr[i], 0);
		memset(ptr, 0xee, n);
		vmc_memkind_free(kind, ptr);
	}
	memkind_destroy_kind(kind);
	free(region);
}

/* Two fixed kinds in one chunk of the address map, none in another kind. */
static void
test_neighbours(void **state)
{
	char *region = malloc(4 * MIB);
	memkind_t a, b;
	void *in_a, *in_b;

	(void)state;
	assert_int_equal(memkind_create_fixed(region, MIB, &a), 0);
	assert_int_equal(
		memkind_create_fixed(region, MIB, &b), MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_create_fixed(region + MIB / 2, MIB, &b),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_create_fixed(region + MIB, 3 * MIB, &b), 0);
	in_a = vmc_memkind_malloc(a, 100);
	in_b = vmc_memkind_malloc(b, 100);
	assert_ptr_equal(memkind_detect_kind(in_a), a);
	assert_ptr_equal(memkind_detect_kind(in_b), b);
	assert_int_equal(
		memkind_create_fixed(in_b, 50, &a), MEMKIND_ERROR_INVALID);
	vmc_memkind_free(NULL, in_a);
	memkind_destroy_kind(a);
	assert_ptr_equal(memkind_detect_kind(in_b), b);
	vmc_memkind_free(NULL, in_b);
	memkind_destroy_kind(b);
	free(region);
}

/* The least that a kind can be of. */
static void
test_one_page(void **state)
{
	char *region = aligned_alloc(4096, 4096);
	memkind_t kind;
	void *ptr;

	(void)state;
	assert_int_equal(memkind_create_fixed(region, 4096, &kind), 0);
	for (int i = 0; i < 3; i++) {
		ptr = vmc_memkind_malloc(kind, 1000);
		assert_ptr_equal(memkind_detect_kind(ptr), kind);
		assert_null(vmc_memkind_malloc(kind, 5000));
		vmc_memkind_free(kind, ptr);
	}
	memkind_destroy_kind(kind);
	free(region);
}

/* A kind inside of another kind's memory is refused, as documented. */
static void
test_nested(void **state)
{
	memkind_t outer = make_pmem(16 * MIB), inner;
	void *region = vmc_memkind_malloc(outer, 4 * MIB);

	(void)state;
	assert_int_equal(memkind_create_fixed(region, 4 * MIB, &inner),
		MEMKIND_ERROR_INVALID);
	vmc_memkind_free(outer, region);
	memkind_destroy_kind(outer);
}

static void
test_many_kinds_leave_no_trace(void **state)
{
	int descriptors, mappings;
	memkind_t kinds[MEMKIND_MAX_KIND];
	unsigned count = 0;

	(void)state;
	memkind_destroy_kind(make_pmem(16 * MIB));
	descriptors = process_descriptors();
	mappings = process_unnamed_mappings();
	while (memkind_create_pmem(directory(), 16 * MIB, &kinds[count]) == 0)
		count++;
	assert_int_equal(count, MEMKIND_MAX_KIND - MEMKIND_NUM_BASE_KIND);
	assert_int_equal(
		memkind_create_pmem(directory(), 16 * MIB, &kinds[count]),
		MEMKIND_ERROR_TOOMANY);
	/* with DAX each takes 2 MiB, for which the medium may be too small */
	for (unsigned i = 0; i < count; i++)
		assert_true(vmc_memkind_malloc(kinds[i], 100) ||
			    memkind_check_dax_path(directory()) == 0);
	while (count > 0)
		memkind_destroy_kind(kinds[--count]);
	assert_int_equal(process_descriptors(), descriptors);
	assert_int_equal(process_unnamed_mappings(), mappings);
}

static void
test_statistics(void **state)
{
	memkind_t kind = make_pmem(16 * MIB);
	void *ptr = vmc_memkind_malloc(kind, 100000);
	size_t value;

	(void)state;
	assert_int_equal(memkind_update_cached_stats(), 0);
	memset(ptr, 1, 100000);
	assert_int_equal(
		memkind_get_stat(kind, MEMKIND_STAT_TYPE_ALLOCATED, &value), 0);
	assert_in_range(value, 100000, 120000);
	assert_int_equal(
		memkind_get_stat(kind, MEMKIND_STAT_TYPE_ACTIVE, &value), 0);
	assert_in_range(value, 100000, 200000);
	vmc_memkind_free(kind, ptr);
	/* still the snapshot */
	memkind_get_stat(kind, MEMKIND_STAT_TYPE_ALLOCATED, &value);
	assert_in_range(value, 100000, 120000);
	memkind_update_cached_stats();
	memkind_get_stat(kind, MEMKIND_STAT_TYPE_ALLOCATED, &value);
	assert_int_equal(value, 0);
	assert_int_equal(
		memkind_get_stat(NULL, MEMKIND_STAT_TYPE_RESIDENT, &value), 0);
	assert_true(value > 0);
	assert_int_equal(
		memkind_get_stat(kind, MEMKIND_STAT_TYPE_MAX_VALUE, &value),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_get_stat(kind, MEMKIND_STAT_TYPE_ACTIVE, NULL),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_get_stat(kind, (memkind_stat_type)-1, &value),
		MEMKIND_ERROR_INVALID);
	ptr = vmc_memkind_malloc(MEMKIND_DEFAULT, 100000);
	memkind_update_cached_stats();
	assert_int_equal(memkind_get_stat(MEMKIND_DEFAULT,
				 MEMKIND_STAT_TYPE_RESIDENT, &value),
		0);
	vmc_memkind_free(MEMKIND_DEFAULT, ptr);
	memkind_destroy_kind(kind);
	assert_int_equal(memkind_destroy_kind(MEMKIND_DEFAULT), 0);
	vmc_memkind_free(
		MEMKIND_DEFAULT, vmc_memkind_malloc(MEMKIND_DEFAULT, 10));
}

static void
count_bytes(void *count, const char *text)
{
	*(size_t *)count += strlen(text);
}

static void
first_byte(void *text, const char *piece)
{
	if (*(char *)text == '\0')
		*(char *)text = *piece;
}

static void
test_report(void **state)
{
	char text[1] = "";
	memkind_t kind = make_pmem(16 * MIB);
	void *ptr = vmc_memkind_malloc(kind, 100);
	size_t whole = 0, less = 0;

	(void)state;
	assert_non_null(ptr);
	assert_int_equal(memkind_stats_print(
				 count_bytes, &whole, MEMKIND_STAT_PRINT_ALL),
		0);
	assert_int_equal(memkind_stats_print(count_bytes, &less,
				 MEMKIND_STAT_PRINT_OMIT_PER_ARENA),
		0);
	assert_true(whole > less && less > 0);
	/* each leaves something out, or says it in another way */
	for (int bit = 1; bit <= MEMKIND_STAT_PRINT_OMIT_EXTENT; bit *= 2) {
		size_t bytes = 0;
		assert_int_equal(memkind_stats_print(count_bytes, &bytes,
					 (memkind_stat_print_opt)bit),
			0);
		assert_true(bytes > 0);
	}
	assert_int_equal(memkind_stats_print(first_byte, text,
				 MEMKIND_STAT_PRINT_JSON_FORMAT),
		0);
	assert_int_equal(text[0], '{');
	assert_int_equal(memkind_stats_print(NULL, NULL,
				 MEMKIND_STAT_PRINT_OMIT_EXTENT * 2),
		MEMKIND_ERROR_INVALID);
	vmc_memkind_free(kind, ptr);
	memkind_destroy_kind(kind);
}

/* Memory of nobody, and no kind named. */
static void
test_realloc_of_unknown(void **state)
{
	char byte = 1;

	(void)state;
#ifdef VMC_MEMKIND_LIBC /* what is of no kind is the C library's there */
	skip();
#endif
	errno = 0;
	assert_null(vmc_memkind_realloc(NULL, &byte, 100));
	assert_int_equal(errno, EINVAL);
}

/* The file belongs to the parent; other memory is the child's own. */
static void
test_fork(void **state)
{
	memkind_t kind = make_pmem(16 * MIB);
	char *ptr = vmc_memkind_malloc(kind, 100);
	int status;

	(void)state;
	strcpy(ptr, "parent");
	pid_t child = fork();
	if (child == 0) {
		bool ok = strcmp(ptr, "parent") == 0;
		errno = 0;
		ok = ok && !vmc_memkind_malloc(kind, 100) && errno == ENOMEM;
		ok = ok && !vmc_memkind_malloc(kind, 100000);
		ok = ok && !vmc_memkind_realloc(kind, ptr, 100000);
		vmc_memkind_free(kind, ptr);
		vmc_memkind_free(NULL, ptr);
		void *own = vmc_memkind_malloc(MEMKIND_DEFAULT, 100);
		ok = ok && own;
		vmc_memkind_free(NULL, own);
		memkind_destroy_kind(kind);
		ok = ok &&
		     memkind_create_pmem(directory(), 16 * MIB, &kind) == 0;
		ok = ok && vmc_memkind_malloc(kind, 100);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_string_equal(ptr, "parent");
	assert_ptr_not_equal(vmc_memkind_malloc(kind, 100), ptr);
	vmc_memkind_free(kind, ptr);
	memkind_destroy_kind(kind);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heap_of_each_kind),
		cmocka_unit_test(test_null_kind),
#ifndef VMC_MEMKIND_LIBC
		cmocka_unit_test(test_foreign_pointers),
#endif
		cmocka_unit_test(test_bad_kinds),
		cmocka_unit_test(test_create_kind),
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_alignments),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_zeroed_on_dirty_memory),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_one_page),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_many_kinds_leave_no_trace),
		cmocka_unit_test(test_statistics),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_realloc_of_unknown),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
