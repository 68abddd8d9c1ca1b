/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap_is_balanced.c -- what free() gets, malloc() or realloc() gave. A program
 * that counts its heap by putting its own functions in the place of these three
 * found 1160 bytes less than none at the end: the cache was from
 * posix_memalign().
 *
 * Linked with --wrap, so what is counted here is the library's own calls.
 */
#include "fixture.h"

#include <malloc.h>

static long long usage;
static unsigned long mallocs;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __real_free(void *ptr);
void __wrap_free(void *ptr);

static long long
size_of(void *ptr)
{
	return ptr ? (long long)malloc_usable_size(ptr) : 0;
}

void *
__wrap_malloc(size_t size)
{
	void *ptr = __real_malloc(size);

	usage += size_of(ptr);
	mallocs++;
	return ptr;
}

void *
__wrap_realloc(void *ptr, size_t size)
{
	usage -= size_of(ptr);
	ptr = __real_realloc(ptr, size);
	usage += size_of(ptr);
	return ptr;
}

void
__wrap_free(void *ptr)
{
	usage -= size_of(ptr);
	__real_free(ptr);
}

static void
live(enum vmemcache_metadata metadata)
{
	long long before = usage;
	unsigned long mallocs_before = mallocs;
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	assert_int_equal((uintptr_t)cache % alignof(VMEMcache), 0);
	assert_int_equal(vmemcache_set_metadata(cache, metadata), 0);
	assert_fails(vmemcache_add(cache, "/nonexistent"), ENOENT);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t key = 0; key < 5000; key++)
		assert_int_equal(fixture_put(cache, key, 1, 300), 0);
	for (uint64_t key = 0; key < 5000; key++)
		fixture_has(cache, key, 1, 300);
	assert_true(usage > before);
	vmemcache_delete(cache);
	assert_int_equal(usage, before);
	assert_true(mallocs > mallocs_before);
}

static void
test_balance(void **state)
{
	(void)state;
	assert_int_equal(usage, 0);
	live(VMEMCACHE_METADATA_DRAM);
	assert_int_equal(usage, 0);
	/* after the first one, as what is known of memory nodes stays */
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(
		vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	vmemcache_delete(cache);
	live(VMEMCACHE_METADATA_PMEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
