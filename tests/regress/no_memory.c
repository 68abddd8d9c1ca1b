/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * no_memory.c -- libvmemcache 0.8.1 ignored that the policy's node could not
 * be allocated, and aborted the process at some other failures
 *
 * Linked with --wrap: from each allocation of a call on, all fail. What a put
 * leaves must be evictable, so its node is linked.
 */
#include "fixture.h"

/* The number of allocations until all fail; -1: none does. */
static long fail_at = -1;
static bool fail_once;
/* Allocated and not freed. */
static long held;

void *__real_vmc_memkind_malloc(memkind_t kind, size_t size);
void *__wrap_vmc_memkind_malloc(memkind_t kind, size_t size);
void __real_vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size);
void __wrap_vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size);

void *
__wrap_vmc_memkind_malloc(memkind_t kind, size_t size)
{
	if (fail_at > 0)
		fail_at--;
	else if (fail_at == 0) {
		fail_at = fail_once ? -1 : 0;
		return NULL;
	}
	held++;
	return __real_vmc_memkind_malloc(kind, size);
}

void
__wrap_vmc_memkind_free_sized(memkind_t kind, void *ptr, size_t size)
{
	held--;
	__real_vmc_memkind_free_sized(kind, ptr, size);
}

/* A cache whose free space is single blocks, so that values have run arrays. */
static VMEMcache *
open_in_pieces(enum vmemcache_repl_p policy)
{
	VMEMcache *cache = fixture_open(0, 0, policy);

	for (uint64_t key = 0; key < VMEMCACHE_MIN_POOL / 256; key++)
		assert_int_equal(fixture_put(cache, key, 1, 256), 0);
	for (uint64_t key = 0; key < VMEMCACHE_MIN_POOL / 256; key += 2)
		assert_int_equal(fixture_evict(cache, key), 0);
	return cache;
}

static void
test_each_allocation_of_a_put(void **state)
{
	VMEMcache *cache = open_in_pieces(VMEMCACHE_REPLACEMENT_LRU);
	const uint64_t key = 100000;
	const size_t size = 100 * 256;
	unsigned long long dram =
		fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
	unsigned long long entries =
		fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
	long n;

	(void)state;
	for (n = 0;; n++) {
		fail_at = n;
		int rc = fixture_put(cache, key, 1, size);
		int err = errno;
		bool reached = fail_at == 0;
		fail_at = -1;
		fixture_check(cache);
		if (rc == 0)
			break;
		assert_true(reached);
		assert_int_equal(err, ENOMEM);
		assert_string_equal(vmemcache_errormsg(), "out of memory");
		assert_int_equal(fixture_exists(cache, key), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), entries);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED),
			dram);
	}
	assert_true(n >= 2); /* the entry and the array at least */
	assert_true(fixture_has(cache, key, 1, size));
	/* every entry has its node: all of them can be evicted */
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* What was evicted is freed when memory is short, not when more has been. */
static void
test_memory_of_what_was_evicted(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	const long few = 100;

	(void)state;
	/* some of it is being freed already, the rest waits for more */
	for (uint64_t key = 0; key < 4000; key++)
		assert_int_equal(fixture_put(cache, key, 1, 0), 0);
	for (uint64_t key = 0; key < 4000; key++)
		assert_int_equal(fixture_evict(cache, key), 0);
	assert_true(held > few);
	fail_once = true;
	fail_at = 0;
	assert_int_equal(fixture_put(cache, 5000, 1, 100), 0);
	assert_true(held < few);
	fail_at = 0;
	assert_fails(fixture_put(cache, 5001, 1, 100), ENOMEM);
	fail_once = false;
	assert_true(fixture_has(cache, 5000, 1, 100));
	vmemcache_delete(cache);
	assert_int_equal(held, 0);
}

/* Getting and evicting go on without any memory at all. */
static void
run_dry(enum vmemcache_repl_p policy)
{
	VMEMcache *cache = open_in_pieces(policy);
	uint64_t count = VMEMCACHE_MIN_POOL / 256;

	assert_int_equal(fixture_put(cache, count, 1, 100 * 256), 0);
	fail_at = 0;
	assert_fails(fixture_put(cache, count + 1, 1, 1), ENOMEM);
	assert_true(fixture_has(cache, count, 1, 100 * 256));
	for (uint64_t key = 1; key < count; key += 2) {
		assert_true(fixture_has(cache, key, 1, 256));
		assert_int_equal(fixture_evict(cache, key), 0);
	}
	assert_int_equal(fixture_evict(cache, count), 0);
	assert_fails(fixture_put(cache, 0, 1, 1), ENOMEM);
	fail_at = -1;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_no_memory_at_all(void **state)
{
	(void)state;
	run_dry(VMEMCACHE_REPLACEMENT_LRU);
	run_dry(VMEMCACHE_REPLACEMENT_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_of_a_put),
		cmocka_unit_test(test_memory_of_what_was_evicted),
		cmocka_unit_test(test_no_memory_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
