/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cancel_kinds.c -- no call of a kind is a cancellation point, nor is a put
 * with its metadata in a file
 *
 * A thread that is to be cancelled already makes the calls: the first
 * cancellation point in one of them would end it. It ended in the reading of
 * /sys and in fallocate(2), with locks held.
 */
#include "fixture.h"

#include "memkind.h"
#include "memkind/malloc.h"

#include <pthread.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static void
use(memkind_t kind)
{
	void *objects[200], *aligned = NULL;

	for (size_t i = 0; i < 200; i++)
		objects[i] = vmc_memkind_malloc(kind, 8 + i * i * 7);
	vmc_memkind_posix_memalign(kind, &aligned, 8192, 300000);
	vmc_memkind_free(kind, aligned);
	for (size_t i = 0; i < 200; i++) {
		void *moved = vmc_memkind_realloc(kind, objects[i], i * 4000);
		vmc_memkind_free(NULL, moved);
	}
}

static void
use_static_kinds(void *unused)
{
	memkind_t kinds[] = {MEMKIND_REGULAR, MEMKIND_INTERLEAVE, MEMKIND_HBW,
		MEMKIND_HBW_ALL, MEMKIND_HBW_PREFERRED, MEMKIND_DAX_KMEM,
		MEMKIND_DAX_KMEM_ALL, MEMKIND_HUGETLB, MEMKIND_DEFAULT,
		MEMKIND_HIGHEST_CAPACITY, MEMKIND_LOWEST_LATENCY_LOCAL};

	(void)unused;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		memkind_check_available(kinds[i]);
		use(kinds[i]);
	}
}

static void
use_created_kinds(void *unused)
{
	struct memkind_config *config = memkind_config_new();
	static char region[16 << 20];
	memkind_t kind;
	size_t value;

	(void)unused;
	memkind_config_set_path(config, FIXTURE_DIR);
	memkind_config_set_size(config, 64 * MIB);
	for (int policy = 0; policy < 2; policy++) {
		memkind_config_set_memory_usage_policy(
			config, (memkind_mem_usage_policy)policy);
		testing_expect(
			memkind_create_pmem_with_config(config, &kind) == 0);
		use(kind);
		memkind_get_capacity(kind);
		memkind_update_cached_stats();
		memkind_get_stat(kind, MEMKIND_STAT_TYPE_RESIDENT, &value);
		memkind_destroy_kind(kind);
	}
	memkind_config_delete(config);
	testing_expect(
		memkind_create_fixed(region, sizeof(region), &kind) == 0);
	use(kind);
	memkind_destroy_kind(kind);
	memkind_check_dax_path(FIXTURE_DIR);
	for (int i = 0; i < 5; i++) {
		memkind_set_bg_threads(true);
		memkind_set_bg_threads(false);
	}
}

static void
put(void *cache)
{
	for (uint64_t key = 0; key < 2000; key++)
		fixture_put(cache, key, 1, 300);
}

struct work {
	void (*call)(void *arg);
	void *arg;
	bool done;
};

static void *
run(void *arg)
{
	struct work *work = arg;

	pthread_cancel(pthread_self());
	work->call(work->arg);
	work->done = true;
	pthread_testcancel();
	return NULL;
}

static void
expect_not_cancelled(void (*call)(void *arg), void *arg)
{
	struct work work = {.call = call, .arg = arg};
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, run, &work), 0);
	pthread_join(thread, &result);
	assert_true(work.done);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(testing_failures, 0);
}

static void
test_kinds(void **state)
{
	(void)state;
	expect_not_cancelled(use_static_kinds, NULL);
	expect_not_cancelled(use_created_kinds, NULL);
	use(MEMKIND_REGULAR); /* no lock was left behind */
}

static void
test_metadata_in_a_file(void **state)
{
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_int_equal(
		vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	expect_not_cancelled(put, cache);
	assert_true(fixture_has(cache, 1999, 1, 300));
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_metadata_in_a_file),
	};

	setenv("MEMKIND_HBW_NODES", "0", 1);
	setenv("MEMKIND_DAX_KMEM_NODES", "0", 1);
	alarm(240); /* for what hangs */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
