/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * retire_without_memory.c -- an entry for which the limbo had no memory was
 * freed at once, while a ring still held a touch of it
 */
#include "fixture.h"

static bool no_memory;

void *__real_vmc_memkind_malloc(memkind_t kind, size_t size);
void *__wrap_vmc_memkind_malloc(memkind_t kind, size_t size);

void *
__wrap_vmc_memkind_malloc(memkind_t kind, size_t size)
{
	return no_memory ? NULL : __real_vmc_memkind_malloc(kind, size);
}

/* Fails under address sanitizer or Valgrind. */
static void
test_touched_then_evicted(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, 100), 0);
	assert_int_equal(fixture_put(cache, 2, 1, 100), 0);
	no_memory = true;
	assert_true(fixture_has(cache, 1, 1, 100));
	assert_int_equal(fixture_evict(cache, 1), 0);
	no_memory = false;
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touched_then_evicted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
